"""Figures of parts of the cases: by source, lesion size, and what the data set says."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence

from busnet.evaluation.intervals import Interval, intervals
from busnet.evaluation.metrics import SIZES, among_lesions
from busnet.evaluation.scores import CaseScore, Scores

__all__ = ["MIN_GROUPS", "PRINTED", "Stratum", "compute_strata"]

#: Groups below which a stratum is marked: its interval is too narrow to be relied on.
MIN_GROUPS = 10

#: Values of an attribute above which it makes no strata (an age, a size, a date).
MAX_VALUES = 40

#: Figures that are printed of strata; files hold all of them.
PRINTED = (
    "accuracy",
    among_lesions("accuracy"),
    among_lesions("malignant AUC"),
    "Dice",
)

SOURCE, SIZE = "source", "lesion size"

NOT_STATED = "not stated"


@dataclasses.dataclass(frozen=True)
class Stratum:
    """The cases that share a value, and their figures.

    Attributes
    ----------
    kind
        What the cases are divided by: ``"source"``, ``"lesion size"`` or an attribute
        of the data set, such as ``"birads"``.
    name
        The value that they share.
    images, groups
        How many there are.
    figures
        The figures that are defined, with their intervals by bootstrap over the
        stratum's own groups.
    """

    kind: str
    name: str
    images: int
    groups: int
    figures: Mapping[str, Interval]

    @property
    def is_small(self) -> bool:
        """Whether it has fewer groups than :data:`MIN_GROUPS`."""
        return self.groups < MIN_GROUPS


def compute_strata(
    scores: Scores, *, count: int = 1000, seed: int = 0
) -> tuple[Stratum, ...]:
    """Return the strata of scores.

    By source, where there are several; by lesion size, the lesion's share of the image:
    small below 4 %, medium below 12 %, large from there on; and by each attribute that
    has two or more values, but no more than :data:`MAX_VALUES`.

    Parameters
    ----------
    scores
        All cases.
    count, seed
        Number of bootstrap draws and their seed.
    """
    return tuple(
        Stratum(
            kind,
            name,
            images=len(part),
            groups=int(part.groups.max()) + 1,
            figures={
                figure: interval
                for figure, interval in intervals(part, count=count, seed=seed).items()
                if interval.is_defined
            },
        )
        for kind, name, part in _divide(scores)
    )


def _divide(scores: Scores) -> Iterator[tuple[str, str, Scores]]:
    if scores.sources.max() > 0:
        yield from _by_value(SOURCE, scores, [case.source for case in scores])
    yield from _by_value(SIZE, scores, [_size(case) for case in scores])
    for name in sorted({name for case in scores for name in case.attributes}):
        values = [case.attributes.get(name) or NOT_STATED for case in scores]
        if 1 < len({*values} - {NOT_STATED}) <= MAX_VALUES:
            yield from _by_value(name, scores, values)


def _size(case: CaseScore) -> str | None:
    """Return the size of a case's lesion, None without one."""
    if not case.lesion:
        return None
    return next(name for name, (low, high) in SIZES.items() if low <= case.area < high)


def _by_value(
    kind: str, scores: Scores, values: Sequence[str | None]
) -> Iterator[tuple[str, str, Scores]]:
    parts: dict[str, list[CaseScore]] = {}
    for case, value in zip(scores, values, strict=True):
        if value is not None:
            parts.setdefault(value, []).append(case)
    for name in SIZES if kind == SIZE else sorted(parts):
        if name in parts:
            yield kind, name, Scores(parts[name])
