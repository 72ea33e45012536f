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

#: Millimetres a row and a column.
Spacing = tuple[float, float]


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
    hd95_mm, assd_mm
        The same in mm; None where the spacing is not known, too.
    """

    dice: float
    iou: float
    hd95: float | None = None
    assd: float | None = None
    hd95_mm: float | None = None
    assd_mm: float | None = None


def compare_masks(
    truth: Mask, predicted: Mask, spacing: Spacing | None = None
) -> Overlap:
    """Compare two masks (H, W).

    Parameters
    ----------
    truth, predicted
        The two masks.
    spacing
        Millimetres a row and a column, where they are known.

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
        return Overlap(1.0, 1.0)
    dice, iou = 2 * both / (both + either), both / either
    if not truth.any() or not predicted.any():
        return Overlap(dice, iou)
    outlines = _outlines(truth, predicted)
    hd95, assd = _distances(*outlines, (1.0, 1.0))
    if spacing is None:
        return Overlap(dice, iou, hd95, assd)
    return Overlap(dice, iou, hd95, assd, *_distances(*outlines, spacing))


def _outlines(a: Mask, b: Mask) -> tuple[Mask, Mask]:
    """Return the outlines of both within the box that holds them."""
    either = a | b
    rows, columns = (np.flatnonzero(either.any(axis)) for axis in (1, 0))
    box = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    # Beyond the box both masks are empty: its edge counts as the image's does.
    inner_a, inner_b = (ndimage.binary_erosion(mask[box]) for mask in (a, b))
    return a[box] & ~inner_a, b[box] & ~inner_b


def _distances(a: Mask, b: Mask, spacing: Spacing) -> tuple[float, float]:
    """Return HD95 and ASSD of two outlines, in the unit of the spacing."""
    to_a, to_b = (
        ndimage.distance_transform_edt(~outline, sampling=spacing) for outline in (a, b)
    )
    from_a, from_b = to_b[a], to_a[b]
    hd95 = max(np.percentile(from_a, 95), np.percentile(from_b, 95))
    assd = (from_a.sum() + from_b.sum()) / (from_a.size + from_b.size)
    return float(hd95), float(assd)
