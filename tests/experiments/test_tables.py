"""Pooled folds, tables and sentences, of evaluations that no model made."""

import dataclasses

import pytest
from evaluation_scores import random_scores

from busnet.errors import DataError
from busnet.evaluation.comparison import pool_folds
from busnet.evaluation.evaluation import Evaluation
from busnet.evaluation.intervals import Interval, intervals
from busnet.evaluation.scores import Scores
from busnet.experiments.tables import (
    compare_rows,
    comparison_table,
    describe,
    figure_table,
    spread_table,
)


def made_up(scores, fold=None, **fields):
    facts = {
        "model": "m.safetensors",
        "network": "resnet18",
        "provenance": {},
        "protocol": "custom",
        "fold": fold,
        "leak": "",
        "scores": scores,
        "figures": intervals(scores, count=20),
    }
    return Evaluation(**{**facts, **fields})


def test_folds_are_pooled():
    scores = random_scores(60)
    parts = [
        made_up(
            Scores(dataclasses.replace(case, fold=i) for case in scores[30 * i :][:30]),
            fold=i,
        )
        for i in (0, 1)
    ]
    pooled = pool_folds(parts, bootstrap=20)
    assert pooled.fold is None
    assert sorted(case.name for case in pooled.scores) == sorted(
        case.name for case in scores
    )
    for name, interval in intervals(scores, count=20).items():
        if interval.is_defined:
            assert pooled.figures[name].value == pytest.approx(interval.value)


def test_folds_that_do_not_belong_together_are_refused():
    part = made_up(random_scores(30), fold=0)
    with pytest.raises(DataError, match="no evaluations"):
        pool_folds([])
    with pytest.raises(DataError, match="of the same fold, 0"):
        pool_folds([part, part])
    other = dataclasses.replace(part, network="resnet50", fold=1)
    with pytest.raises(DataError, match="of the networks resnet18, resnet50"):
        pool_folds([part, other])


def test_sentences_say_what_is_clear():
    differences = {
        "accuracy": Interval(0.1, 0.05, 0.2),
        "macro F1": Interval(-0.1, -0.2, -0.05),
        "malignant AUC": Interval(0.1, -0.1, 0.2),
        "calibration error": Interval(-0.1, -0.2, -0.05),
        "Dice": Interval(float("nan"), float("nan"), float("nan")),
    }
    assert describe(differences) == (
        "better in accuracy, calibration error; worse in macro F1; no clear difference "
        "in malignant AUC"
    )


def test_rows_are_compared_with_the_reference():
    rows = {
        "a": made_up(random_scores(120, shift=0)),
        "b": made_up(random_scores(120, shift=3)),
    }
    table = compare_rows(rows, "a", bootstrap=50)
    assert list(table.differences) == ["b"]
    expected = rows["b"].figures["accuracy"].value - rows["a"].figures["accuracy"].value
    difference = table.differences["b"].differences["accuracy"]
    assert difference.value == pytest.approx(expected)
    assert difference.excludes_zero
    (sentence,) = table.sentences
    assert sentence.startswith("`b` compared with `a`: better in accuracy")
    (row,) = comparison_table({"b": table.differences["b"].differences})[2:]
    assert row.startswith(f"| b | **{difference}** |")
    assert figure_table(rows)[2].startswith(
        f"| a | 120 | {rows['a'].figures['accuracy']} |"
    )
    spread = spread_table({0: rows["a"], 1: rows["b"]}, ("accuracy",))
    assert spread[-1] == f"| standard deviation | {abs(expected) / 2**0.5:.3f} |"
