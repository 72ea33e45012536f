"""Two evaluations are compared or pooled only where they are of the same data."""

import dataclasses

import pytest
from evaluation_scores import random_scores

from busnet.errors import DataError
from busnet.evaluation.comparison import (
    compare_evaluations,
    pool_folds,
    pool_hospitals,
)
from busnet.evaluation.evaluation import Evaluation
from busnet.evaluation.intervals import compare, intervals
from busnet.evaluation.pairing import TRUTH, pair_scores
from busnet.evaluation.scores import Scores


def changed(scores, index, **values):
    """Return scores of which one case differs."""
    cases = list(scores)
    cases[index] = dataclasses.replace(cases[index], **values)
    return Scores(cases)


def made_up(scores, protocol="custom", fold=None):
    return Evaluation(
        "m", "resnet18", {}, protocol, fold, "", scores, intervals(scores, count=5)
    )


def test_cases_in_another_order_are_the_same():
    first, second = random_scores(30), random_scores(30, shift=1.0)
    backwards = Scores(reversed(second))
    assert compare(first, backwards, count=20) == compare(first, second, count=20)
    ours, theirs = pair_scores(first, backwards)
    assert list(ours) == list(first)
    assert list(theirs) == list(second)


@pytest.mark.parametrize(
    ("change", "fact"),
    [
        ({"label": "malignant"}, "class of 4 is benign in the first and malignant in"),
        ({"label": None}, "class of 4 is benign in the first and unknown in the sec"),
        ({"group": "other"}, "group of 4 is g2 in the first and other in the second"),
        ({"fold": 3}, "fold of 4 is 0 in the first and 3 in the second"),
        ({"lesion": False}, "true mask of 4 is a lesion's in the first and empty in"),
        ({"lesion": None}, "true mask of 4 is a lesion's in the first and unknown"),
    ],
)
def test_the_truth_is_the_same(change, fact):
    first = random_scores(30)
    second = changed(first, 4, **change)
    with pytest.raises(DataError, match=f"not of the same data: the {fact}"):
        compare_evaluations(made_up(first), made_up(second), bootstrap=5)
    assert pair_scores(first, second, ignored=TRUTH)[1][4] == second[4]


def test_what_may_differ():
    first = random_scores(30)
    # The model of the second draws no masks, its images are reduced, or its data is in
    # no folds.
    for change in (
        {"predicted": None, "lesion": None, "dice": None, "iou": None},
        {"area": 0.05},
        {"fold": -1},
        {"attributes": {"birads": "3"}},
    ):
        pair_scores(first, changed(first, 4, **change))
    other_folds = changed(first, 4, fold=3)
    compare_evaluations(
        made_up(first, "busbra-patient5"),
        made_up(other_folds, "busbra-patient10"),
        bootstrap=5,
    )


def test_a_case_is_there_once():
    scores = random_scores(30)
    twice = Scores([*scores, scores[7]])
    with pytest.raises(DataError, match="7 is twice in the second evaluation"):
        pair_scores(scores, twice)


def of_source(left_out, **change):
    scores = random_scores(30, source=left_out)
    return made_up(changed(scores, 4, **change), "hospitals", left_out)


def test_pooled_hospitals_share_no_case():
    pool_hospitals([of_source("a"), of_source("b")], bootstrap=5)
    with pytest.raises(DataError, match="left out b: a/4 is of a"):
        pool_hospitals([of_source("a"), of_source("b", source="a")], bootstrap=5)


def test_pooled_folds_divide_no_group():
    """The training of one fold saw the images of the group that are in another."""
    scores = random_scores(30)
    folds = [
        Scores(dataclasses.replace(case, fold=i) for case in part)
        for i, part in enumerate((scores[:16], scores[16:]))
    ]
    pool_folds([made_up(part, fold=i) for i, part in enumerate(folds)], bootstrap=5)
    for change, fact in (
        ({"group": "g1"}, "group /g1 are in two of the evaluations, such as 16"),
        ({"name": "3"}, "3 is in two of the evaluations"),
        ({"fold": 0}, "fold 1: 16 is of fold 0"),
    ):
        other = changed(folds[1], 0, **change)
        with pytest.raises(DataError, match=fact):
            pool_folds([made_up(folds[0], fold=0), made_up(other, fold=1)])
