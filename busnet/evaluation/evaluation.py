"""An evaluation: scores, figures and the notes that belong to them."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping, Sequence

from busnet._io import encodable, write_text
from busnet.data import Case, DataLike, Fold, read_data
from busnet.data.findings import plural
from busnet.data.masks import MOST_OF_IMAGE
from busnet.errors import DataError, requires_extra
from busnet.evaluation.classes import check_scored, class_notes
from busnet.evaluation.html import render_figures
from busnet.evaluation.intervals import intervals
from busnet.evaluation.priors import complete_prior, prior_notes
from busnet.evaluation.record import Record
from busnet.evaluation.scores import Scores
from busnet.evaluation.scoring import CaseFailure, score_cases
from busnet.evaluation.selection import Track, no_track, select_cases
from busnet.evaluation.strata import compute_strata
from busnet.inference.ensemble import ModelLike
from busnet.inference.predictor import Predictor
from busnet.model import load

__all__ = ["Evaluation", "evaluate"]


@dataclasses.dataclass(frozen=True)
class Evaluation(Record):
    """What was evaluated on what, and the results; a notebook shows the figures.

    Has all fields of :class:`busnet.evaluation.record.Record`, and these.

    Attributes
    ----------
    tested
        The model or ensemble, None where there are several or the evaluation was read
        from a file.
    cases
        The cases of the data that it was evaluated on; empty where it was read.
    """

    tested: Predictor | None = dataclasses.field(
        default=None, repr=False, compare=False
    )
    cases: tuple[Case, ...] = dataclasses.field(default=(), repr=False, compare=False)

    def report(self, path: str | os.PathLike[str]) -> None:
        """Write the report, one HTML file that needs nothing beside it.

        It has the figures, their plots, the strata and, unless the evaluation was read
        from a file, the ten worst cases as overlays. The file is written whole or not
        at all.

        Raises
        ------
        MissingExtraError
            If matplotlib is not installed.
        """
        with requires_extra("evaluate"):
            from busnet.evaluation.report import render_report
        write_text(path, render_report(self, self.tested, self.cases))

    def _repr_html_(self) -> str:
        """Return what a notebook shows: the figures with their intervals."""
        counts = self.counts
        return render_figures(
            self.title,
            self.figures,
            leak=self.leak,
            notes=self.notes,
            text=f"{counts['images']} images in {counts['groups']} groups. Intervals "
            f"are 95 %, by bootstrap over groups.",
        )


def evaluate(
    model: ModelLike,
    data: DataLike,
    *,
    protocol: str | None = None,
    fold: Fold = None,
    allow_leak: bool = False,
    prior: Mapping[str, float] | None = None,
    bootstrap: int = 1000,
    seed: int = 0,
    name: str = "",
    track: Track = no_track,
) -> Evaluation:
    """Measure a model on labelled images.

    Parameters
    ----------
    model
        A model or an ensemble, or what :func:`busnet.load` takes.
    data
        What :func:`busnet.data.read_data` takes: folder or table of a data set, several
        of them, cases, or a data frame. Normal images are left out of the class figures
        of a model that classifies benign and malignant alone.
    protocol
        How the data is used, a name of :data:`busnet.data.PROTOCOLS`; by default it
        follows from the data and the model.
    fold
        What is evaluated: a fold or, by the protocol ``hospitals``, the source that was
        left out of the training. By default what the model's training held out, or all
        cases where it held out nothing of this data.
    allow_leak
        Whether cases that the model was trained on may be evaluated; the evaluation
        then says so.
    prior
        Probability of each class, by name, in the cohort that the data stands for, as
        for :meth:`busnet.Model.predict`; every figure that is computed from
        probabilities is then of the re-weighed ones. By default those of training.
    bootstrap, seed
        Number of bootstrap draws and their seed.
    name
        What the model is called; by default its own name, or its file's.
    track
        Shows progress: called with items, their number and what is done.

    Raises
    ------
    DataError
        If the data, the protocol or the fold cannot be used, no case can be read, or
        the model's classes are neither those of busnet nor benign and malignant.
    LeakError
        If the model was trained on some of the cases and that is not allowed.
    ModelError
        If the prior's numbers are not probabilities of the model's classes, or the
        model does not classify.
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
    return Evaluation(
        model=encodable(name or loaded.name),
        network=encodable(loaded.info.network_name),
        provenance=loaded.info.provenance,
        protocol=selection.protocol,
        fold=selection.fold,
        leak=encodable(selection.leak),
        scores=scores,
        figures=intervals(scores, count=bootstrap, seed=seed),
        strata=compute_strata(scores, count=bootstrap, seed=seed),
        failures=tuple(failures),
        notes=(
            *(str(finding) for finding in listing.findings),
            *selection.notes,
            *class_notes(scores),
            *_mask_notes(selection.cases, scores),
            *prior_notes(scores, prior),
        ),
        prior=prior,
        tested=loaded,
        cases=selection.cases,
    )


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
