"""Masks that cannot be right: of another size or class, inverted, or outlines."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from busnet.lesions import components

__all__ = ["CONTRADICTIONS", "MOST_OF_IMAGE", "mask_contradiction", "mask_fault"]

Mask = npt.NDArray[np.bool_]

#: Share of the image from which a mask is probably of the background.
MOST_OF_IMAGE = 0.9

#: Share of the pixels along the edges of an image from which a mask is inverted, where
#: it has at least that share of background elsewhere. Lesions of public data sets reach
#: 5 %.
EDGE, BACKGROUND = 0.75, 0.001

#: What is said of each kind of contradiction, with its details.
CONTRADICTIONS = {
    "mask-size": "{}",
    "normal-mask": "the image is normal, but its mask has a lesion",
    "mask-shape": "its mask cannot be a lesion's: {}",
}

#: An outline encloses more than twice as many pixels as it has. Of masks of public data
#: sets none encloses a hundredth.
ENCLOSED = 2


def mask_contradiction(
    mask: Mask, shape: tuple[int, int], label: str | None
) -> tuple[str, str] | None:
    """Return in what a mask contradicts its image, its class or itself.

    Parameters
    ----------
    mask
        The mask, (H, W).
    shape
        Height and width of the image.
    label
        Its class, None where it is not known.

    Returns
    -------
    tuple of str or None
        The kind, a key of :data:`CONTRADICTIONS`, and the details, which may be "";
        None without one.
    """
    if mask.shape != shape:
        return "mask-size", f"the image is {shape}, its mask {mask.shape}"
    if label == "normal":
        return ("normal-mask", "") if mask.any() else None
    if fault := mask_fault(mask):
        return "mask-shape", fault
    return None


def mask_fault(mask: Mask) -> str:
    """Return why a mask (H, W) cannot be that of a lesion, "" if it can.

    An inverted mask is lesion along the edges of the image, and a drawn outline is thin
    around what it encloses. Neither has an odd value: only the shape tells.
    """
    edges = np.concatenate([mask[0], mask[-1], mask[:, 0], mask[:, -1]])
    if edges.mean() >= EDGE and mask.mean() <= 1 - BACKGROUND:
        return "it is inverted: the lesion lies along the edges of the image"
    if mask.any() and _count_enclosed(mask) > ENCLOSED * mask.sum():
        return "it is an outline, not filled"
    return ""


def _count_enclosed(mask: Mask) -> int:
    """Count the pixels that a mask encloses, but for those next to it."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    part = mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    # Widened by a pixel, outlines have no gaps at corners; around them is the outside.
    wide = np.pad(part, 2)
    for axis in (0, 1):
        wide = wide | np.roll(wide, 1, axis) | np.roll(wide, -1, axis)
    _, labels, _ = components(~wide)
    return int(((labels > 0) & (labels != labels[0, 0])).sum())
