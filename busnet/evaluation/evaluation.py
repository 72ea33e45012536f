"""An evaluation: scores, figures and the notes that belong to them."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping

from busnet._io import encodable, write_text
from busnet.data import Case, DataLike, Fold
from busnet.errors import requires_extra
from busnet.evaluation.html import render_figures
from busnet.evaluation.intervals import intervals
from busnet.evaluation.record import Record
from busnet.evaluation.scored import score_data
from busnet.evaluation.selection import Track, no_track
from busnet.evaluation.strata import compute_strata
from busnet.inference.ensemble import ModelLike
from busnet.inference.predictor import Predictor

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
    scored = score_data(
        model,
        data,
        protocol=protocol,
        fold=fold,
        allow_leak=allow_leak,
        prior=prior,
        track=track,
    )
    tested, selection, scores = scored.model, scored.selection, scored.scores
    return Evaluation(
        model=encodable(name or tested.name),
        network=encodable(tested.info.network_name),
        provenance=tested.info.provenance,
        protocol=selection.protocol,
        fold=selection.fold,
        leak=encodable(selection.leak),
        scores=scores,
        figures=intervals(scores, count=bootstrap, seed=seed),
        strata=compute_strata(scores, count=bootstrap, seed=seed),
        failures=scored.failures,
        notes=scored.notes,
        prior=scored.prior,
        tested=tested,
        cases=selection.cases,
    )
