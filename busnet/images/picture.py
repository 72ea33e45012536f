"""A picture: the pixels of an image that passed every check, and what its file says."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

__all__ = [
    "LUMA",
    "SIDES",
    "FloatArray",
    "Picture",
    "Region",
    "is_spacing",
    "pixel_sides",
    "two_numbers",
]

FloatArray: TypeAlias = npt.NDArray[np.float32]

#: Weights of red, green and blue in grey (ITU-R BT.601, as Pillow's mode "L").
LUMA = np.array([0.299, 0.587, 0.114], np.float32)

#: Between which lengths, in millimetres, the side of a pixel can be.
SIDES = 1e-6, 1e3


def is_spacing(sides: Collection[float]) -> bool:
    """Tell whether numbers are two sides of a pixel in millimetres."""
    return len(sides) == 2 and all(SIDES[0] <= side < SIDES[1] for side in sides)


def two_numbers(value: Any) -> tuple[float, float] | None:
    """Return the numbers of a pair, or None if it is none.

    A set has no order, and the characters of a text are no numbers.
    """
    if isinstance(value, (str, bytes, set, frozenset, dict)):
        return None
    try:
        first, second = (float(number) for number in value)
    except (TypeError, ValueError, OverflowError):
        return None
    return first, second


def pixel_sides(value: Any) -> tuple[float, float] | None:
    """Return a spacing, millimetres a row and a column, or None if it is none."""
    sides = two_numbers(value)
    return sides if sides is not None and is_spacing(sides) else None


@dataclasses.dataclass(frozen=True)
class Region:
    """A part of an ultrasound frame that shows tissue in two dimensions.

    Attributes
    ----------
    box
        (top, left, bottom, right) in pixels; bottom and right are one past the last.
    spacing
        Millimetres a row and a column, or None where they are not known.
    """

    box: tuple[int, int, int, int]
    spacing: tuple[float, float] | None = None

    @property
    def area(self) -> int:
        """Number of pixels."""
        top, left, bottom, right = self.box
        return (bottom - top) * (right - left)


@dataclasses.dataclass(frozen=True)
class Picture:
    """An image that passed every check.

    Attributes
    ----------
    pixels
        Intensities in 0..1, float32, (H, W) for grey or (H, W, 3) for RGB.
    name
        The file's path, or "" for an image that came in memory.
    spacing
        Millimetres a row and a column, where the file says so; None where regions of
        the file differ in them.
    frame
        Number of the frame, from 1, where the file has several.
    regions
        The parts that show tissue, the largest first, where the file says so.
    notes
        What a user should know of how the file was read; a sentence each.
    """

    pixels: FloatArray
    name: str = ""
    spacing: tuple[float, float] | None = None
    frame: int | None = None
    regions: tuple[Region, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width."""
        return self.pixels.shape[0], self.pixels.shape[1]

    def whole(self) -> Region:
        """Return all of the picture as a region."""
        return Region((0, 0, *self.shape), self.spacing)

    def views(self) -> tuple[Region, ...]:
        """Return the parts that show tissue, or all of the picture."""
        return self.regions or (self.whole(),)

    def part(self, region: Region) -> Picture:
        """Return the picture of a region."""
        top, left, bottom, right = region.box
        pixels = self.pixels[top:bottom, left:right]
        return dataclasses.replace(
            self, pixels=pixels, spacing=region.spacing, regions=()
        )

    def channels(self, count: int) -> FloatArray:
        """Return the pixels as (H, W) for ``count`` 1 or (H, W, 3) for 3."""
        if count == 1 and self.pixels.ndim == 3:
            return np.asarray(self.pixels @ LUMA, np.float32)
        if count == 3 and self.pixels.ndim == 2:
            return np.repeat(self.pixels[:, :, None], 3, axis=2)
        return self.pixels
