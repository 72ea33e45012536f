"""Lesions: the connected components of a mask, and their measures."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import numpy.typing as npt

from busnet import _core

__all__ = ["Lesion", "Spacing", "components", "find_lesions", "lesion_mask"]

#: Millimetres from one row to the next, and from one column to the next.
Spacing = tuple[float, float]


@dataclasses.dataclass(frozen=True)
class Lesion:
    """One connected component of a mask (8-connected).

    Attributes
    ----------
    box
        (top, left, bottom, right) in pixels; bottom and right are one past the last.
    area
        Number of pixels.
    centre
        (row, column) of the centre of mass, pixels.
    axes
        Major and minor axis, pixels: of the ellipse that has the component's second
        moments.
    circularity
        4 pi area / perimeter**2, in 0..1; a disc has 1. The perimeter is Crofton's,
        from four directions.
    probability
        Mean lesion probability over the component.
    spacing
        Millimetres a row and a column, or None where they are not known.
    """

    box: tuple[int, int, int, int]
    area: int
    centre: tuple[float, float]
    axes: tuple[float, float]
    circularity: float
    probability: float
    spacing: Spacing | None = None
    axes_mm: tuple[float, float] | None = None

    @property
    def area_mm2(self) -> float | None:
        """Area in square millimetres, None without spacing."""
        if self.spacing is None:
            return None
        return self.area * self.spacing[0] * self.spacing[1]

    @property
    def size_mm(self) -> tuple[float, float] | None:
        """Height and width of the box in millimetres, None without spacing."""
        if self.spacing is None:
            return None
        top, left, bottom, right = self.box
        return (bottom - top) * self.spacing[0], (right - left) * self.spacing[1]

    @property
    def depth_width_ratio(self) -> float | None:
        """Height over width of the box in millimetres, None without spacing.

        Above 1 the lesion is taller than wide.
        """
        if self.size_mm is None:
            return None
        return self.size_mm[0] / self.size_mm[1]

    def as_dict(self) -> dict[str, Any]:
        """Return the measures as JSON holds them; millimetres only where known."""
        document: dict[str, Any] = {
            "box": list(self.box),
            "area_px": self.area,
            "centre_px": list(self.centre),
            "axes_px": list(self.axes),
            "circularity": self.circularity,
            "probability": self.probability,
        }
        if self.size_mm is not None and self.axes_mm is not None:
            document["area_mm2"] = self.area_mm2
            document["size_mm"] = list(self.size_mm)
            document["axes_mm"] = list(self.axes_mm)
            document["depth_width_ratio"] = self.depth_width_ratio
        return document


def lesion_mask(
    probability: npt.NDArray[np.float32], threshold: float, peak: float
) -> npt.NDArray[np.bool_]:
    """Return where a lesion probability (H, W) reaches the threshold.

    Connected components that nowhere reach the peak are left out: weak borders of a
    lesion are kept, weak spots by themselves are not (Canny, PAMI 1986).
    """
    mask = probability >= threshold
    if peak > threshold and mask.any():
        inner, labels, count = components(mask)
        kept = np.zeros(count + 1, np.bool_)
        kept[labels[probability[inner] >= peak]] = True
        mask[inner] = kept[labels]
    return mask


def components(
    mask: npt.NDArray[np.bool_],
) -> tuple[tuple[slice, slice], npt.NDArray[np.int32], int]:
    """Label the connected components (8-connected) of a mask (H, W) that is not empty.

    Returns
    -------
    tuple
        The smallest rectangle with all of them, the labels in it (0 is background),
        and how many there are.
    """
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    inner = np.s_[
        int(rows[0]) : int(rows[-1]) + 1, int(columns[0]) : int(columns[-1]) + 1
    ]
    part = np.ascontiguousarray(mask[inner]).view(np.uint8)
    return inner, *_core.label(part)


def find_lesions(
    mask: npt.NDArray[np.bool_],
    probability: npt.NDArray[np.float32],
    spacing: Spacing | None = None,
) -> tuple[Lesion, ...]:
    """Measure the connected components of a mask (H, W), the largest first."""
    if not mask.any():
        return ()
    inner, labels, count = components(mask)
    origin = inner[0].start, inner[1].start
    found = [
        _measure(labels == i, probability[inner], origin, spacing)
        for i in range(1, count + 1)
    ]
    return tuple(sorted(found, key=lambda lesion: -lesion.area))


def _measure(
    component: npt.NDArray[np.bool_],
    probability: npt.NDArray[np.float32],
    origin: tuple[int, int],
    spacing: Spacing | None,
) -> Lesion:
    rows, columns = np.nonzero(component)
    top, bottom = int(rows.min()), int(rows.max()) + 1
    left, right = int(columns.min()), int(columns.max()) + 1
    area = len(rows)
    perimeter = _perimeter(component[top:bottom, left:right])
    return Lesion(
        box=(origin[0] + top, origin[1] + left, origin[0] + bottom, origin[1] + right),
        area=area,
        centre=(origin[0] + float(rows.mean()), origin[1] + float(columns.mean())),
        axes=_axes(rows, columns, (1.0, 1.0)),
        circularity=min(1.0, 4 * math.pi * area / perimeter**2),
        probability=float(probability[component].mean()),
        spacing=spacing,
        axes_mm=_axes(rows, columns, spacing) if spacing is not None else None,
    )


def _axes(
    rows: npt.NDArray[np.intp], columns: npt.NDArray[np.intp], spacing: Spacing
) -> tuple[float, float]:
    """Major and minor axis of the ellipse with the pixels' second moments.

    A pixel is a small square and not a point: its own second moment is 1/12.
    """
    y, x = rows * spacing[0], columns * spacing[1]
    yy = float(y.var()) + spacing[0] ** 2 / 12
    xx = float(x.var()) + spacing[1] ** 2 / 12
    xy = float(((y - y.mean()) * (x - x.mean())).mean())
    middle, half = (yy + xx) / 2, math.hypot((yy - xx) / 2, xy)
    return 4 * math.sqrt(middle + half), 4 * math.sqrt(max(middle - half, 0.0))


def _perimeter(component: npt.NDArray[np.bool_]) -> float:
    """Length of the outline by Crofton's formula: how often lines cross it.

    Lines run in four directions, one pixel apart along rows and columns and 1/sqrt(2)
    along the diagonals.
    """
    p = np.pad(component, 1)
    straight = np.count_nonzero(p[1:] != p[:-1]) + np.count_nonzero(
        p[:, 1:] != p[:, :-1]
    )
    diagonal = np.count_nonzero(p[1:, 1:] != p[:-1, :-1]) + np.count_nonzero(
        p[1:, :-1] != p[:-1, 1:]
    )
    return math.pi / 8 * float(straight + diagonal / math.sqrt(2))
