"""Protocols: named ways to use data sets, with what is held out."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeAlias

from busnet.data.busbra import FIVE_FOLDS, TEN_FOLDS
from busnet.data.busi import GROUPS as BUSI_GROUPS
from busnet.data.cases import Case
from busnet.data.divisions import by_source, has_own_folds, published_division
from busnet.errors import DataError

__all__ = [
    "CUSTOM",
    "HOSPITALS",
    "PROTOCOLS",
    "Fold",
    "Protocol",
    "default_protocol",
    "get_protocol",
]

#: Names of the protocols for data of any source.
CUSTOM, HOSPITALS = "custom", "hospitals"

#: What is held out: the number of a fold, the name of a source, or nothing.
Fold: TypeAlias = int | str | None

#: Reasons for which a case of BUSI is not clean.
_UNCLEAN = ("axilla", "needle")

#: Name of BUSI's division into random folds.
BUSI_RANDOM = "busi-random"


def _usable(cases: Iterable[Case]) -> list[Case]:
    """Leave out images of whose scene a copy has another class."""
    return [case for case in cases if not case.contradicted]


def _fold_in(case: Case, division: str) -> int:
    if division not in case.divisions:
        raise DataError(
            f"{case.name}: the image is in no fold of {division}, the published "
            f"division of {case.source}, which {case.source}=FOLDER reads; rows of a "
            f"table are used by the protocols {CUSTOM} and {HOSPITALS}"
        )
    return case.divisions[division]


def _in_division(name: str) -> Callable[[Iterable[Case]], list[Case]]:
    def choose(cases: Iterable[Case]) -> list[Case]:
        return [
            dataclasses.replace(case, fold=_fold_in(case, name))
            for case in _usable(cases)
        ]

    return choose


def _clean(cases: Iterable[Case]) -> list[Case]:
    seen: set[str] = set()
    chosen = []
    for case in _in_division(BUSI_GROUPS)(cases):
        if case.objection not in _UNCLEAN and case.key not in seen:
            seen.add(case.key)
            chosen.append(case)
    return chosen


def _random(cases: Iterable[Case]) -> list[Case]:
    by_label: dict[str, list[Case]] = {}
    for case in cases:
        by_label.setdefault(case.label or "", []).append(case)
    generator = random.Random(0)
    dealt = []
    for _, members in sorted(by_label.items()):
        generator.shuffle(members)
        dealt += [
            dataclasses.replace(case, fold=i % 5) for i, case in enumerate(members)
        ]
    return sorted(dealt, key=lambda case: case.name)


def _release(cases: Iterable[Case]) -> list[Case]:
    divisions = {"busi": BUSI_GROUPS, "busbra": TEN_FOLDS}
    return [
        dataclasses.replace(case, fold=_fold_in(case, divisions[case.source]))
        if case.source in divisions
        else case
        for case in _usable(cases)
    ]


@dataclasses.dataclass(frozen=True)
class Protocol:
    """A named way to use one or several sources.

    Attributes
    ----------
    name
        Its name in :data:`PROTOCOLS`.
    description
        What a report says of it.
    choose
        Returns the cases that are used, with their folds.
    sources
        The sources that it is for; none means any.
    divisions
        Name of the division into folds for each source; ``"*"`` stands for every
        source. A model that was trained without a fold of a division can be evaluated
        on that fold by every protocol that has the same division.
    leaves_out_source
        Whether a whole source is held out, in place of a fold.
    only_fold
        The one fold that can be held out, where there is one only. It is held out
        also where no fold is named.
    leaky
        Whether copies of the same scene stand in several folds.
    """

    name: str
    description: str
    choose: Callable[[Iterable[Case]], list[Case]]
    sources: tuple[str, ...] = ()
    divisions: Mapping[str, str] = dataclasses.field(default_factory=dict, hash=False)
    leaves_out_source: bool = False
    only_fold: int | None = None
    leaky: bool = False

    def division(self, source: str) -> str | None:
        """Return the name of the division of a source, None where it is not divided."""
        return self.divisions.get(source, self.divisions.get("*"))

    def fits(self, cases: Iterable[Case]) -> bool:
        """Tell whether the folds of cases are published ones of the protocol's sources.

        Those of a table's rows are not, nor are folds that were made anew.
        """
        return all(
            published_division(members) is not None
            for source, members in by_source(cases).items()
            if source in self.divisions
        )

    def use(self, cases: Iterable[Case]) -> list[Case]:
        """Return the cases that the protocol uses, with their folds.

        Raises
        ------
        DataError
            If there are none, a source is not the protocol's, or a case is not in the
            protocol's division of its source.
        """
        listed = list(cases)
        for source in sorted({case.source for case in listed}):
            if self.sources and source not in self.sources:
                raise DataError(
                    f"{self.name} is a protocol for {' and '.join(self.sources)}, not "
                    f"for {source}"
                )
        used = self.choose(listed)
        if not used:
            raise DataError(f"{self.name}: there are no cases for it")
        return used

    def folds(self, used: Sequence[Case]) -> list[int | str]:
        """Return what can be held out of the cases that :meth:`use` returned."""
        if self.leaves_out_source:
            return list(dict.fromkeys(case.source for case in used))
        if self.only_fold is not None:
            return [self.only_fold]
        return sorted({case.fold for case in used if case.fold >= 0})

    def test_cases(self, used: Sequence[Case], fold: Fold) -> list[Case]:
        """Return the cases that are held out; all of them where ``fold`` is None.

        Where :attr:`only_fold` is set, ``fold`` None means that one.

        Raises
        ------
        DataError
            If there is no such fold; the message lists those that there are.
        """
        if fold is None:
            fold = self.only_fold
        if fold is None:
            return list(used)
        known = self.folds(used)
        if fold not in known:
            kind = "sources" if self.leaves_out_source else "folds"
            if not known:
                raise DataError(f"{self.name}: the cases are in no folds")
            what = str(fold)
            if what in map(str, known):
                form = "text" if isinstance(fold, str) else "number"
                what = f"the {form} {fold!r}"
            raise DataError(
                f"{self.name} has the {kind} {', '.join(map(str, known))}, not {what}"
            )
        return [case for case in used if self._place(case) == fold]

    def trained_sources(
        self, used: Sequence[Case], fold: Fold
    ) -> dict[str, dict[str, str | int | None]]:
        """Return what a training that holds out ``fold`` sees of each source.

        Returns
        -------
        dict
            By source: ``"folds"``, the name of the division, and ``"fold"``, what of it
            is held out; both None where all of the source is seen. A source that is
            not in it is not seen.
        """
        if fold is None:
            fold = self.only_fold
        seen: dict[str, dict[str, str | int | None]] = {}
        for source in dict.fromkeys(case.source for case in used):
            if self.leaves_out_source and source == fold:
                continue
            divided = any(c.source == source and self._place(c) == fold for c in used)
            division = self.division(source) if divided else None
            held_out = fold if division is not None else None
            seen[source] = {"folds": division, "fold": held_out}
        return seen

    def _place(self, case: Case) -> int | str:
        return case.source if self.leaves_out_source else case.fold


PROTOCOLS = {
    protocol.name: protocol
    for protocol in (
        Protocol(
            "busi-group5",
            "BUSI, 760 images, five duplicate-group-aware folds",
            _in_division(BUSI_GROUPS),
            ("busi",),
            {"busi": BUSI_GROUPS},
        ),
        Protocol(
            "busi-clean",
            "BUSI, one image of each group of duplicates, without axillae and needles, "
            "five duplicate-group-aware folds",
            _clean,
            ("busi",),
            {"busi": BUSI_GROUPS},
        ),
        Protocol(
            "busi-random5",
            "BUSI, 780 images, five random folds: LEAKY, copies of test images are "
            "trained on; only for comparison with literature that did the same",
            _random,
            ("busi",),
            {"busi": BUSI_RANDOM},
            leaky=True,
        ),
        Protocol(
            "busbra-patient5",
            "BUS-BRA, 1,875 images, the official five patient-level folds",
            _in_division(FIVE_FOLDS),
            ("busbra",),
            {"busbra": FIVE_FOLDS},
        ),
        Protocol(
            "busbra-patient10",
            "BUS-BRA, 1,875 images, the official ten patient-level folds",
            _in_division(TEN_FOLDS),
            ("busbra",),
            {"busbra": TEN_FOLDS},
        ),
        Protocol(
            HOSPITALS,
            "several sources, of which one is left out and tested on as a whole",
            _usable,
            leaves_out_source=True,
        ),
        Protocol(
            "release",
            "BUSI, BUS-BRA and BUS-UCLM; held out are fold 0 of BUSI's "
            "duplicate-group-aware folds and fold 0 of BUS-BRA's official ten",
            _release,
            ("busi", "busbra", "busuclm"),
            {"busi": BUSI_GROUPS, "busbra": TEN_FOLDS},
            only_fold=0,
        ),
        Protocol(CUSTOM, "the user's own images", _usable, (), {"*": "custom"}),
    )
}


def get_protocol(name: str) -> Protocol:
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


def default_protocol(cases: Sequence[Case]) -> str:
    """Return the name of the protocol that cases are used by where none is named.

    One published data set in its published folds has its own protocol; several sources
    are used by ``hospitals``, unless all cases are in folds of the user's own; anything
    else is ``custom``.
    """
    sources = by_source(cases)
    for name in ("busi-group5", "busbra-patient5"):
        if set(sources) == set(PROTOCOLS[name].sources) and PROTOCOLS[name].fits(cases):
            return name
    divided = all(map(has_own_folds, sources.values()))
    return HOSPITALS if len(sources) > 1 and not divided else CUSTOM
