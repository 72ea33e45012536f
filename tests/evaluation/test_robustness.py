"""By how much figures change when the images do."""

import numpy as np
import pytest

from busnet.data import CLASSES, read_custom
from busnet.evaluation.perturbations import PERTURBATIONS
from busnet.evaluation.robustness import (
    FIGURES,
    count_lost_normals,
    measure_robustness,
)
from busnet.evaluation.scores import CaseScore, Scores
from busnet.evaluation.scoring import score_cases


def test_lost_normals_are_counted():
    def scores(guesses):
        return Scores(
            CaseScore(f"{i}", f"{i}", 0, label, tuple(np.eye(3)[guess]))
            for i, (label, guess) in enumerate(guesses)
        )

    before = scores([("normal", 0), ("normal", 0), ("normal", 1), ("benign", 0)])
    after = scores([("normal", 0), ("normal", 2), ("normal", 2), ("benign", 2)])
    assert count_lost_normals(before, after) == (2, 1)


def test_each_perturbation_is_measured_against_the_unchanged_images(
    model, phantom_data, monkeypatch
):
    monkeypatch.setattr("busnet.evaluation.robustness.PERTURBATIONS", PERTURBATIONS[:2])
    cases = read_custom(phantom_data)
    plain = Scores(score_cases(model, cases))
    rows = list(measure_robustness(model, cases, plain, bootstrap=10))
    assert [row.perturbation for row in rows] == list(PERTURBATIONS[:2])
    for row in rows:
        changed = Scores(score_cases(model, cases, change=row.perturbation))
        assert {*row.changes} == {*FIGURES} - {"accuracy among lesions"}
        expected = (changed.guesses == changed.labels).mean() - (
            plain.guesses == plain.labels
        ).mean()
        assert row.changes["accuracy"].value == pytest.approx(expected)
        assert (row.normals, row.lost) == count_lost_normals(plain, changed)
    assert {case.label for case in plain} == set(CLASSES)
