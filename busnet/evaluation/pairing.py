"""Pairing the scores of two models, case by case, where they are of the same data."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from busnet.errors import DataError
from busnet.evaluation.scores import CaseScore, Scores

__all__ = ["TRUTH", "check_disjoint", "pair_scores"]

#: What must be the same of a case that two models are compared on.
TRUTH = ("class", "group", "fold", "true mask")


def pair_scores(
    first: Scores, second: Scores, *, ignored: Collection[str] = ()
) -> tuple[Scores, Scores]:
    """Return two models' scores in the order of the first's cases.

    Parameters
    ----------
    first, second
        Of the same cases, in any order.
    ignored
        What may differ, of :data:`TRUTH`.

    Raises
    ------
    DataError
        If a case is in one of them alone or twice in one, or its class, its group, its
        fold or whether its mask holds a lesion differs between them.
    """
    ours, theirs = (_by_name(s, w) for s, w in ((first, "first"), (second, "second")))
    only = [sorted(a.keys() - b.keys()) for a, b in ((ours, theirs), (theirs, ours))]
    facts = [
        f"{len(names)} only in the {which}, such as {names[0]}"
        for which, names in zip(("first", "second"), only, strict=True)
        if names
    ]
    if facts:
        raise DataError(
            f"the two evaluations are not of the same cases: {'; '.join(facts)}"
        )
    for name, case in ours.items():
        for what, (one, other) in _truth(case, theirs[name]).items():
            if one != other and what not in ignored:
                raise DataError(
                    f"the two evaluations are not of the same data: the {what} of "
                    f"{name} is {one} in the first and {other} in the second"
                )
    return first, Scores(theirs[name] for name in ours)


def _by_name(scores: Scores, which: str) -> dict[str, CaseScore]:
    cases: dict[str, CaseScore] = {}
    for case in scores:
        if case.full_name in cases:
            raise DataError(f"{case.full_name} is twice in the {which} evaluation")
        cases[case.full_name] = case
    return cases


def _truth(first: CaseScore, second: CaseScore) -> dict[str, tuple[str, str]]:
    """Return what both say of the truth about a case, as far as both know it."""
    facts = {
        "class": (first.label or "unknown", second.label or "unknown"),
        "group": (first.group, second.group),
    }
    if min(first.fold, second.fold) >= 0:
        facts["fold"] = (f"{first.fold}", f"{second.fold}")
    # A model that draws no mask does not say what the true one holds.
    if first.predicted is not None and second.predicted is not None:
        facts["true mask"] = (_mask(first), _mask(second))
    return facts


def _mask(case: CaseScore) -> str:
    if case.lesion is None:
        return "unknown"
    return "a lesion's" if case.lesion else "empty"


def check_disjoint(evaluations: Sequence[Scores]) -> None:
    """Refuse to put evaluations together that share a case, or divide a group.

    Raises
    ------
    DataError
        If they do.
    """
    names: set[str] = set()
    places: dict[tuple[str, str], int] = {}
    for number, scores in enumerate(evaluations):
        for case in scores:
            if case.full_name in names:
                raise DataError(f"{case.full_name} is in two of the evaluations")
            names.add(case.full_name)
            if places.setdefault((case.source, case.group), number) != number:
                raise DataError(
                    f"images of the group {case.source}/{case.group} are in two of the "
                    f"evaluations, such as {case.name}: the model of one was trained "
                    f"on images of it"
                )
