"""Everything that a caller may hand over, as pictures."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import Image

from busnet.errors import ImageFileError, ImageTypeError, ImageValueError
from busnet.images.arrays import ACCEPTED, from_array, from_pil
from busnet.images.files import read_image
from busnet.images.picture import Picture

__all__ = ["ImageLike", "is_single", "read"]

#: One image, or several, in any form that busnet takes.
ImageLike: TypeAlias = (
    "str | os.PathLike[str] | Image.Image | Picture | npt.NDArray[Any] | Sequence[Any]"
)


def read(
    images: ImageLike, *, value_range: tuple[float, float] | None = None
) -> Iterator[Picture]:
    """Yield the pictures of one image or several, in any accepted form.

    What is wrong with the arguments themselves is raised at once; each file is read
    when its turn comes.

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
        return [read_image(images)]
    if isinstance(images, Picture):
        return [images]
    if isinstance(images, Image.Image):
        try:
            return [Picture(from_pil(images, "the PIL image"))]
        except OSError as error:
            raise ImageFileError(f"the PIL image cannot be read: {error}") from error
    if isinstance(images, np.ndarray):
        return [Picture(p) for p in from_array(images, value_range)]
    raise ImageTypeError(f"got {type(images).__name__}; accepted is {ACCEPTED}")


def is_single(images: ImageLike) -> bool:
    """Tell whether ``images`` is one image (and not a batch or a list)."""
    if isinstance(images, np.ndarray):
        return images.ndim == 2 or (images.ndim == 3 and images.shape[2] in (3, 4))
    return not isinstance(images, (list, tuple))
