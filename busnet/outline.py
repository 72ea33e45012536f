"""The outline of a mask."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["outline"]

Mask = npt.NDArray[np.bool_]


def outline(mask: Mask, width: int) -> Mask:
    """Return the pixels of a mask that are near to its background.

    Near is a distance of at most ``width``, along rows and along columns. What lies
    beyond the image counts as background, so that a lesion at the image's edge has an
    outline there. Takes time in proportion to the pixels of the mask's bounding box
    and the logarithm of the width.

    Parameters
    ----------
    mask
        bool (H, W).
    width
        Width of the outline in pixels, at least 1.

    Returns
    -------
    numpy.ndarray
        bool (H, W), a part of the mask.
    """
    edge = np.zeros_like(mask)
    if not mask.any():
        return edge
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    box = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    part = mask[box]
    edge[box] = part
    # A square window is a window along rows after one along columns.
    interior = _windows(_windows(part, width).T, width).T
    if interior.size:
        edge[box][width:-width, width:-width] &= ~interior
    return edge


def _windows(mask: Mask, width: int) -> Mask:
    """Tell which windows of ``2 * width + 1`` rows are all True.

    Windows that reach beyond the mask are left out. A window is the overlap of two
    windows of about half its length, so their length doubles from step to step.
    """
    length, target = 1, 2 * width + 1
    while length < target and len(mask):
        step = min(length, target - length)
        mask = mask[:-step] & mask[step:]
        length += step
    return mask
