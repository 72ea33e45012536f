"""The centre crop: an image resized and cut to the network's square, as torchvision's.

``Resize`` and ``CenterCrop`` of torchvision on tensors of floats, with antialiasing,
give the same numbers to within 1e-3; on PIL images and on 8-bit tensors they round to
8 bits after resizing, 1/255 at most.
"""

from __future__ import annotations

import dataclasses
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from busnet.images.picture import FloatArray
from busnet.images.resampling import Interpolation, paste, resample

__all__ = ["CentreCrop"]

Doubles: TypeAlias = npt.NDArray[np.float64]


@dataclasses.dataclass(frozen=True)
class CentreCrop:
    """Where a square of ``size`` pixels lies in an image of (height, width).

    The image is resized to (rows, columns), of which the square is the middle.

    Attributes
    ----------
    height, width
        The image's size.
    size
        Side of the square.
    resize
        What the image is resized to first: its shorter side, the aspect kept, or
        (height, width).
    interpolation
        How it is resized.
    """

    height: int
    width: int
    size: int
    resize: int | tuple[int, int]
    interpolation: Interpolation = "bilinear"

    @property
    def rows(self) -> int:
        """Height of the resized image."""
        return self._resized[0]

    @property
    def columns(self) -> int:
        """Width of the resized image."""
        return self._resized[1]

    @property
    def _resized(self) -> tuple[int, int]:
        if not isinstance(self.resize, int):
            return self.resize
        short, long = sorted((self.height, self.width))
        longer = int(self.resize * long / short)
        return (
            (self.resize, longer)
            if self.height <= self.width
            else (longer, self.resize)
        )

    @property
    def top(self) -> int:
        """First row of the square in the resized image."""
        return round((self.rows - self.size) / 2)

    @property
    def left(self) -> int:
        """First column of the square in the resized image."""
        return round((self.columns - self.size) / 2)

    @property
    def is_whole(self) -> bool:
        """Whether the square is all of the image."""
        return (self.rows, self.columns) == (self.size, self.size)

    def apply(self, pixels: FloatArray, out: FloatArray | None = None) -> FloatArray:
        """Bring the middle of an image (height, width[, 3]) into the square.

        Parameters
        ----------
        pixels
            The image.
        out
            What to write to, (size, size) or (size, size, 3); grey may go to three
            channels. A new array by default.

        Returns
        -------
        numpy.ndarray
            ``out``.
        """
        if out is None:
            out = np.empty((self.size, self.size, *pixels.shape[2:]), np.float32)
        # The crop alone is computed: of a long image the rest would fill the memory.
        down, across = self.height / self.rows, self.width / self.columns
        box = (
            self.top * down,
            self.left * across,
            min((self.top + self.size) * down, self.height),
            min((self.left + self.size) * across, self.width),
        )
        cropped = resample(
            pixels, self.size, self.size, box=box, interpolation=self.interpolation
        )
        paste(cropped, out)
        return out

    def restore(self, plane: FloatArray) -> FloatArray:
        """Bring a map of the square back to (height, width).

        The map is (size, size) or a coarser one, which is enlarged first. Pixels whose
        centre lies outside the square were not seen: they are NaN.
        """
        plane = resample(plane, self.size, self.size)
        if self.is_whole:
            return resample(plane, self.height, self.width)
        first_row, rows = self._axis(self.height, self.rows, self.top)
        first_column, columns = self._axis(self.width, self.columns, self.left)
        restored = np.full((self.height, self.width), np.nan, np.float32)
        if len(columns) <= len(rows):  # the fewer first: one side may be very long
            seen = _interpolate(_interpolate(plane.T, columns).T, rows)
        else:
            seen = _interpolate(_interpolate(plane, rows).T, columns).T
        restored[first_row : first_row + len(rows)][
            :, first_column : first_column + len(columns)
        ] = seen
        return restored

    def _axis(self, old: int, new: int, start: int) -> tuple[int, Doubles]:
        """Return where pixel centres of an axis of the image lie in the square.

        Returns
        -------
        int
            The first pixel that lies in the square.
        positions
            Of it and those behind it in the square, in the square's indices.
        """
        positions = (np.arange(old) + 0.5) * (new / old) - start - 0.5
        inside = np.flatnonzero((positions >= -0.5) & (positions <= self.size - 0.5))
        first = int(inside[0]) if inside.size else 0
        return first, np.asarray(positions[inside], np.float64)


def _interpolate(plane: FloatArray | Doubles, positions: Doubles) -> Doubles:
    """Return a plane's rows at positions between them; beyond its ends, the last."""
    at = positions.clip(0, len(plane) - 1)
    above = np.floor(at).astype(np.intp)
    below = np.minimum(above + 1, len(plane) - 1)
    share = (at - above)[:, None]
    return np.asarray(plane[above] * (1 - share) + plane[below] * share)
