"""Protocols and splits: which cases are used, and which of them are held out."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Callable, Iterable, Sequence

from busnet.data.cases import Case
from busnet.errors import DataError, LeakError

__all__ = ["PROTOCOLS", "Protocol", "Split", "protocol", "split"]

#: Reasons for which a case of BUSI is not clean.
_UNCLEAN = ("axilla", "needle")


def _in_folds(cases: Iterable[Case]) -> list[Case]:
    return [case for case in cases if case.fold >= 0]


def _clean(cases: Iterable[Case]) -> list[Case]:
    seen: set[str] = set()
    chosen = []
    for case in _in_folds(cases):
        if case.objection not in _UNCLEAN and case.group not in seen:
            seen.add(case.group)
            chosen.append(case)
    return chosen


def _random(cases: Iterable[Case]) -> list[Case]:
    by_label: dict[str, list[Case]] = {}
    for case in cases:
        by_label.setdefault(case.label, []).append(case)
    generator = random.Random(0)
    dealt = []
    for _, members in sorted(by_label.items()):
        generator.shuffle(members)
        dealt += [
            dataclasses.replace(case, fold=i % 5) for i, case in enumerate(members)
        ]
    return sorted(dealt, key=lambda case: case.name)


def _whole(cases: Iterable[Case]) -> list[Case]:
    return list(cases)


@dataclasses.dataclass(frozen=True)
class Protocol:
    """A named way to use a data set.

    Attributes
    ----------
    data
        ``"busi"``, ``"busbra"`` or ``"own"``: whose reader it is for.
    description
        What a report says of it.
    choose
        Returns the cases that are used, with their folds.
    folds
        Name of the division into folds; protocols with the same one can be evaluated
        with each other's models.
    leaky
        Whether copies of the same scene stand in several folds.
    """

    data: str
    description: str
    choose: Callable[[Iterable[Case]], list[Case]]
    folds: str
    leaky: bool = False


PROTOCOLS = {
    "busi-group5": Protocol(
        "busi",
        "BUSI, 760 images, five duplicate-group-aware folds",
        _in_folds,
        "busi-groups",
    ),
    "busi-clean": Protocol(
        "busi",
        "BUSI, one image of each group of duplicates, without axillae and needles, "
        "five duplicate-group-aware folds",
        _clean,
        "busi-groups",
    ),
    "busi-random5": Protocol(
        "busi",
        "BUSI, 780 images, five random folds: LEAKY, copies of test images are trained "
        "on; only for comparison with literature that did the same",
        _random,
        "busi-random",
        leaky=True,
    ),
    "busbra-patient5": Protocol(
        "busbra",
        "BUS-BRA, 1,875 images, the official five patient-level folds",
        _in_folds,
        "busbra-patients",
    ),
    "own": Protocol("own", "the user's own images", _whole, "own"),
}


@dataclasses.dataclass(frozen=True)
class Split:
    """Training, validation and test cases.

    Attributes
    ----------
    leaks
        Groups of which cases stand in two of the parts; none unless that was allowed.
    """

    train: tuple[Case, ...]
    validation: tuple[Case, ...]
    test: tuple[Case, ...]
    leaks: tuple[str, ...] = ()


def protocol(name: str) -> Protocol:
    """Return the protocol called ``name``.

    Raises
    ------
    DataError
        If there is none.
    """
    try:
        return PROTOCOLS[name]
    except KeyError:
        known = ", ".join(PROTOCOLS)
        raise DataError(f"no protocol is called {name!r}; there are {known}") from None


def split(
    cases: Iterable[Case],
    name: str,
    fold: int | None,
    *,
    validation: float = 0.1,
    seed: int = 0,
    allow_leak: bool = False,
) -> Split:
    """Hold out one fold for test and a part of the rest for validation.

    Parameters
    ----------
    cases
        All cases of the data set.
    name
        A name of :data:`PROTOCOLS`.
    fold
        The fold that is held out; None holds out nothing.
    validation
        Share of the remaining groups that is set aside, of each class alike. The
        held-out fold has no part in it.
    seed
        Seed of the choice of those groups.
    allow_leak
        Whether a group may stand in two parts; the split then says which do.

    Raises
    ------
    DataError
        If the protocol or the fold is unknown.
    LeakError
        If a group would be divided and that is not allowed.
    """
    used = protocol(name).choose(cases)
    folds = sorted({case.fold for case in used})
    if fold is not None and fold not in folds:
        raise DataError(f"{name} has the folds {folds}, not {fold}")
    test = tuple(case for case in used if case.fold == fold)
    rest = [case for case in used if case.fold != fold]
    chosen = _choose_groups(rest, validation, seed)
    result = Split(
        train=tuple(case for case in rest if case.group not in chosen),
        validation=tuple(case for case in rest if case.group in chosen),
        test=test,
    )
    leaks = _leaks(result)
    if leaks and not allow_leak:
        raise LeakError(
            f"{name}, fold {fold}: {len(leaks)} groups stand on both sides of the "
            f"split, the first is {leaks[0]}; such results are too good to be true"
        )
    return dataclasses.replace(result, leaks=leaks)


def _choose_groups(cases: Sequence[Case], share: float, seed: int) -> set[str]:
    by_label: dict[str, list[str]] = {}
    for group, label in sorted({(case.group, case.label) for case in cases}):
        by_label.setdefault(label, []).append(group)
    generator = random.Random(seed)
    chosen: set[str] = set()
    for _, groups in sorted(by_label.items()):
        chosen.update(generator.sample(groups, round(share * len(groups))))
    return chosen


def _leaks(result: Split) -> tuple[str, ...]:
    """Return the groups that stand in more than one part."""
    train, validation, test = (
        {case.group for case in part}
        for part in (result.train, result.validation, result.test)
    )
    both = (train & validation) | (train & test) | (validation & test)
    return tuple(sorted(both))
