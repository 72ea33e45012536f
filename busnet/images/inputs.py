"""Everything that a caller may hand over, as pictures."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from PIL import Image

from busnet.errors import (
    ImageError,
    ImageFileError,
    ImageTypeError,
    ImageValueError,
)
from busnet.images.arrays import (
    ACCEPTED,
    TOLERANCE,
    ValueRange,
    as_array,
    check_value_range,
    from_array,
)
from busnet.images.files import read_image
from busnet.images.picture import Picture, pixel_sides
from busnet.images.pil import from_pil
from busnet.images.types import ImageLike

__all__ = ["is_single", "read"]


def read(
    images: ImageLike, *, value_range: ValueRange | None = None
) -> Iterator[Picture]:
    """Yield the pictures of one image or several, in any accepted form.

    What is wrong with the arguments themselves is raised at once; each file is read
    when its turn comes.

    Parameters
    ----------
    images
        A path, an open file, a PIL image, an array, a PyTorch tensor, or a list of
        these; see :data:`busnet.images.arrays.ACCEPTED`. Files of several frames are
        refused; :func:`busnet.read_frames` reads them. Masked arrays are taken where
        no pixel is masked.
    value_range
        What is black and what is white in the values. By default 0 and the largest
        number of an unsigned integer type, 0 and 1 for floating point and bool; other
        integers are taken for 8 bits where they fit. Values outside are clipped when
        it is given, and refused in floating point when it is not.

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
    value_range = check_value_range(value_range)
    if not isinstance(images, (list, tuple)):
        return iter(_converted(images, value_range))
    if not images:
        raise ImageValueError("the list of images is empty")
    return _each(images, value_range)


def _each(images: Sequence[Any], value_range: ValueRange | None) -> Iterator[Picture]:
    for i, item in enumerate(images):
        if isinstance(item, (list, tuple)):
            raise ImageTypeError(
                f"image {i} of the list is itself a list; accepted is {ACCEPTED}"
            )
        try:
            pictures = _converted(item, value_range)
        except (ImageTypeError, ImageValueError) as error:
            raise type(error)(f"image {i} of the list: {error}") from None
        yield from pictures


def _converted(images: Any, value_range: ValueRange | None) -> list[Picture]:
    if isinstance(images, (str, os.PathLike)) or hasattr(images, "read"):
        return [read_image(images, value_range=value_range)]
    if isinstance(images, Picture):
        if value_range is not None:
            raise ImageValueError(
                "a Picture is already scaled: value_range goes to read_frames()"
            )
        return [_checked(images)]
    if isinstance(images, Image.Image):
        return [_from_open(images, value_range)]
    array = as_array(images)
    if array is not None:
        return from_array(array, value_range)
    hint = "; io.BytesIO makes a file of bytes" if isinstance(images, bytes) else ""
    if isinstance(images, Iterator):
        hint = "; list() makes a list of an iterator"
    raise ImageTypeError(f"got {type(images).__name__}; accepted is {ACCEPTED}{hint}")


def _checked(picture: Picture) -> Picture:
    """Check a picture that the caller may have made.

    Raises
    ------
    ImageTypeError, ImageValueError
        If it is not as :class:`Picture` says.
    """
    pixels: object = picture.pixels
    if not isinstance(pixels, np.ndarray) or pixels.dtype != np.float32:
        kind = getattr(pixels, "dtype", type(pixels).__name__)
        raise ImageTypeError(
            f"the pixels of a Picture are float32 in 0..1, not {kind}; an array itself "
            f"is scaled by its type"
        )
    if pixels.size == 0 or pixels.shape[2:] not in ((), (3,)) or pixels.ndim < 2:
        raise ImageValueError(
            f"the pixels of a Picture are (H, W) or (H, W, 3), not {pixels.shape}"
        )
    low, high = float(pixels.min()), float(pixels.max())
    if not (low >= -TOLERANCE and high <= 1 + TOLERANCE):
        raise ImageValueError(
            f"the pixels of a Picture are in 0..1, but these are in {low:g}..{high:g}"
        )
    height, width = picture.shape
    for region in picture.views():
        top, left, bottom, right = region.box
        if not (0 <= top < bottom <= height and 0 <= left < right <= width):
            raise ImageValueError(
                f"the region {region.box} of a Picture of {height} x {width} does not "
                f"lie in it"
            )
    for spacing in (picture.spacing, *(r.spacing for r in picture.regions)):
        if spacing is not None and pixel_sides(spacing) is None:
            raise ImageValueError(
                f"the spacing of a Picture is two numbers, millimetres a row and a "
                f"column, not {spacing!r}"
            )
    return picture


def _from_open(image: Image.Image, value_range: ValueRange | None) -> Picture:
    """Return the picture of a PIL image: of a file of several, the current frame."""
    try:
        picture = from_pil(image, "the PIL image", value_range)
    except ImageError:
        raise
    except Exception as error:  # a file that is read only now
        raise ImageFileError(f"the PIL image cannot be read: {error}") from error
    count = int(getattr(image, "n_frames", 1))
    if count == 1:
        return picture
    note = f"the PIL image has {count} frames; frame {image.tell() + 1} is read"
    return dataclasses.replace(picture, notes=(*picture.notes, note))


def is_single(images: ImageLike) -> bool:
    """Tell whether ``images`` is one image (and not a batch or a list)."""
    if isinstance(images, (list, tuple)):
        return False
    if isinstance(images, (str, os.PathLike)):  # texts of NumPy have a shape, too
        return True
    shape = getattr(images, "shape", None)
    if shape is None or isinstance(images, Picture):
        return True
    return len(shape) == 2 or (len(shape) == 3 and shape[2] in (3, 4))
