"""How well two masks agree: Dice, IoU, and distances between their outlines.

The outline of a mask is its pixels that have a neighbour (of four) outside; beyond the
image is outside. Distances are Euclidean, between pixel centres.

HD95 is the larger of the two directed 95th percentiles (Maier-Hein et al., Metrics
Reloaded, Nature Methods 2024). Tools that pool both directions first give less; by how
much depends on the masks, so figures of such tools cannot be compared with these.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from busnet.errors import DataError

__all__ = ["Overlap", "compare_masks"]

Mask = npt.NDArray[np.bool_]


@dataclasses.dataclass(frozen=True)
class Overlap:
    """Agreement of a predicted mask with the true one.

    Attributes
    ----------
    dice, iou
        1 where both masks are empty, 0 where one is.
    hd95, assd
        95th percentile Hausdorff distance and average symmetric surface distance,
        in pixels; None where a mask is empty, since no distance is defined then.
    """

    dice: float
    iou: float
    hd95: float | None
    assd: float | None


def compare_masks(truth: Mask, predicted: Mask) -> Overlap:
    """Compare two masks (H, W).

    Raises
    ------
    DataError
        If their shapes differ.
    """
    if truth.shape != predicted.shape:
        raise DataError(
            f"masks of {truth.shape} and {predicted.shape} cannot be compared"
        )
    both = int(np.count_nonzero(truth & predicted))
    either = int(np.count_nonzero(truth | predicted))
    if either == 0:
        return Overlap(1.0, 1.0, None, None)
    dice, iou = 2 * both / (both + either), both / either
    if not truth.any() or not predicted.any():
        return Overlap(dice, iou, None, None)
    there, back = _distances(truth, predicted)
    return Overlap(
        dice,
        iou,
        hd95=float(max(np.percentile(there, 95), np.percentile(back, 95))),
        assd=float((there.sum() + back.sum()) / (there.size + back.size)),
    )


def _distances(
    a: Mask, b: Mask
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return distances of a's outline from b's, and of b's from a's."""
    rows, columns = np.nonzero(a | b)
    inner = np.s_[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
    outlines = [m[inner] & ~ndimage.binary_erosion(m)[inner] for m in (a, b)]
    to_a, to_b = (ndimage.distance_transform_edt(~outline) for outline in outlines)
    return to_b[outlines[0]], to_a[outlines[1]]
