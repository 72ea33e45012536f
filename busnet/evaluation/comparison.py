"""Two evaluations of the same cases, compared; several hospitals, put together."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

from busnet.data import get_protocol
from busnet.data.protocols import HOSPITALS
from busnet.errors import DataError
from busnet.evaluation.classes import match_classes, pool_scores, same_prior
from busnet.evaluation.evaluation import Evaluation
from busnet.evaluation.html import render_figures
from busnet.evaluation.intervals import Interval, compare, intervals
from busnet.evaluation.leakage import is_leaky
from busnet.evaluation.metrics import AMONG_LESIONS
from busnet.evaluation.pairing import check_disjoint
from busnet.evaluation.strata import compute_strata

__all__ = [
    "Comparison",
    "add_lesion_figures",
    "average_sources",
    "compare_evaluations",
    "pool_folds",
    "pool_hospitals",
]


@dataclasses.dataclass(frozen=True)
class Comparison:
    """By how much the figures of two evaluations differ.

    Attributes
    ----------
    first, second
        Title of each, with the model's name where both titles are the same.
    leak
        Why the figures of either are too good to be true, or "".
    differences
        Every figure of the second minus that of the first, paired.
    prior
        Class shares that the probabilities of both were re-weighed for, or None.
    leaky
        Whether the figures of either are too good to be true; None if that is unknown.
    notes
        What else must be known of the differences.
    """

    first: str
    second: str
    leak: str
    differences: Mapping[str, Interval]
    prior: Mapping[str, float] | None = None
    leaky: bool | None = False
    notes: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """One line that says what this is."""
        return f"{self.second}, minus {self.first}"

    def _repr_html_(self) -> str:
        """Return what a notebook shows: the differences with their intervals."""
        return render_figures(
            self.title,
            self.differences,
            leak=self.leak,
            notes=self.notes,
            text="Paired differences on the same images, with 95 % intervals by "
            "bootstrap over groups; bold where the interval excludes zero.",
            mark_clear=True,
        )


def compare_evaluations(
    first: Evaluation,
    second: Evaluation,
    *,
    with_lesion_figures: bool = False,
    bootstrap: int = 1000,
    seed: int = 0,
) -> Comparison:
    """Compare two evaluations, paired: the second minus the first.

    Where only one of the models classifies normal images, its probabilities are
    renormalised over benign and malignant, and class figures are among lesions. With
    ``with_lesion_figures`` two models of three classes are compared among lesions, too.

    Raises
    ------
    DataError
        If they are not of the same cases, classes, groups, folds and masks, only one
        is a macro average, or their probabilities were re-weighed for different class
        shares.
    """
    if first.macro != second.macro:
        raise DataError("one of the two evaluations is a macro average, the other not")
    ours, theirs, notes = match_classes(first, second)
    _check_priors((first, second), among_lesions=ours.knows_lesions_alone)
    # Two protocols may divide the same data differently.
    ignored = ("fold",) if first.protocol != second.protocol else ()
    differences = compare(
        ours,
        theirs,
        ignored=ignored,
        macro=first.macro,
        count=bootstrap,
        seed=seed,
    )
    if with_lesion_figures and not ours.knows_lesions_alone:
        among = compare(
            ours.among_lesions(),
            theirs.among_lesions(),
            ignored=ignored,
            macro=first.macro,
            count=bootstrap,
            seed=seed,
        )
        differences |= _of_lesions(among)
    titles = first.title, second.title
    if titles[0] == titles[1] and first.model != second.model:
        titles = f"{first.model}, {first.title}", f"{second.model}, {second.title}"
    return Comparison(
        *titles,
        first.leak or second.leak,
        differences,
        first.prior,
        _is_leaky(first, second),
        notes,
    )


def _is_leaky(first: Evaluation, second: Evaluation) -> bool | None:
    """Tell whether one of two evaluations leaks, None if that is unknown of one."""
    both = [is_leaky(e.leak, e.provenance) for e in (first, second)]
    return True if True in both else None if None in both else False


def pool_hospitals(
    evaluations: Sequence[Evaluation], *, bootstrap: int = 1000, seed: int = 0
) -> Evaluation:
    """Put evaluations by the protocol ``hospitals`` together.

    Each is of a model that left out one source, on that source. The figures are means
    over the sources, each source counting the same; a figure that a source does not
    have, since it has no normal images or no masks, is the mean over the others. In the
    bootstrap, groups are drawn within each source.

    Raises
    ------
    DataError
        If there are fewer than two, one is by another protocol, they are of different
        networks or of different classes, two are of the same source, one has cases of
        another source, or their probabilities were re-weighed for different class
        shares.
    """
    sources = _left_out_sources(evaluations)
    networks = sorted({evaluation.network for evaluation in evaluations})
    if len(networks) > 1:
        raise DataError(f"the evaluations are of {' and '.join(networks)}")
    _check_priors(evaluations)
    scores, notes = pool_scores(evaluations)
    _check_parts(evaluations)
    return Evaluation(
        model=", ".join(evaluation.model for evaluation in evaluations),
        network=networks[0],
        provenance=_join_provenances(sources, evaluations),
        protocol=HOSPITALS,
        fold=None,
        leak="; ".join(e.leak for e in evaluations if e.leak),
        scores=scores,
        figures=intervals(scores, macro=True, count=bootstrap, seed=seed),
        strata=compute_strata(scores, count=bootstrap, seed=seed),
        failures=tuple(f for e in evaluations for f in e.failures),
        notes=notes,
        prior=evaluations[0].prior,
        macro=True,
    )


def _left_out_sources(evaluations: Sequence[Evaluation]) -> list[str]:
    """Return the source that each evaluation is of.

    Raises
    ------
    DataError
        If there are fewer than two, two are of the same, or one is of none.
    """
    if len(evaluations) < 2:
        raise DataError("a macro average needs two evaluations or more")
    for evaluation in evaluations:
        if evaluation.protocol != HOSPITALS or evaluation.fold is None:
            raise DataError(
                f"{evaluation.title}: a macro average is over evaluations by the "
                f"protocol {HOSPITALS}, each of one source"
            )
    sources = [str(evaluation.fold) for evaluation in evaluations]
    for source in sources:
        if sources.count(source) > 1:
            raise DataError(f"two evaluations are of {source}")
    return sources


def _check_parts(evaluations: Sequence[Evaluation]) -> None:
    """Refuse evaluations with cases of another part, or that share cases or groups.

    Raises
    ------
    DataError
        If they are so.
    """
    protocol = get_protocol(evaluations[0].protocol)
    for evaluation in evaluations:
        for case in evaluation.scores:
            by_source = protocol.leaves_out_source
            place = case.source if by_source else case.fold
            if place != evaluation.fold:
                part = place if by_source else f"fold {place}"
                raise DataError(f"{evaluation.title}: {case.full_name} is of {part}")
    if not protocol.leaky:
        check_disjoint([evaluation.scores for evaluation in evaluations])


def _join_provenances(
    names: Sequence[str], evaluations: Sequence[Evaluation]
) -> dict[str, object]:
    """Return where the models of several evaluations came from, as an ensemble says."""
    return {
        "members": {
            name: dict(evaluation.provenance)
            for name, evaluation in zip(names, evaluations, strict=True)
        }
    }


def _check_priors(
    evaluations: Sequence[Evaluation], *, among_lesions: bool = False
) -> None:
    """Refuse evaluations whose probabilities mean different things."""
    first = evaluations[0].prior
    for evaluation in evaluations[1:]:
        if not same_prior(first, evaluation.prior, among_lesions=among_lesions):
            texts = [e.prior_text or "none" for e in (evaluations[0], evaluation)]
            raise DataError(
                f"the evaluations have different priors, {texts[0]} and {texts[1]}: "
                f"their figures cannot be compared or averaged"
            )


def pool_folds(
    evaluations: Sequence[Evaluation], *, bootstrap: int = 1000, seed: int = 0
) -> Evaluation:
    """Put the evaluations of a cross-validation together.

    Each is of a model that held out one fold, on that fold, so that every case is
    counted once, under a model that was trained without it.

    Raises
    ------
    DataError
        If there are none, they are of several protocols, networks or kinds of classes,
        two are of the same fold, one has cases of another fold, or two share a group.
    """
    if not evaluations:
        raise DataError("there are no evaluations to pool")
    first = evaluations[0]
    for name in ("protocol", "network"):
        values = sorted({getattr(evaluation, name) for evaluation in evaluations})
        if len(values) > 1:
            raise DataError(f"the evaluations are of the {name}s {', '.join(values)}")
    folds = [evaluation.fold for evaluation in evaluations]
    for fold in folds:
        if fold is None or folds.count(fold) > 1:
            raise DataError(f"two evaluations are of the same fold, {fold}")
    scores, notes = pool_scores(evaluations)
    _check_parts(evaluations)
    return Evaluation(
        model=", ".join(evaluation.model for evaluation in evaluations),
        network=first.network,
        provenance=_join_provenances([f"fold {fold}" for fold in folds], evaluations),
        protocol=first.protocol,
        fold=None,
        leak="; ".join(dict.fromkeys(e.leak for e in evaluations if e.leak)),
        scores=scores,
        figures=intervals(scores, count=bootstrap, seed=seed),
        failures=tuple(f for e in evaluations for f in e.failures),
        notes=notes,
        prior=first.prior,
    )


def add_lesion_figures(
    evaluation: Evaluation, *, bootstrap: int = 1000, seed: int = 0
) -> Evaluation:
    """Return an evaluation that also has the class figures among lesions.

    They are of its probabilities renormalised over benign and malignant, and compare it
    with a model that knows these alone.
    """
    among = intervals(
        evaluation.scores.among_lesions(),
        macro=evaluation.macro,
        count=bootstrap,
        seed=seed,
    )
    figures = {**evaluation.figures, **_of_lesions(among)}
    return dataclasses.replace(evaluation, figures=figures)


def _of_lesions(figures: Mapping[str, Interval]) -> dict[str, Interval]:
    """Return the figures that are among lesions by their names."""
    return {n: figure for n, figure in figures.items() if n.endswith(AMONG_LESIONS)}


def average_sources(
    evaluation: Evaluation, *, bootstrap: int = 1000, seed: int = 0
) -> Evaluation:
    """Return an evaluation with figures that are means over its sources."""
    return dataclasses.replace(
        evaluation,
        protocol=HOSPITALS,
        figures=intervals(evaluation.scores, macro=True, count=bootstrap, seed=seed),
        macro=True,
    )
