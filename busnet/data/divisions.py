"""Divisions: whose folds the cases of a source are in."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from busnet.data.cases import Case

__all__ = ["by_source", "has_own_folds", "published_division"]


def by_source(cases: Iterable[Case]) -> dict[str, list[Case]]:
    """Return the cases of each source, in the order in which sources occur."""
    sources: dict[str, list[Case]] = {}
    for case in cases:
        sources.setdefault(case.source, []).append(case)
    return sources


def published_division(cases: Sequence[Case]) -> str | None:
    """Return the published division whose folds the cases of one source are in.

    None where they are in no folds, or in folds of the user's own.
    """
    names = sorted({name for case in cases for name in case.divisions})
    for name in names:
        if all(case.divisions.get(name, -1) == case.fold for case in cases):
            return name
    return None


def has_own_folds(cases: Sequence[Case]) -> bool:
    """Tell whether all cases of one source are in folds of the user's own."""
    return all(case.fold >= 0 for case in cases) and published_division(cases) is None
