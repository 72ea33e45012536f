"""The way of an image to the network's square, and of maps back from it."""

from __future__ import annotations

import dataclasses

import numpy as np
from PIL import Image

from busnet.images.picture import FloatArray

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
        resized = _resample(pixels, self.rows, self.columns)
        if inner.ndim == resized.ndim:
            inner[...] = resized
        else:  # a plane at a time: twice as fast as broadcasting
            for channel in range(inner.shape[2]):
                inner[..., channel] = resized
        return out

    def restore(self, plane: FloatArray) -> FloatArray:
        """Bring a map of the square back to (height, width).

        The map is (size, size) or a coarser one, which is enlarged first.
        """
        plane = _resample(plane, self.size, self.size)
        inner = plane[
            self.top : self.top + self.rows, self.left : self.left + self.columns
        ]
        return _resample(inner, self.height, self.width)


def _resample(pixels: FloatArray, height: int, width: int) -> FloatArray:
    """Resize bilinearly, pixel centres at halves; filtered where it shrinks."""
    if pixels.shape[:2] == (height, width):
        return pixels
    planes = pixels[:, :, None] if pixels.ndim == 2 else pixels
    resized = [
        np.asarray(
            Image.fromarray(np.ascontiguousarray(planes[:, :, i])).resize(
                (width, height), Image.Resampling.BILINEAR
            )
        )
        for i in range(planes.shape[2])
    ]
    return resized[0] if pixels.ndim == 2 else np.stack(resized, axis=2)
