"""Intervals by bootstrap over groups, and paired comparisons.

Images of one scene or patient are not independent, so whole groups are drawn (Field and
Welsh, J. R. Stat. Soc. B 69:369, 2007), within each source as many as it has. Intervals
are percentiles.
"""

from __future__ import annotations

import collections
import dataclasses
import itertools
import math
from collections.abc import Callable, Collection, Iterator

import numpy as np
import numpy.typing as npt

from busnet.data.numbers import check_seed, whole_number
from busnet.errors import DataError
from busnet.evaluation.metrics import (
    Figures,
    Weights,
    compute_figures,
    mean_of_known,
)
from busnet.evaluation.pairing import pair_scores
from busnet.evaluation.scores import Scores

__all__ = ["Interval", "compare", "draw_weights", "intervals"]

LEVEL = 0.95

#: Weights that are drawn at a time, so that memory does not grow with the draws.
BLOCK = 4_000_000


@dataclasses.dataclass(frozen=True)
class Interval:
    """A figure with its 95 % interval; NaN where it is not defined."""

    value: float
    low: float
    high: float

    @property
    def is_defined(self) -> bool:
        """Whether there is a value."""
        return not np.isnan(self.value)

    @property
    def excludes_zero(self) -> bool:
        """Whether the interval of a difference is on one side of zero.

        That of a figure that is not defined is on neither.
        """
        return bool(self.low > 0 or self.high < 0)

    @property
    def rounded(self) -> list[float | None]:
        """Value, low and high with six decimals, as files have them; None for NaN."""
        numbers = (self.value, self.low, self.high)
        return [None if math.isnan(x) else round(x, 6) for x in numbers]

    def __str__(self) -> str:
        """Return value and interval with three decimals."""
        if not self.is_defined:
            return "not defined"
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"


def draw_weights(scores: Scores, count: int, seed: int) -> Iterator[Weights]:
    """Yield how often each case counts in ``count`` draws of groups.

    Yields
    ------
    array
        (draws, N), of a few draws at a time.
    """
    count = whole_number(count, "the number of bootstrap draws")
    if count < 1:
        raise DataError(f"a bootstrap has at least one draw, not {count}")
    generator = np.random.default_rng(check_seed(seed))
    groups = scores.groups
    # Groups are numbered by source first, so each source has a range of numbers.
    first = {s: int(groups[scores.sources == s].min()) for s in set(scores.sources)}
    starts = [*sorted(first.values()), int(groups.max()) + 1]
    remaining = count
    while remaining > 0:
        size = min(remaining, max(1, BLOCK // len(scores)))
        block = np.empty((size, len(scores)))
        for row in block:
            drawn = [
                generator.integers(start, end, end - start)
                for start, end in itertools.pairwise(starts)
            ]
            row[:] = np.bincount(np.concatenate(drawn), minlength=starts[-1])[groups]
        yield block
        remaining -= size


def intervals(
    scores: Scores, *, macro: bool = False, count: int = 1000, seed: int = 0
) -> dict[str, Interval]:
    """Return every figure of the scores with its interval.

    Parameters
    ----------
    scores
        Of one or of several sources.
    macro
        Whether a figure is the mean of the sources' figures, as far as they have it,
        instead of that of all cases together.
    count, seed
        Number of bootstrap draws and their seed.
    """

    def compute(weights: Weights | None) -> Figures:
        return _figures(scores, weights, macro=macro)

    return _bootstrap(compute, scores, count, seed)


def compare(
    first: Scores,
    second: Scores,
    *,
    ignored: Collection[str] = (),
    macro: bool = False,
    count: int = 1000,
    seed: int = 0,
) -> dict[str, Interval]:
    """Return the differences of two models' figures: second minus first.

    Both are drawn alike: the same groups of the same images.

    Parameters
    ----------
    first, second, ignored
        As for :func:`busnet.evaluation.pairing.pair_scores`.
    macro, count, seed
        As for :func:`intervals`.

    Raises
    ------
    DataError
        If they are not scores of the same cases.
    """
    first, second = pair_scores(first, second, ignored=ignored)

    def difference(weights: Weights | None) -> Figures:
        ours, theirs = (
            _figures(scores, weights, macro=macro) for scores in (second, first)
        )
        return {name: ours[name] - theirs[name] for name in theirs if name in ours}

    return _bootstrap(difference, first, count, seed)


def _bootstrap(
    compute: Callable[[Weights | None], Figures], scores: Scores, count: int, seed: int
) -> dict[str, Interval]:
    draws: dict[str, list[npt.NDArray[np.float64]]] = collections.defaultdict(list)
    for weights in draw_weights(scores, count, seed):
        for name, values in compute(weights).items():
            draws[name].append(values)
    return {
        name: _interval(float(value[0]), np.concatenate(draws[name]))
        for name, value in compute(None).items()
    }


def _interval(value: float, draws: npt.NDArray[np.float64]) -> Interval:
    known = draws[~np.isnan(draws)]
    if known.size == 0 or np.isnan(value):
        return Interval(value, float("nan"), float("nan"))
    tail = 100 * (1 - LEVEL) / 2
    low, high = np.percentile(known, [tail, 100 - tail])
    return Interval(value, float(low), float(high))


def _figures(scores: Scores, weights: Weights | None, *, macro: bool) -> Figures:
    if not macro:
        return compute_figures(scores, weights)
    collected: dict[str, list[npt.NDArray[np.float64]]] = collections.defaultdict(list)
    for part, chosen in scores.by_source():
        of_part = None if weights is None else weights[:, chosen]
        for name, values in compute_figures(part, of_part).items():
            collected[name].append(values)
    return {
        name: mean_of_known(np.stack(values, -1)) for name, values in collected.items()
    }
