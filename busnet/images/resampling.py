"""Resizing arrays of floats by Pillow, which filters where it shrinks."""

from __future__ import annotations

from typing import Literal, TypeAlias

import numpy as np
from PIL import Image

from busnet.images.picture import FloatArray

__all__ = ["Box", "Interpolation", "paste", "resample"]

#: Names of interpolations, as torchvision has them.
Interpolation: TypeAlias = Literal["bilinear", "bicubic"]

#: (top, left, bottom, right) in pixels and fractions of them.
Box: TypeAlias = tuple[float, float, float, float]

_FILTERS = {
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
}


def resample(
    pixels: FloatArray,
    height: int,
    width: int,
    *,
    box: Box | None = None,
    interpolation: Interpolation = "bilinear",
) -> FloatArray:
    """Resize an image (H, W[, C]), pixel centres at halves; filtered where it shrinks.

    Parameters
    ----------
    pixels
        The image.
    height, width
        The new size.
    box
        The part that is resized; pixels outside still count where a filter reaches
        them. All by default.
    interpolation
        The filter.
    """
    whole = (0.0, 0.0, *pixels.shape[:2])
    if box in (None, whole) and pixels.shape[:2] == (height, width):
        return pixels
    top, left, bottom, right = whole if box is None else box
    planes = pixels[:, :, None] if pixels.ndim == 2 else pixels
    resized = [
        np.asarray(
            Image.fromarray(np.ascontiguousarray(planes[:, :, i])).resize(
                (width, height), _FILTERS[interpolation], (left, top, right, bottom)
            )
        )
        for i in range(planes.shape[2])
    ]
    return resized[0] if pixels.ndim == 2 else np.stack(resized, axis=2)


def paste(pixels: FloatArray, out: FloatArray) -> None:
    """Copy an image to ``out`` of its height and width; grey may go to channels."""
    if out.ndim == pixels.ndim:
        out[...] = pixels
    else:  # a plane at a time: twice as fast as broadcasting
        for channel in range(out.shape[2]):
            out[..., channel] = pixels
