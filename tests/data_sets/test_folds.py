"""Folds of one's own images: no group is divided, and classes are spread alike."""

import collections
import random
from pathlib import Path

import pytest

from busnet.data import CLASSES, Case, make_folds
from busnet.errors import DataError


def cases_of(groups):
    """Return cases of {group: labels}."""
    return [
        Case(f"{group}-{i}", Path(f"{group}-{i}.png"), label=label, group=group)
        for group, labels in groups.items()
        for i, label in enumerate(labels)
    ]


def counts_by_fold(cases):
    return collections.Counter((case.fold, case.label) for case in cases)


def test_groups_are_whole_and_classes_even():
    cases = cases_of({f"p{i}": [CLASSES[i % 3]] * (1 + i % 2) for i in range(60)})
    divided = make_folds(cases, 5)
    assert [case.name for case in divided] == [case.name for case in cases]
    folds = collections.defaultdict(set)
    for case in divided:
        folds[case.key].add(case.fold)
    assert all(len(numbers) == 1 for numbers in folds.values())
    # 20 groups of each class, half of them of two images: six images a fold.
    assert set(counts_by_fold(divided).values()) == {6}


def test_groups_of_several_classes_reach_every_fold():
    cases = cases_of({f"p{i}": ("benign", "malignant", "normal") for i in range(7)})
    counts = counts_by_fold(make_folds(cases, 3))
    assert sorted(counts[fold, "benign"] for fold in range(3)) == [2, 2, 3]


def test_a_rare_class_is_in_every_fold():
    groups = {f"n{i}": ["normal"] for i in range(3)}
    groups |= {f"b{i}": ["benign"] * 9 for i in range(30)}
    counts = counts_by_fold(make_folds(cases_of(groups), 3))
    assert [counts[fold, "normal"] for fold in range(3)] == [1, 1, 1]
    assert [counts[fold, "benign"] for fold in range(3)] == [90, 90, 90]


def test_the_order_of_the_cases_does_not_matter():
    cases = cases_of({f"p{i}": [CLASSES[i % 3]] for i in range(30)})
    folds = {case.name: case.fold for case in make_folds(cases, 4, seed=3)}
    shuffled = random.Random(0).sample(cases, len(cases))
    assert {c.name: c.fold for c in make_folds(shuffled, 4, seed=3)} == folds
    assert {c.name: c.fold for c in make_folds(cases, 4, seed=4)} != folds


@pytest.mark.parametrize(
    ("groups", "count", "fact"),
    [
        ({"a": CLASSES, "b": CLASSES}, 1, "at least 2 folds, not 1"),
        ({"a": CLASSES * 9}, 2, "1 group cannot be spread over 2 folds"),
        (
            {"a": CLASSES, "b": CLASSES, "c": CLASSES[1:]},
            3,
            "the class normal is in 2 groups, fewer than the 3 folds",
        ),
    ],
)
def test_what_cannot_be_divided_is_an_error(groups, count, fact):
    with pytest.raises(DataError, match=fact):
        make_folds(cases_of(groups), count)
