"""Class shares of a cohort, which the probabilities are re-weighed for."""

from __future__ import annotations

import collections
from collections.abc import Iterable, Mapping

from busnet.data.findings import plural
from busnet.errors import ModelError
from busnet.evaluation.scores import CaseScore
from busnet.inference import Options, PredictorInfo, check_prior

__all__ = ["complete_prior", "format_prior", "prior_notes"]


def complete_prior(
    info: PredictorInfo, prior: Mapping[str, float] | None
) -> dict[str, float] | None:
    """Return the probability of every class under a prior, those it leaves out too.

    Raises
    ------
    ModelError
        If its numbers are not probabilities of the model's classes, or the model does
        not classify.
    """
    checked = Options(prior=prior).prior
    if checked is None:
        return None
    if "class" not in info.heads:
        raise ModelError("prior: the model does not classify")
    check_prior(info.classes, checked)
    return {name: checked.get(name, 0.0) for name in info.classes}


def format_prior(prior: Mapping[str, float] | None) -> str:
    """Return ``CLASS=P,...``, as the shell takes it, or "" without a prior."""
    return ",".join(f"{name}={share:g}" for name, share in (prior or {}).items())


def prior_notes(
    scores: Iterable[CaseScore], prior: Mapping[str, float] | None
) -> list[str]:
    """Return which images are of a class that a prior rules out."""
    labels = collections.Counter(case.label for case in scores)
    return [
        f"{plural(labels[name], f'{name} image')} can never be classified rightly: "
        f"the prior gives the class no share"
        for name, share in (prior or {}).items()
        if share == 0 and labels[name]
    ]
