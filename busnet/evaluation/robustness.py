"""How a model's figures change when the images do."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence

from busnet.data import Case
from busnet.evaluation.intervals import Interval, compare
from busnet.evaluation.metrics import among_lesions
from busnet.evaluation.perturbations import PERTURBATIONS, Perturbation
from busnet.evaluation.scores import Scores
from busnet.evaluation.scoring import score_cases
from busnet.inference.predictor import Predictor

__all__ = ["FIGURES", "Robustness", "measure_robustness"]

#: Figures whose changes are reported.
FIGURES = (
    "accuracy",
    among_lesions("accuracy"),
    "malignant AUC",
    among_lesions("malignant AUC"),
    "Dice",
    "normals with a false lesion",
)


@dataclasses.dataclass(frozen=True)
class Robustness:
    """How one perturbation changes a model's figures.

    Attributes
    ----------
    perturbation
        The change of the images.
    changes
        By how much each of :data:`FIGURES` changes, paired, as far as the scores have
        it; NaN where it is not defined.
    normals, lost
        Number of normal images that are called normal as they are, and of those among
        them that no longer are; both 0 for a model that does not classify.
    """

    perturbation: Perturbation
    changes: Mapping[str, Interval]
    normals: int
    lost: int


def measure_robustness(
    model: Predictor,
    cases: Sequence[Case],
    plain: Scores,
    *,
    prior: Mapping[str, float] | None = None,
    bootstrap: int = 1000,
) -> Iterator[Robustness]:
    """Yield what each perturbation does, one after the other.

    Parameters
    ----------
    model, cases
        What is measured on what; every case must be readable.
    plain
        The scores of the unchanged cases, under the same prior.
    prior
        Class shares that probabilities are re-weighed for.
    bootstrap
        Number of bootstrap draws.
    """
    for perturbation in PERTURBATIONS:
        changed = Scores(score_cases(model, cases, change=perturbation, prior=prior))
        # A crop may cut a lesion off.
        differences = compare(plain, changed, ignored=("true mask",), count=bootstrap)
        normals, lost = count_lost_normals(plain, changed)
        yield Robustness(
            perturbation,
            {name: differences[name] for name in FIGURES if name in differences},
            normals,
            lost,
        )


def count_lost_normals(plain: Scores, changed: Scores) -> tuple[int, int]:
    """Count normal images that were called normal, and those that no longer are."""
    if not plain.classifies:
        return 0, 0
    pairs = [
        after
        for before, after in zip(plain, changed, strict=True)
        if before.label == before.guess == "normal"
    ]
    return len(pairs), sum(after.guess != "normal" for after in pairs)
