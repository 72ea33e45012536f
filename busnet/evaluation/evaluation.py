"""An evaluation: scores, figures and the notes that belong to them."""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from busnet.data import CLASSES, Case, Fold
from busnet.data.findings import plural
from busnet.errors import DataError
from busnet.evaluation.intervals import Interval, intervals
from busnet.evaluation.priors import complete_prior, format_prior, prior_notes
from busnet.evaluation.scores import Scores
from busnet.evaluation.scoring import CaseFailure, score_cases
from busnet.evaluation.selection import (
    DataLike,
    Track,
    no_track,
    read_data,
    select_cases,
)
from busnet.evaluation.strata import Stratum, compute_strata
from busnet.inference.ensemble import ModelLike
from busnet.inference.predictor import Predictor
from busnet.model import load

__all__ = ["Evaluation", "evaluate"]

#: Share of the image from which a mask is probably of the background.
MOST_OF_IMAGE = 0.9


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """What was evaluated on what, and the results.

    Attributes
    ----------
    model
        Name of the model, as it was given.
    network
        Name of its network's row; of an ensemble the members' names, joined by
        ``" + "``.
    provenance
        Where its weights came from; of an ensemble, of each member by name.
    protocol, fold
        What it was evaluated on; fold None is all of it.
    leak
        Why the figures are too good to be true, or "".
    scores
        Every case.
    figures
        Every figure with its interval.
    strata
        The figures of parts of the cases.
    failures
        The cases that could not be read.
    notes
        What else must be known of the figures.
    prior
        Share of each class in the cohort that the probabilities were re-weighed for,
        or None if they are as the model gives them.
    macro
        Whether the figures are means of the sources' figures.
    """

    model: str
    network: str
    provenance: Mapping[str, object]
    protocol: str
    fold: Fold
    leak: str
    scores: Scores
    figures: Mapping[str, Interval]
    strata: tuple[Stratum, ...] = ()
    failures: tuple[CaseFailure, ...] = ()
    notes: tuple[str, ...] = ()
    prior: Mapping[str, float] | None = None
    macro: bool = False

    @property
    def title(self) -> str:
        """One line that says what this is."""
        title = f"{self.network} on {self.protocol}"
        if self.macro:
            title += f", macro average over {', '.join(self.sources)}"
        elif self.fold is not None:
            part = "fold" if isinstance(self.fold, int) else "left out"
            title += f", {part} {self.fold}"
        return title if self.prior is None else f"{title}, prior {self.prior_text}"

    @property
    def prior_text(self) -> str:
        """The prior as the shell takes it, or "" without one."""
        return format_prior(self.prior)

    @property
    def sources(self) -> tuple[str, ...]:
        """Names of the data sets or hospitals that the cases are of."""
        return tuple(dict.fromkeys(case.source for case in self.scores if case.source))

    @property
    def counts(self) -> dict[str, int]:
        """How many cases there are, and how many of them count for what."""
        labels = collections.Counter(case.label for case in self.scores)
        by_class = self.scores.classifies & (self.scores.labels >= 0)
        by_mask = ~np.isnan(self.scores.column("dice"))
        return {
            "images": len(self.scores),
            "groups": int(self.scores.groups.max()) + 1,
            **{name: labels[name] for name in CLASSES},
            "without a class": labels[None],
            "scored by class": int(by_class.sum()),
            "scored by mask": int(by_mask.sum()),
            "scored by class alone": int((by_class & ~by_mask).sum()),
            "scored by mask alone": int((by_mask & ~by_class).sum()),
            "could not be read": len(self.failures),
        }


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
        Folder or table of a data set, several of them by source, or cases.
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
        If the data, the protocol or the fold cannot be used, or no case can be read.
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
    return Evaluation(
        model=name or loaded.name,
        network=loaded.info.network_name,
        provenance=loaded.info.provenance,
        protocol=selection.protocol,
        fold=selection.fold,
        leak=selection.leak,
        scores=scores,
        figures=intervals(scores, count=bootstrap, seed=seed),
        strata=compute_strata(scores, count=bootstrap, seed=seed),
        failures=tuple(failures),
        notes=(
            *(str(finding) for finding in listing.findings),
            *selection.notes,
            *_mask_notes(selection.cases, scores),
            *prior_notes(scores, prior),
        ),
        prior=prior,
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
