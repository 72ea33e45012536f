"""The record of an evaluation: scores, figures and the notes that belong to them."""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Mapping

import numpy as np

from busnet.data import CLASSES, Fold
from busnet.data.numbers import check_fold
from busnet.evaluation.intervals import Interval
from busnet.evaluation.priors import format_prior
from busnet.evaluation.scores import Scores
from busnet.evaluation.scoring import CaseFailure
from busnet.evaluation.strata import Stratum

__all__ = ["Record"]


@dataclasses.dataclass(frozen=True)
class Record:
    """What was evaluated on what, and the results: the contents of a file.

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

    def __post_init__(self) -> None:
        """Take a number of NumPy's for the fold, such as one of a data frame."""
        object.__setattr__(self, "fold", check_fold(self.fold))

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
    def not_classified(self) -> int:
        """Number of normal images of a model that classifies lesions alone."""
        return self.scores.normals if self.scores.knows_lesions_alone else 0

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
            "not of the model's classes": self.not_classified,
            "could not be read": len(self.failures),
        }
