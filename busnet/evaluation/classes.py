"""Models that know benign and malignant alone: what is said of their figures."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from busnet.data import CLASSES, LESION_CLASSES
from busnet.data.findings import plural
from busnet.errors import DataError
from busnet.evaluation.record import Record
from busnet.evaluation.scores import Scores

__all__ = [
    "check_scored",
    "class_notes",
    "match_classes",
    "pool_scores",
    "same_prior",
]

LESIONS_ALONE = " and ".join(LESION_CLASSES) + " alone"


def check_scored(scores: Scores) -> None:
    """Refuse scores of which no case is of the model's classes or has a mask.

    Raises
    ------
    DataError
        If the model knows lesions alone, and that is so.
    """
    if scores.knows_lesions_alone and not (scores.classifies or scores.segments):
        raise DataError(
            f"the model classifies {LESIONS_ALONE}, and none of the "
            f"{plural(len(scores), 'image')} is of these classes"
        )


def class_notes(scores: Scores) -> list[str]:
    """Return what must be known of the figures of a model that knows lesions alone."""
    if not scores.knows_lesions_alone:
        return []
    return [
        f"the model classifies {LESIONS_ALONE}, so its class figures are among "
        f"lesions{_left_out(scores)}"
    ]


def match_classes(
    first: Record, second: Record
) -> tuple[Scores, Scores, tuple[str, ...]]:
    """Return the scores of two evaluations with figures of the same definitions.

    Where only one model knows normal images, its probabilities become those of benign
    and malignant alone.

    Returns
    -------
    first, second
        The scores.
    notes
        What must be known of their figures.
    """
    ours, theirs = first.scores, second.scores
    lesions_alone = [s.knows_lesions_alone for s in (ours, theirs)]
    if not any(lesions_alone):
        return ours, theirs, ()
    if all(lesions_alone):
        note = f"both models classify {LESIONS_ALONE}"
    else:
        two, three = (first, second) if lesions_alone[0] else (second, first)
        note = f"{two.model} classifies {LESIONS_ALONE}"
        if not three.scores[0].probabilities:
            return ours, theirs, (f"{note}, {three.model} does not classify",)
        note += (
            f", so the probabilities of {three.model} are renormalised over "
            f"{' and '.join(LESION_CLASSES)}"
        )
    note += f"; class figures are among lesions{_left_out(ours)}"
    return ours.among_lesions(), theirs.among_lesions(), (note,)


def pool_scores(evaluations: Sequence[Record]) -> tuple[Scores, tuple[str, ...]]:
    """Return the scores of several evaluations, and the notes on them, each once.

    Raises
    ------
    DataError
        If some of their models know normal images and others do not.
    """
    models = {
        evaluation.scores.classes: evaluation.model
        for evaluation in evaluations
        if evaluation.scores[0].probabilities
    }
    if len(models) > 1:
        raise DataError(
            f"{models[LESION_CLASSES]} classifies {LESIONS_ALONE}, "
            f"{models[CLASSES]} {', '.join(CLASSES)}: their figures cannot be put "
            f"together"
        )
    scores = Scores(case for evaluation in evaluations for case in evaluation.scores)
    notes: dict[str, None] = {}
    for evaluation in evaluations:
        own = class_notes(evaluation.scores)
        notes |= dict.fromkeys(note for note in evaluation.notes if note not in own)
    return scores, (*notes, *class_notes(scores))


def same_prior(
    first: Mapping[str, float] | None,
    second: Mapping[str, float] | None,
    *,
    among_lesions: bool,
) -> bool:
    """Tell whether two priors are the same, or so as far as they concern lesions."""
    if first is None or second is None or not among_lesions:
        return first == second
    ours, theirs = _malignant_share(first), _malignant_share(second)
    return math.isclose(ours, theirs, abs_tol=1e-9)


def _malignant_share(prior: Mapping[str, float]) -> float:
    """Return a prior's probability of malignant given a lesion; NaN without lesions."""
    benign, malignant = (prior.get(name, 0.0) for name in LESION_CLASSES)
    total = benign + malignant
    return malignant / total if total > 0 else math.nan


def _left_out(scores: Scores) -> str:
    """Say how many normal images the class figures leave out, "" where none is."""
    if not scores.normals:
        return ""
    verb = "is" if scores.normals == 1 else "are"
    return f", and {plural(scores.normals, 'normal image')} {verb} left out of them"
