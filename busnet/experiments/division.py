"""The division of a comparison: the folds or sources that are held out in turn."""

from __future__ import annotations

from collections.abc import Sequence

from busnet.data import (
    Case,
    Listing,
    default_protocol,
    get_protocol,
    make_folds,
)
from busnet.data.divisions import by_source, has_own_folds, published_division
from busnet.data.protocols import CUSTOM, HOSPITALS
from busnet.errors import DataError

__all__ = ["divide", "parts_of"]

#: Folds that are made where the data has none of its own.
FOLDS = 5


def divide(
    listing: Listing, folds: int | None, protocol: str | None, *, seed: int = 0
) -> tuple[list[Case], str, tuple[str, ...]]:
    """Return the cases in their folds, the protocol that uses them, and notes.

    By the protocol ``custom`` folds are made of the groups of all sources, unless all
    cases are in folds of the user's own, or the only source is in published folds.

    Raises
    ------
    DataError
        If folds cannot be made, the data has another number of its own, or some of it
        is in folds of the user's own and some is not.
    """
    cases = list(listing.cases)
    if protocol is None:
        protocol = default_protocol(cases)
        if protocol == HOSPITALS:
            protocol = CUSTOM
    used = get_protocol(protocol).use(cases)
    if protocol == CUSTOM and not _keeps_folds(used):
        divided = make_folds(used, FOLDS if folds is None else folds, seed=seed)
        return divided, protocol, _unused_folds(used)
    parts = parts_of(used, protocol)
    if folds is not None and folds != len(parts):
        raise DataError(
            f"the data has {len(parts)} folds of its own "
            f"({', '.join(map(str, parts))}), not {folds}; leave their number out"
        )
    return used, protocol, ()


def parts_of(cases: Sequence[Case], protocol: str) -> list[int | str]:
    """Return what is held out, part by part.

    Raises
    ------
    DataError
        If there are fewer than two parts.
    """
    parts = get_protocol(protocol).folds(cases)
    if len(parts) < 2:
        raise DataError(
            f"{protocol}: cross-validation needs at least 2 parts to hold out, the "
            f"data has {len(parts)}"
        )
    return parts


def _keeps_folds(cases: Sequence[Case]) -> bool:
    """Tell whether the folds of all cases belong together, so that they are kept.

    Raises
    ------
    DataError
        If some cases are in folds of the user's own and others are not.
    """
    sources = by_source(cases)
    if len(sources) == 1 and all(case.fold >= 0 for case in cases):
        return True
    divided = [name for name, members in sources.items() if has_own_folds(members)]
    without = [name for name in sources if name not in divided]
    if divided and without:
        raise DataError(
            f"the source {divided[0]!r} has folds of its own and {without[0]!r} has "
            f"not: give a fold to every image or to none"
        )
    for name in without:
        members = sources[name]
        if published_division(members) is None and any(c.fold >= 0 for c in members):
            alone = next(case for case in members if case.fold < 0)
            raise DataError(
                f"{name}: {alone.name} is in no fold and other images are: give a fold "
                f"to every image or to none"
            )
    return bool(divided)


def _unused_folds(cases: Sequence[Case]) -> tuple[str, ...]:
    """Name the sources whose published folds are not used."""
    names = [
        name
        for name, members in by_source(cases).items()
        if published_division(members) is not None
    ]
    if not names:
        return ()
    listed = " and ".join(names)
    return (
        f"new folds over all sources: the published folds of {listed} hold for one "
        f"data set alone",
    )
