"""Images in, planes out: reading, checking, and the way to the network and back.

Everything that a caller may hand over becomes a :class:`Picture`; a
:class:`Letterbox` takes it to the network's square and brings maps back to the
picture's own geometry.
"""

from __future__ import annotations

import dataclasses
import itertools
import os
from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

from busnet.errors import (
    ImageError,
    ImageFileError,
    ImageTypeError,
    ImageValueError,
    MissingImageError,
)

__all__ = [
    "SUFFIXES",
    "ImageLike",
    "Letterbox",
    "Picture",
    "Region",
    "is_dicom",
    "is_single",
    "iterate",
    "pictures",
    "read",
    "read_frames",
]

#: One image, or several, in any form that busnet takes.
ImageLike: TypeAlias = (
    "str | os.PathLike[str] | Image.Image | Picture | npt.NDArray[Any] | Sequence[Any]"
)

FloatArray: TypeAlias = npt.NDArray[np.float32]

#: Weights of red, green and blue in grey (ITU-R BT.601, as Pillow's mode "L").
LUMA = np.array([0.299, 0.587, 0.114], np.float32)

ACCEPTED = (
    "a path, a PIL image, an array (H, W), (H, W, 3), (H, W, 4), (N, H, W), "
    "(N, H, W, 3) or (N, H, W, 4) of uint8, uint16, float32 or float64, "
    "or a list of these"
)

#: File name endings that are taken for images in a folder.
SUFFIXES = frozenset((".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".dcm"))

#: Pillow modes that become RGB, and those that carry transparency.
_COLOUR_MODES = {"RGB", "CMYK", "YCbCr", "LAB", "HSV", "P", "RGBX"}
_ALPHA_MODES = {"RGBA", "LA", "PA", "La", "RGBa"}


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
        Millimetres a row and a column, where the file says so.
    frame
        Number of the frame, from 1, where the file has several.
    regions
        The parts that show tissue, the largest first, where the file says so.
    """

    pixels: FloatArray
    name: str = ""
    spacing: tuple[float, float] | None = None
    frame: int | None = None
    regions: tuple[Region, ...] = ()

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


def read(path: str | os.PathLike[str]) -> Picture:
    """Read an image file.

    PNG, JPEG, BMP, TIFF and whatever else Pillow opens; grey, RGB, RGBA (laid over
    black), palette, 1-bit and 16-bit; DICOM of one frame (see :mod:`busnet.images.dicom`).
    The pixel grid is the file's: an EXIF orientation is not applied, so that masks fit
    the file.

    Raises
    ------
    MissingImageError
        If there is no such file.
    ImageFileError
        If it is no image, is truncated, has more pixels than Pillow's limit, or has
        several frames (:func:`read_frames` reads those).
    MissingExtraError
        If it is DICOM and the extra is not installed.
    """
    frames = list(itertools.islice(read_frames(path), 2))
    if len(frames) > 1:
        raise ImageFileError(
            f"{os.fspath(path)}: it has several frames; list(busnet.read_frames(path)) "
            f"reads them all"
        )
    return frames[0]


def read_frames(path: str | os.PathLike[str]) -> Iterator[Picture]:
    """Yield the frames of an image file: one, or those of a DICOM cine loop.

    Raises
    ------
    ImageError, MissingExtraError
        As :func:`read` does.
    """
    name = os.fspath(path)
    if is_dicom(name):
        from busnet.images import dicom

        yield from dicom.frames(name)
    else:
        yield _read_still(name)


def is_dicom(path: str | os.PathLike[str]) -> bool:
    """Tell whether a file has DICOM's mark; one that cannot be opened has not."""
    try:
        with open(path, "rb") as file:
            return file.read(132)[128:] == b"DICM"
    except OSError:
        return False


def _read_still(name: str) -> Picture:
    try:
        with Image.open(name) as image:
            return Picture(_from_pil(image, name), name)
    except FileNotFoundError:
        raise MissingImageError(f"{name}: no such file") from None
    except UnidentifiedImageError:
        raise ImageFileError(f"{name}: not an image file that Pillow knows") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ImageFileError(f"{name}: {error}") from None
    except ImageError:
        raise
    except (OSError, SyntaxError, ValueError, EOFError) as error:
        raise ImageFileError(f"{name}: cannot be read: {error}") from error


def pictures(
    images: ImageLike, *, value_range: tuple[float, float] | None = None
) -> list[Picture]:
    """Turn one image or several, in any accepted form, into pictures.

    Parameters
    ----------
    images
        A path, a PIL image, an array or a list of these; see :data:`ACCEPTED`.
    value_range
        What is black and what is white in arrays: by default 0 and the largest
        number of an integer type, 0 and 1 for floating point. Values outside are
        clipped when it is given, and refused in floating point when it is not.

    Raises
    ------
    ImageTypeError
        If a type or dtype is not accepted.
    ImageValueError
        If a shape is not accepted, an array is empty, or values are not finite or
        not in range.
    ImageFileError
        If a file cannot be read.
    """
    return list(iterate(images, value_range=value_range))


def iterate(
    images: ImageLike, *, value_range: tuple[float, float] | None = None
) -> Iterator[Picture]:
    """Yield what :func:`pictures` returns; each file is read when its turn comes.

    What is wrong with the arguments themselves is raised at once.
    """
    if value_range is not None:
        black, white = value_range
        if not (np.isfinite(black) and np.isfinite(white) and black < white):
            raise ImageValueError(
                f"value_range must be two finite numbers, the lower first, "
                f"not {value_range!r}"
            )
    if not isinstance(images, (list, tuple)):
        return iter(_converted(images, value_range))
    if not images:
        raise ImageValueError("the list of images is empty")
    return _each(images, value_range)


def _each(
    images: Sequence[Any], value_range: tuple[float, float] | None
) -> Iterator[Picture]:
    for i, item in enumerate(images):
        if isinstance(item, (list, tuple)):
            raise ImageTypeError(
                f"image {i} of the list is itself a list; accepted is {ACCEPTED}"
            )
        try:
            converted = _converted(item, value_range)
        except (ImageTypeError, ImageValueError) as error:
            raise type(error)(f"image {i} of the list: {error}") from None
        yield from converted


def _converted(
    images: ImageLike, value_range: tuple[float, float] | None
) -> list[Picture]:
    if isinstance(images, (str, os.PathLike)):
        return [read(images)]
    if isinstance(images, Picture):
        return [images]
    if isinstance(images, Image.Image):
        try:
            return [Picture(_from_pil(images, "the PIL image"))]
        except OSError as error:
            raise ImageFileError(f"the PIL image cannot be read: {error}") from error
    if isinstance(images, np.ndarray):
        return [Picture(p) for p in _from_array(images, value_range)]
    raise ImageTypeError(f"got {type(images).__name__}; accepted is {ACCEPTED}")


def is_single(images: ImageLike) -> bool:
    """Tell whether ``images`` is one image (and not a batch or a list)."""
    if isinstance(images, np.ndarray):
        return images.ndim == 2 or (images.ndim == 3 and images.shape[2] in (3, 4))
    return not isinstance(images, (list, tuple))


def _from_pil(image: Image.Image, name: str) -> FloatArray:
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


def _from_array(
    array: npt.NDArray[Any], value_range: tuple[float, float] | None
) -> list[FloatArray]:
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
