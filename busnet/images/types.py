"""Types of what a caller may hand over."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any, BinaryIO, Protocol, TypeAlias

import numpy.typing as npt
from PIL import Image

from busnet.images.picture import Picture

__all__ = ["ImageArray", "ImageLike", "ImageSequence", "OneImage"]

#: What is one image, by its type alone.
OneImage: TypeAlias = "str | os.PathLike[str] | BinaryIO | Image.Image | Picture"

#: What is one image or several, by its shape.
ImageArray: TypeAlias = npt.NDArray[Any]


class ImageSequence(Protocol):
    """What is several images: a list or a tuple.

    A str is a sequence of str as well; that one asks of it only whether it contains a
    str, and here of any object, tells the two apart.
    """

    def __contains__(self, value: object, /) -> bool: ...
    def __getitem__(self, index: int, /) -> OneImage | ImageArray: ...
    def __len__(self) -> int: ...
    def __reversed__(self) -> Iterator[OneImage | ImageArray]: ...


#: One image, or several, in any form that busnet takes.
ImageLike: TypeAlias = "OneImage | ImageArray | ImageSequence"
