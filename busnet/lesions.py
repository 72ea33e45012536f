"""Lesions: the connected components of a mask, and their measures."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from busnet import _core

__all__ = ["Lesion", "Spacing", "components", "find_lesions", "lesion_mask"]

#: Largest number of pixels to a side of a step across an outline.
MAX_STEP = 40
#: What a step's length costs, in radians for one pixel of the longer side.
STEP_COST = 0.1

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
        from eight directions. Of the shape in millimetres where the spacing is known,
        else of the shape in pixels.
    probability
        Mean lesion probability over the component.
    spacing
        Millimetres a row and a column, or None where they are not known.
    axes_mm
        As ``axes``, of the shape in millimetres; None without spacing.
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
        strong = np.zeros(count + 1, np.bool_)
        strong[labels[probability[inner] >= peak]] = True
        mask[inner] = strong[labels]
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
    """Measure the connected components of a mask (H, W), the largest first.

    All components are measured together, in time proportional to the pixels.
    """
    if not mask.any():
        return ()
    inner, labels, count = components(mask)
    top, left = inner[0].start, inner[1].start
    pixels = _Pixels(labels, count)
    boxes = pixels.boxes() + np.array([top, left, top, left])
    centres = pixels.centres + np.array([top, left])
    axes = pixels.axes((1.0, 1.0))
    axes_mm = pixels.axes(spacing) if spacing is not None else None
    sides = spacing or (1.0, 1.0)
    perimeters = _perimeters(labels, count, sides)
    shapes = 4 * math.pi * pixels.areas * sides[0] * sides[1] / perimeters**2
    probabilities = pixels.means(probability[inner][labels > 0].astype(np.float64))
    lesions = [
        Lesion(
            box=tuple(boxes[i].tolist()),
            area=int(pixels.areas[i]),
            centre=tuple(centres[i].tolist()),
            axes=tuple(axes[i].tolist()),
            circularity=min(1.0, float(shapes[i])),
            probability=float(probabilities[i]),
            spacing=spacing,
            axes_mm=None if axes_mm is None else tuple(axes_mm[i].tolist()),
        )
        for i in range(count)
    ]
    return tuple(sorted(lesions, key=lambda lesion: -lesion.area))


class _Pixels:
    """The pixels of components, and sums over those of each.

    Parameters
    ----------
    labels
        The number of each pixel's component (H, W), from 1; 0 is background.
    count
        Number of components.

    Attributes
    ----------
    areas
        Number of pixels of each component (count,).
    centres
        Row and column of each centre of mass (count, 2).
    """

    def __init__(self, labels: npt.NDArray[np.int32], count: int) -> None:
        self._places = np.nonzero(labels)
        self._owners = labels[self._places].astype(np.intp) - 1
        self._count = count
        self.areas = np.bincount(self._owners, minlength=count)
        self.centres = np.stack([self.means(place) for place in self._places], axis=1)

    def means(self, values: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
        """Return the mean over each component of a value for each pixel."""
        sums = np.bincount(self._owners, values, self._count)
        return np.asarray(sums / self.areas, np.float64)

    def boxes(self) -> npt.NDArray[np.intp]:
        """Return (top, left, bottom, right) of each component (count, 4)."""
        lowest = np.full((2, self._count), np.iinfo(np.intp).max)
        highest = np.zeros((2, self._count), np.intp)
        for axis, place in enumerate(self._places):
            np.minimum.at(lowest[axis], self._owners, place)
            np.maximum.at(highest[axis], self._owners, place)
        return np.asarray(np.concatenate([lowest, highest + 1]).T, np.intp)

    def axes(self, spacing: Spacing) -> npt.NDArray[np.float64]:
        """Return major and minor axis of each component (count, 2).

        They are those of the ellipse with the pixels' second moments. A pixel is a
        small square and not a point: its own second moment is 1/12.
        """
        y, x = (
            (place - self.centres[self._owners, axis]) * spacing[axis]
            for axis, place in enumerate(self._places)
        )
        yy = self.means(y * y) + spacing[0] ** 2 / 12
        xx = self.means(x * x) + spacing[1] ** 2 / 12
        xy = self.means(x * y)
        middle, half = (yy + xx) / 2, np.hypot((yy - xx) / 2, xy)
        minor = np.sqrt(np.maximum(middle - half, 0))
        return 4 * np.stack([np.sqrt(middle + half), minor], axis=1)


def _perimeters(
    labels: npt.NDArray[np.int32], count: int, spacing: Spacing
) -> npt.NDArray[np.float64]:
    """Return the length of each component's outline by Crofton's formula.

    That is how often parallel lines cross it, in eight directions. A crossing counts
    the distance between neighbouring lines of its direction, times the share of all
    directions that are nearest to it (Lehmann and Legland, Insight Journal 2012). The
    directions are spread evenly in millimetres, so that a long shape has the same
    outline however it lies and whatever shape the pixels have.
    """
    row, column = spacing
    steps = _directions(spacing)
    high, wide = max(down for down, _ in steps), max(right for _, right in steps)
    padded = np.pad(labels, ((high, high), (wide, wide)))
    angles = [math.atan2(down * row, right * column) for down, right in steps]
    lengths = np.zeros(count + 1)
    around = [-angles[1], *angles, math.pi - angles[-2]]  # with a neighbour at each end
    for (down, right), before, after in zip(steps, around, around[2:], strict=False):
        share = (after - before) / 2 / math.pi
        apart = row * column / math.hypot(down * row, right * column)
        oblique = down > 0 and right > 0
        for crossed in _crossings(padded, down, right, mirrored=oblique):
            lengths += share * apart * np.bincount(crossed, minlength=count + 1)
    return np.asarray(math.pi / 2 * lengths[1:], np.float64)


def _directions(spacing: Spacing) -> list[tuple[int, int]]:
    """Return steps in pixels (down, right) from along a row to along a column.

    Those between point to about 22.5, 45 and 67.5 degrees in millimetres.
    """
    between = [_step(math.radians(angle), spacing) for angle in (22.5, 45, 67.5)]
    return [(0, 1), *dict.fromkeys(between), (1, 0)]


def _step(angle: float, spacing: Spacing) -> tuple[int, int]:
    """Return the step of one pixel or two of the longer side that suits an angle best.

    It is the one that points there, but rather a short one: long steps cut corners.
    """
    row, column = spacing
    slope = math.tan(angle) * column / row  # pixels down to one to the right
    candidates = [(_whole(n * slope), n) for n in (1, 2)]
    candidates += [(n, _whole(n / slope)) for n in (1, 2)]

    def cost(step: tuple[int, int]) -> float:
        down, right = step[0] * row, step[1] * column
        length = math.hypot(down, right) / max(row, column)
        return abs(math.atan2(down, right) - angle) + STEP_COST * length

    return min(candidates, key=cost)


def _whole(pixels: float) -> int:
    return min(MAX_STEP, max(1, round(pixels)))


def _crossings(
    labels: npt.NDArray[np.int32], down: int, right: int, *, mirrored: bool
) -> Iterator[npt.NDArray[np.int32]]:
    """Yield the components on both sides of each crossing, 0 for background.

    With ``mirrored`` also those of the steps down and to the left.
    """
    height, width = labels.shape
    rows = slice(0, height - down), slice(down, height)
    columns = slice(0, width - right), slice(right, width)
    pairs = [(labels[rows[0], columns[0]], labels[rows[1], columns[1]])]
    if mirrored:
        pairs.append((labels[rows[0], columns[1]], labels[rows[1], columns[0]]))
    for first, second in pairs:
        crossed = first != second
        yield first[crossed]
        yield second[crossed]
