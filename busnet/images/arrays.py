"""Arrays and PIL images to intensities in 0..1."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from busnet.errors import ImageFileError, ImageTypeError, ImageValueError
from busnet.images.picture import FloatArray

__all__ = ["ACCEPTED", "from_array", "from_pil"]

ACCEPTED = (
    "a path, a PIL image, an array (H, W), (H, W, 3), (H, W, 4), (N, H, W), "
    "(N, H, W, 3) or (N, H, W, 4) of uint8, uint16, float32 or float64, "
    "or a list of these"
)

#: Pillow modes that become RGB, and those that carry transparency.
_COLOUR_MODES = {"RGB", "CMYK", "YCbCr", "LAB", "HSV", "P", "RGBX"}
_ALPHA_MODES = {"RGBA", "LA", "PA", "La", "RGBa"}


def from_pil(image: Image.Image, name: str) -> FloatArray:
    """Return the pixels of a PIL image in 0..1; ``name`` is for error messages."""
    limit = Image.MAX_IMAGE_PIXELS
    if limit is not None and image.width * image.height > limit:
        raise ImageFileError(
            f"{name}: {image.width} x {image.height} pixels are more than the limit "
            f"of {limit} (PIL.Image.MAX_IMAGE_PIXELS)"
        )
    mode = image.mode
    if mode in _ALPHA_MODES or (mode == "P" and "transparency" in image.info):
        image = image.convert("RGBA")
    elif mode in _COLOUR_MODES:
        image = image.convert("RGB")
    elif mode == "1":
        image = image.convert("L")
    array = np.asarray(image)
    if mode == "I" and array.size and array.min() >= 0 and array.max() <= 65535:
        array = array.astype(np.uint16)
    if array.dtype == np.dtype(">u2"):
        array = array.astype(np.uint16)
    try:
        return _one(array, None)
    except (ImageTypeError, ImageValueError) as error:
        raise ImageFileError(f"{name}: mode {mode}: {error}") from None


def from_array(
    array: npt.NDArray[Any], value_range: tuple[float, float] | None
) -> list[FloatArray]:
    """Return the images that an array holds, each in 0..1."""
    colour = array.ndim >= 3 and array.shape[-1] in (3, 4)
    if array.ndim == 2 or (array.ndim == 3 and colour):
        return [_one(array, value_range)]
    if (array.ndim == 3 and array.shape[-1] != 1) or (array.ndim == 4 and colour):
        if array.shape[0] == 0:
            raise ImageValueError(f"the array of shape {array.shape} holds no image")
        return [_one(image, value_range) for image in array]
    raise ImageValueError(
        f"got an array of shape {array.shape}; accepted is {ACCEPTED}"
    )


def _one(
    array: npt.NDArray[Any], value_range: tuple[float, float] | None
) -> FloatArray:
    """Check one image and scale it to 0..1; the result is never the input itself."""
    if array.dtype not in (np.uint8, np.uint16, np.float32, np.float64):
        raise ImageTypeError(f"got dtype {array.dtype}; accepted is {ACCEPTED}")
    if array.size == 0:
        raise ImageValueError(f"an image of shape {array.shape} has no pixels")
    if array.dtype.kind == "f":
        low, high = float(array.min()), float(array.max())
        if not (np.isfinite(low) and np.isfinite(high)):
            count = int(array.size - np.isfinite(array).sum())
            raise ImageValueError(f"{count} pixels are NaN or infinite")
        if value_range is None and (low < 0 or high > 1):
            raise ImageValueError(
                f"floating-point images are in 0..1, but this one is in "
                f"{low:g}..{high:g}; give value_range=(black, white) for other ranges"
            )
        black, white = value_range or (0.0, 1.0)
    else:
        black, white = value_range or (0.0, float(np.iinfo(array.dtype).max))
    scale = np.float32(1.0 / (white - black))
    pixels: FloatArray = np.multiply(array, scale, dtype=np.float32)
    if black != 0:
        pixels -= np.float32(black) * scale
    if value_range is not None:
        np.clip(pixels, 0.0, 1.0, out=pixels)
    if pixels.ndim == 3 and pixels.shape[2] == 4:
        return np.asarray(pixels[:, :, :3] * pixels[:, :, 3:])
    return pixels
