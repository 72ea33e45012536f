"""Figures of a ranking by a score: AUC, AUPRC, operating points.

Every function takes weights of many draws at once, (draws, cases), and returns one
value for each draw: a bootstrap is a few cumulative sums, not a loop. The definitions
are scikit-learn's (``roc_curve``, ``average_precision_score``); tests compare the two.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import numpy.typing as npt

__all__ = ["Ranking", "ratio"]

FloatArray = npt.NDArray[np.float64]

#: How far a rate may be below the stated one, for rounding.
TOLERANCE = 1e-9


def ratio(numerator: FloatArray, denominator: FloatArray) -> FloatArray:
    """Divide elementwise; NaN where the denominator is 0."""
    shape = np.broadcast_shapes(numerator.shape, denominator.shape)
    quotient = np.full(shape, np.nan)
    np.divide(numerator, denominator, out=quotient, where=denominator > 0)
    return quotient


@dataclasses.dataclass(frozen=True)
class Ranking:
    """Weighted counts at every threshold, from above the highest score downwards.

    Attributes
    ----------
    true, false
        Weight of the positive and of the negative cases that score at least as high as
        the threshold, (draws, thresholds); the first threshold is above all scores.
    """

    true: FloatArray
    false: FloatArray

    @classmethod
    def of(
        cls, positive: npt.NDArray[np.bool_], score: FloatArray, weights: FloatArray
    ) -> Ranking:
        """Count cases (N,) by descending score, with weights (draws, N)."""
        order = np.argsort(-score, kind="stable")
        ends = np.flatnonzero(np.diff(score[order], append=np.inf))
        ordered = weights[:, order]

        def counts(chosen: npt.NDArray[np.bool_]) -> FloatArray:
            sums = np.cumsum(ordered * chosen[order], axis=1)[:, ends]
            return np.pad(sums, ((0, 0), (1, 0)))

        return cls(counts(positive), counts(~positive))

    @property
    def sensitivity(self) -> FloatArray:
        """Share of the positives at or above each threshold; NaN without positives."""
        return ratio(self.true, self.true[:, -1:])

    @property
    def specificity(self) -> FloatArray:
        """Share of the negatives below each threshold; NaN without negatives."""
        return 1 - ratio(self.false, self.false[:, -1:])

    def auc(self) -> FloatArray:
        """Return the area under the ROC curve, ties counted half."""
        steps = np.diff(self.false, axis=1)
        area = (steps * (self.true[:, 1:] + self.true[:, :-1]) / 2).sum(1)
        return ratio(area, self.true[:, -1] * self.false[:, -1])

    def average_precision(self) -> FloatArray:
        """Return the sum of precisions, each times the sensitivity that it adds."""
        predicted = self.true[:, 1:] + self.false[:, 1:]
        precision = np.nan_to_num(ratio(self.true[:, 1:], predicted))
        gained = np.diff(self.true, axis=1)
        defined = np.where(self.false[:, -1] > 0, self.true[:, -1], 0.0)
        return ratio((gained * precision).sum(1), defined)

    def sensitivity_at(self, specificity: float) -> FloatArray:
        """Return the highest sensitivity at which the specificity is at least this."""
        return _best(self.sensitivity, self.specificity, specificity)

    def specificity_at(self, sensitivity: float) -> FloatArray:
        """Return the highest specificity at which the sensitivity is at least this."""
        return _best(self.specificity, self.sensitivity, sensitivity)


def _best(figure: FloatArray, condition: FloatArray, point: float) -> FloatArray:
    defined = ~np.isnan(figure[:, -1]) & ~np.isnan(condition[:, -1])
    best = np.where(condition >= point - TOLERANCE, figure, 0.0).max(1)
    return np.where(defined, best, np.nan)
