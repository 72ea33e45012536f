"""Whole numbers as callers give them."""

from pathlib import Path

import numpy as np
import pytest

from busnet.data import Case, make_folds, split
from busnet.data.numbers import check_fold, whole_number
from busnet.errors import DataError, ModelError


@pytest.mark.parametrize("value", [3, np.int64(3), np.uint8(3), np.array(3)])
def test_whole_numbers_become_pythons(value):
    assert type(whole_number(value, "it")) is int
    assert whole_number(value, "it") == check_fold(value) == 3


@pytest.mark.parametrize("value", [True, np.True_, 1.0, np.float64(1), "1", None, [1]])
def test_other_values_are_refused(value):
    with pytest.raises(ModelError, match="the seed is a whole number, not"):
        whole_number(value, "the seed", ModelError)


def test_a_fold_is_a_number_a_name_or_nothing():
    assert check_fold(None) is None
    assert type(check_fold(np.str_("north"))) is str
    for value in (True, np.False_, 1.0, float("nan"), (1,)):
        with pytest.raises(DataError, match="a fold is a whole number, or the name of"):
            check_fold(value)


def make_cases(count, **fields):
    return [
        Case(f"{i}", Path(f"{i}.png"), (), ("benign", "malignant")[i % 2], f"{i}", **f)
        for i in range(count)
        for f in [{name: value(i) for name, value in fields.items()}]
    ]


def test_cases_splits_and_folds_take_numpys_numbers():
    cases = make_cases(12, fold=lambda i: np.int64(i // 2 % 2))
    assert {type(case.fold) for case in cases} == {int}
    parts = split(cases, "custom", np.int64(1), seed=np.int64(5))
    assert parts == split(cases, "custom", 1, seed=5)
    folds = make_folds(cases, np.int64(2), seed=np.int64(1))
    assert folds == make_folds(cases, 2, seed=1)
    with pytest.raises(DataError, match=r"0: the fold is a whole number, not 0\.5"):
        make_cases(1, fold=lambda i: 0.5)
    with pytest.raises(DataError, match="a fold is a whole number"):
        split(cases, "custom", True)
