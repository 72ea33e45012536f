"""Intervals by bootstrap over groups, and paired comparisons.

Images of one scene or patient are not independent, so whole groups are drawn (Field and
Welsh, J. R. Stat. Soc. B 69:369, 2007). Intervals are percentiles.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from busnet.errors import DataError
from busnet.evaluation.metrics import Figures, Weights, figures_of
from busnet.evaluation.scores import Scores

__all__ = ["Interval", "compare", "intervals", "replicates"]

LEVEL = 0.95


@dataclasses.dataclass(frozen=True)
class Interval:
    """A figure with its 95 % interval; NaN where it is not defined."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        """Return value and interval with three decimals."""
        if np.isnan(self.value):
            return "not defined"
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"


def replicates(
    groups: npt.NDArray[np.intp], count: int, seed: int
) -> Iterator[Weights]:
    """Yield how often each case counts in each of ``count`` draws of groups."""
    generator = np.random.default_rng(seed)
    number = int(groups.max()) + 1
    for _ in range(count):
        drawn = generator.integers(0, number, number)
        yield np.bincount(drawn, minlength=number)[groups].astype(np.float64)


def _interval(value: float, drawn: list[float]) -> Interval:
    known = np.array([x for x in drawn if not np.isnan(x)])
    if known.size == 0:
        return Interval(value, float("nan"), float("nan"))
    tail = 100 * (1 - LEVEL) / 2
    low, high = np.percentile(known, [tail, 100 - tail])
    return Interval(value, float(low), float(high))


def intervals(
    scores: Scores, *, count: int = 1000, seed: int = 0
) -> dict[str, Interval]:
    """Return every figure of the scores with its interval."""
    drawn = [figures_of(scores, w) for w in replicates(scores.groups, count, seed)]
    return {
        name: _interval(value, [d.get(name, float("nan")) for d in drawn])
        for name, value in figures_of(scores).items()
    }


def compare(
    first: Scores, second: Scores, *, count: int = 1000, seed: int = 0
) -> dict[str, Interval]:
    """Return the differences of two models' figures, the second less the first.

    Both are drawn alike: the same groups of the same images.

    Raises
    ------
    DataError
        If they are not scores of the same cases.
    """
    names = [case.name for case in first]
    if names != [case.name for case in second]:
        raise DataError("the two evaluations are not of the same cases")
    drawn = [
        _difference(figures_of(first, w), figures_of(second, w))
        for w in replicates(first.groups, count, seed)
    ]
    whole = _difference(figures_of(first), figures_of(second))
    return {
        name: _interval(value, [d.get(name, float("nan")) for d in drawn])
        for name, value in whole.items()
    }


def _difference(first: Figures, second: Figures) -> Figures:
    return {name: second[name] - first[name] for name in first if name in second}
