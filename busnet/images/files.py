"""Image files to pictures."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator

from PIL import Image, UnidentifiedImageError

from busnet.errors import ImageError, ImageFileError, MissingImageError
from busnet.images.arrays import from_pil
from busnet.images.picture import Picture

__all__ = ["SUFFIXES", "is_dicom", "read_frames", "read_image"]

#: File name endings that are taken for images in a folder.
SUFFIXES = frozenset((".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".dcm"))


def read_image(path: str | os.PathLike[str]) -> Picture:
    """Read an image file.

    PNG, JPEG, BMP, TIFF and whatever else Pillow opens; grey, RGB, RGBA (laid over
    black), palette, 1-bit and 16-bit; DICOM of one frame (:mod:`busnet.images.dicom`).
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
        As :func:`read_image` does.
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
            return Picture(from_pil(image, name), name)
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
