"""Arrays to intensities in 0..1."""

from __future__ import annotations

import sys
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from busnet.errors import ImageTypeError, ImageValueError
from busnet.images.picture import FloatArray, Picture, two_numbers

__all__ = [
    "ACCEPTED",
    "ValueRange",
    "as_array",
    "check_value_range",
    "from_array",
    "scale",
]

#: What is black and what is white in the values of an image.
ValueRange: TypeAlias = tuple[float, float]

ACCEPTED = (
    "a path, an open binary file, a PIL image, an array (H, W), (H, W, 3), (H, W, 4), "
    "(N, H, W), (N, H, W, 3) or (N, H, W, 4) of integers, floating point or bool, "
    "a PyTorch tensor like these, or a list of any of them"
)

#: An image that uses less than this share of its range gets a note.
DARK = 0.1

#: How far apart black and white may be, so that values can be divided by it.
MIN_SPAN, MAX_SPAN = 1e-30, 1e30

#: How far floating-point values may lie outside 0..1, for rounding errors.
TOLERANCE = 1e-5


def check_value_range(value_range: Any) -> ValueRange | None:
    """Return the two numbers of ``value_range``, or None for None.

    Raises
    ------
    ImageValueError
        If it is not two finite numbers, the lower first, or the distance between them
        is so large or so small that floating point cannot divide by it.
    """
    if value_range is None:
        return None
    black, white = two_numbers(value_range) or (np.nan, np.nan)
    if not (np.isfinite(black) and np.isfinite(white) and black < white):
        raise ImageValueError(
            f"value_range must be two finite numbers, the lower first, "
            f"not {value_range!r}"
        )
    if not MIN_SPAN <= white - black <= MAX_SPAN:
        raise ImageValueError(
            f"value_range {value_range!r}: black and white are {white - black:g} "
            f"apart; {MIN_SPAN:g} to {MAX_SPAN:g} are possible"
        )
    return black, white


def as_array(image: object) -> npt.NDArray[Any] | None:
    """Return an array, or a PyTorch tensor as an array; None for anything else.

    Raises
    ------
    ImageValueError
        If pixels of a masked array are masked.
    """
    # Whoever has a masked array has imported numpy.ma; others need not wait for it.
    if "numpy.ma" in sys.modules and isinstance(image, np.ma.MaskedArray):
        masked = int(np.ma.getmaskarray(image).sum())
        if masked:
            raise ImageValueError(
                f"{masked} pixels are masked; fill them first, for instance with "
                f"black: image.filled(0)"
            )
        return np.asarray(image.data)
    if isinstance(image, np.ndarray):
        return image
    torch = sys.modules.get("torch")
    if torch is None or not isinstance(image, torch.Tensor):
        return None
    tensor: Any = image.detach().cpu()
    if tensor.dtype == torch.bfloat16:
        tensor = tensor.float()
    return np.asarray(tensor.numpy())


def from_array(
    array: npt.NDArray[Any], value_range: ValueRange | None = None
) -> list[Picture]:
    """Return the images that an array holds.

    Raises
    ------
    ImageTypeError
        If the dtype is not accepted.
    ImageValueError
        If the shape or the values are not accepted.
    """
    shape = array.shape
    colour = array.ndim >= 3 and shape[-1] in (3, 4)
    if array.ndim == 2 or (array.ndim == 3 and colour):
        return [_picture(array, value_range)]
    if array.ndim == 3 and shape[0] == 3:
        raise ImageValueError(
            f"an array of shape {shape} may be one image with its channels first or "
            f"three grey ones; give np.moveaxis(image, 0, -1) for one in colour, "
            f"list(images) for three"
        )
    if (array.ndim == 3 and shape[-1] > 2) or (array.ndim == 4 and colour):
        if shape[0] == 0:
            raise ImageValueError(f"the array of shape {shape} holds no image")
        return [_picture(image, value_range) for image in array]
    hint = ""
    if array.ndim == 4 and shape[1] in (3, 4):
        hint = "; np.moveaxis(images, 1, -1) puts the channels last"
    elif array.ndim in (3, 4) and shape[-1] == 2:
        hint = "; of grey with opacity give the grey alone, image[..., 0]"
    elif array.ndim in (3, 4) and 1 in (shape[-1], shape[1]):
        axis = -1 if shape[-1] == 1 else 1
        hint = f"; np.squeeze(images, {axis}) drops the axis of one channel"
    raise ImageValueError(
        f"got an array of shape {shape}; accepted is {ACCEPTED}{hint}"
    )


def _picture(array: npt.NDArray[Any], value_range: ValueRange | None) -> Picture:
    pixels, notes = scale(array, value_range)
    return Picture(pixels, notes=notes)


def scale(
    array: npt.NDArray[Any],
    value_range: ValueRange | None = None,
    *,
    white: float | None = None,
    inverted: bool = False,
) -> tuple[FloatArray, tuple[str, ...]]:
    """Check one image and scale it to 0..1; the result is never the input itself.

    Parameters
    ----------
    array
        The image, (H, W), (H, W, 3) or (H, W, 4); the fourth channel is opacity, and
        what shows through is black.
    value_range
        What is black and what is white. Values outside are clipped.
    white
        What is white where no value range is given. By default the largest number of
        an unsigned type of 8 or 16 bits, 1 for floating point and bool. Of other
        integers, which are wider than any scanner's, only images of 8 bits are taken:
        the largest value is in 2..255, or all are zero.
    inverted
        Whether low values are bright.

    Returns
    -------
    pixels : numpy.ndarray
        (H, W) or (H, W, 3), float32.
    notes : tuple of str
        Of a range that is hardly used.

    Raises
    ------
    ImageTypeError
        If the dtype is not accepted.
    ImageValueError
        If the image is empty, or values are not finite or not in range.
    """
    if array.dtype.kind not in "biuf":
        raise ImageTypeError(f"got dtype {array.dtype}; accepted is {ACCEPTED}")
    if array.size == 0:
        raise ImageValueError(f"an image of shape {array.shape} has no pixels")
    colours, opacity = array, None
    if array.ndim == 3 and array.shape[2] == 4:
        colours, opacity = array[:, :, :3], _opacity(array[:, :, 3], value_range)
    low, high = _extremes(colours)
    notes: list[str] = []
    if value_range is None:
        value_range = 0.0, _white(array.dtype, low, high, white)
        if 0 < high < DARK * value_range[1]:
            is_float = array.dtype.kind == "f"
            doubt = (
                "white is another value" if is_float else "the image is of fewer bits"
            )
            notes.append(
                f"the largest value is {high:g}, less than a tenth of white, which is "
                f"{value_range[1]:g}: if {doubt}, give its value range"
            )
    pixels = _to_unit(colours, value_range, low, high)
    if inverted:
        np.subtract(1, pixels, out=pixels)
    if opacity is not None:
        pixels *= opacity[:, :, None]
    return pixels, tuple(notes)


def _extremes(array: npt.NDArray[Any]) -> tuple[float, float]:
    """Return the smallest and the largest value, which must be finite."""
    low, high = float(array.min()), float(array.max())
    if not (np.isfinite(low) and np.isfinite(high)):
        count = int(array.size - np.isfinite(array).sum())
        raise ImageValueError(f"{count} pixels are NaN or infinite")
    return low, high


def _white(dtype: np.dtype[Any], low: float, high: float, white: float | None) -> float:
    """Return what is white where black is 0, and check that the values agree."""
    if dtype.kind == "f":
        slack = max(TOLERANCE, 2 * float(np.finfo(dtype).eps))
        if low < -slack or high > 1 + slack:
            raise ImageValueError(
                f"floating-point images are in 0..1, but this one is in "
                f"{low:.9g}..{high:.9g}; give value_range=(black, white)"
            )
        return 1.0
    if white is not None and low >= 0 and high <= white:
        return white
    if dtype.kind == "b":
        return 1.0
    if dtype.kind == "u" and dtype.itemsize <= 2:
        return float(np.iinfo(dtype).max)
    if low < 0 or high > 255 or high == 1 or dtype.itemsize == 1:
        raise ImageValueError(
            f"{dtype.name} values in {low:g}..{high:g} do not tell what is white; "
            f"give value_range=(black, white)"
        )
    return 255.0


def _to_unit(
    array: npt.NDArray[Any], value_range: ValueRange, low: float, high: float
) -> FloatArray:
    black, white = value_range
    factor = 1.0 / (white - black)
    # Differences, and large numbers, need more digits than float32 has.
    if black != 0 or max(abs(low), abs(high), white) > 2**20:
        with np.errstate(over="ignore"):  # far outside, where values are clipped
            unit = (array.astype(np.float64) - black) * factor
        clipped: FloatArray = np.clip(unit, 0, 1).astype(np.float32)
        return clipped
    pixels: FloatArray = np.multiply(array, np.float32(factor), dtype=np.float32)
    if low < 0 or high > white or white != 255:  # which float32 holds exactly
        np.clip(pixels, 0, 1, out=pixels)
    return pixels


def _opacity(alpha: npt.NDArray[Any], value_range: ValueRange | None) -> FloatArray:
    """Return opacity in 0..1.

    A value range is that of the colours. It says nothing about how opacity is scaled,
    so with one the image must have opaque pixels by the dtype's own range.
    """
    low, high = _extremes(alpha)
    white = 1.0 if alpha.dtype.kind in "fb" else float(np.iinfo(alpha.dtype).max)
    if low < -TOLERANCE or high > white * (1 + TOLERANCE):
        raise ImageValueError(
            f"opacity is in 0..{white:g}, but this is in {low:g}..{high:g}"
        )
    if high == 0:
        raise ImageValueError("all pixels are transparent; drop the fourth channel")
    if value_range is not None and high < white * (1 - TOLERANCE):
        raise ImageValueError(
            f"no pixel is opaque: the fourth channel's largest value is {high:g} of "
            f"{white:g}; drop it to use value_range"
        )
    opacity: FloatArray = np.multiply(alpha, np.float32(1 / white), dtype=np.float32)
    return np.clip(opacity, 0, 1, out=opacity)
