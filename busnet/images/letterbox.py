"""The letterbox: an image in the network's square with its aspect and with borders."""

from __future__ import annotations

import dataclasses

import numpy as np

from busnet.images.picture import FloatArray
from busnet.images.resampling import paste, resample

__all__ = ["Letterbox"]


@dataclasses.dataclass(frozen=True)
class Letterbox:
    """Where an image of (height, width) lies in a square of ``size`` pixels.

    The image is scaled so that its longer side fills the square, its aspect kept, and
    centred; what it does not cover is black. ``top``, ``left``, ``rows`` and
    ``columns`` are the covered part in the square's pixels.
    """

    height: int
    width: int
    size: int

    @property
    def rows(self) -> int:
        """Height of the image in the square."""
        return max(1, round(self.height * self.size / max(self.height, self.width)))

    @property
    def columns(self) -> int:
        """Width of the image in the square."""
        return max(1, round(self.width * self.size / max(self.height, self.width)))

    @property
    def top(self) -> int:
        """First row of the image in the square."""
        return (self.size - self.rows) // 2

    @property
    def left(self) -> int:
        """First column of the image in the square."""
        return (self.size - self.columns) // 2

    def apply(self, pixels: FloatArray, out: FloatArray | None = None) -> FloatArray:
        """Bring an image (height, width[, 3]) into the square.

        Shrinking filters, so that speckle does not alias.

        Parameters
        ----------
        pixels
            The image.
        out
            Zeros to write to, (size, size) or (size, size, 3); grey may go to three
            channels. A new array by default.

        Returns
        -------
        numpy.ndarray
            ``out``.
        """
        if out is None:
            out = np.zeros((self.size, self.size, *pixels.shape[2:]), np.float32)
        inner = out[
            self.top : self.top + self.rows, self.left : self.left + self.columns
        ]
        paste(resample(pixels, self.rows, self.columns), inner)
        return out

    def restore(self, plane: FloatArray) -> FloatArray:
        """Bring a map of the square back to (height, width).

        The map is (size, size) or a coarser one, which is enlarged first.
        """
        plane = resample(plane, self.size, self.size)
        inner = plane[
            self.top : self.top + self.rows, self.left : self.left + self.columns
        ]
        return resample(inner, self.height, self.width)
