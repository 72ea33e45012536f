"""Scoring a data set: what all measurements of a model on images begin with."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

from busnet.data import Case, DataLike, Fold, read_data
from busnet.data.findings import plural
from busnet.data.masks import MOST_OF_IMAGE
from busnet.errors import DataError
from busnet.evaluation.classes import check_scored, class_notes
from busnet.evaluation.priors import complete_prior, prior_notes
from busnet.evaluation.scores import Scores
from busnet.evaluation.scoring import CaseFailure, score_cases
from busnet.evaluation.selection import Selection, Track, no_track, select_cases
from busnet.inference.ensemble import ModelLike
from busnet.inference.predictor import Predictor
from busnet.model import load

__all__ = ["Scored", "score_data"]


@dataclasses.dataclass(frozen=True)
class Scored:
    """The cases of a data set under a model.

    Attributes
    ----------
    model
        The model or ensemble.
    selection
        The cases that were chosen.
    scores
        Of those that can be read, at least one.
    failures
        Those that cannot be read.
    prior
        The probability of every class that probabilities were re-weighed for, or None.
    notes
        What must be known of figures of the scores.
    """

    model: Predictor
    selection: Selection
    scores: Scores
    failures: tuple[CaseFailure, ...]
    prior: dict[str, float] | None
    notes: tuple[str, ...]

    @property
    def cases(self) -> list[Case]:
        """The cases of the scores, in their order."""
        failed = {(failure.source, failure.name) for failure in self.failures}
        return [c for c in self.selection.cases if (c.source, c.name) not in failed]


def score_data(
    model: ModelLike,
    data: DataLike,
    *,
    protocol: str | None = None,
    fold: Fold = None,
    allow_leak: bool = False,
    prior: Mapping[str, float] | None = None,
    track: Track = no_track,
) -> Scored:
    """Choose the cases of a data set that a model is measured on, and score them.

    Parameters, errors and their conditions are those of
    :func:`busnet.evaluation.evaluation.evaluate`.
    """
    loaded = model if isinstance(model, Predictor) else load(model)
    prior = complete_prior(loaded.info, prior)
    listing = read_data(data)
    selection = select_cases(
        loaded.info,
        listing.cases,
        protocol=protocol,
        fold=fold,
        allow_leak=allow_leak,
        track=track,
    )
    failures: list[CaseFailure] = []
    scored = score_cases(
        loaded, selection.cases, prior=prior, on_failure=failures.append
    )
    listed = list(track(scored, len(selection.cases), "evaluating"))
    if not listed:
        raise DataError(
            f"none of the {len(failures)} cases can be read; the first: "
            f"{failures[0].message}"
        )
    scores = Scores(listed)
    check_scored(scores)
    notes = (
        *(str(finding) for finding in listing.findings),
        *selection.notes,
        *class_notes(scores),
        *_mask_notes(selection.cases, scores),
        *prior_notes(scores, prior),
    )
    return Scored(loaded, selection, scores, tuple(failures), prior, notes)


def _mask_notes(cases: Sequence[Case], scores: Scores) -> list[str]:
    """Return what is odd about the masks of the cases that were scored."""
    masked = {(case.source, case.name) for case in cases if case.has_mask}
    empty = [
        score.full_name
        for score in scores
        if score.predicted is not None
        and score.lesion is None
        and (score.source, score.name) in masked
    ]
    full = [score.full_name for score in scores if score.area > MOST_OF_IMAGE]
    notes = []
    if empty:
        notes.append(
            f"the mask of {plural(len(empty), 'lesion')} is empty, such as {empty[0]}: "
            f"scored by the class alone"
        )
    if full:
        notes.append(
            f"the mask of {plural(len(full), 'image')} covers nearly all of it, such "
            f"as {full[0]}"
        )
    return notes
