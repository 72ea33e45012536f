"""Splits: which cases are trained on, validated on and held out."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Iterable, Sequence

from busnet.data.cases import CLASSES, Case
from busnet.data.numbers import check_fold, whole_number
from busnet.data.protocols import Fold, get_protocol
from busnet.errors import DataError, LeakError

__all__ = ["Split", "split"]


@dataclasses.dataclass(frozen=True)
class Split:
    """Training, validation and test cases.

    Attributes
    ----------
    leaks
        Keys of the groups of which cases stand in two of the parts; none unless that
        was allowed.
    """

    train: tuple[Case, ...]
    validation: tuple[Case, ...]
    test: tuple[Case, ...]
    leaks: tuple[str, ...] = ()


def split(
    cases: Iterable[Case],
    protocol: str,
    fold: Fold,
    *,
    validation: float = 0.1,
    seed: int = 0,
    allow_leak: bool = False,
) -> Split:
    """Hold out one fold or source for test and a part of the rest for validation.

    Parameters
    ----------
    cases
        All cases of the data sets.
    protocol
        A name of :data:`busnet.data.protocols.PROTOCOLS`.
    fold
        What is held out: the number of a fold or, for ``hospitals``, the name of a
        source. None holds out nothing, except for ``release``, which has one fold.
    validation
        Share of the remaining groups that is set aside, of each source and class
        alike; at least one group where there are three. A group counts as its most
        severe class. What is held out has no part in it.
    seed
        Seed of the choice of those groups.
    allow_leak
        Whether a group may stand in two parts; the split then says which do.

    Raises
    ------
    DataError
        If the protocol or the fold is unknown, a source that the protocol needs is
        missing, or nothing is left to train on.
    LeakError
        If a group would be divided and that is not allowed.
    """
    fold, seed = check_fold(fold), whole_number(seed, "the seed")
    chosen = get_protocol(protocol)
    used = chosen.use(cases)
    missing = set(chosen.sources) - {case.source for case in used}
    if missing:
        raise DataError(f"{protocol}: the source {sorted(missing)[0]!r} is missing")
    if fold is None:
        fold = chosen.only_fold
    test = () if fold is None else tuple(chosen.test_cases(used, fold))
    held_out = {id(case) for case in test}
    rest = [case for case in used if id(case) not in held_out]
    if not rest:
        raise DataError(f"{protocol}, fold {fold}: nothing is left to train on")
    groups = _validation_groups(rest, validation, seed)
    result = Split(
        train=tuple(case for case in rest if case.key not in groups),
        validation=tuple(case for case in rest if case.key in groups),
        test=test,
    )
    leaks = _leaks(result)
    if leaks and not allow_leak:
        raise LeakError(
            f"{protocol}, fold {fold}: {len(leaks)} groups stand on both sides of the "
            f"split, the first is {leaks[0]}; such results are too good to be true"
        )
    return dataclasses.replace(result, leaks=leaks)


def _validation_groups(cases: Sequence[Case], share: float, seed: int) -> set[str]:
    """Draw the keys of groups, the same share of each source and class."""
    severity: dict[str, int] = {}
    source: dict[str, str] = {}
    for case in cases:
        rank = -1 if case.label is None else CLASSES.index(case.label)
        severity[case.key] = max(rank, severity.get(case.key, -1))
        source[case.key] = case.source
    strata: dict[tuple[str, str], list[str]] = {}
    for key in sorted(severity):
        rank = severity[key]
        label = "" if rank < 0 else CLASSES[rank]
        strata.setdefault((source[key], label), []).append(key)
    generator = random.Random(seed)
    drawn: set[str] = set()
    for _, keys in sorted(strata.items()):
        count = round(share * len(keys))
        if share > 0 and len(keys) >= 3:
            count = max(1, count)
        drawn.update(generator.sample(keys, count))
    return drawn


def _leaks(result: Split) -> tuple[str, ...]:
    """Return the keys of the groups that stand in more than one part."""
    train, validation, test = (
        {case.key for case in part}
        for part in (result.train, result.validation, result.test)
    )
    both = (train & validation) | (train & test) | (validation & test)
    return tuple(sorted(both))
