"""Image files to pictures."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import io
import os
import stat
from collections.abc import Generator, Iterator
from typing import Any, BinaryIO, TypeAlias

from PIL import Image, UnidentifiedImageError

from busnet.errors import (
    ImageError,
    ImageFileError,
    ImageTypeError,
    MissingImageError,
    NotAnUltrasoundImageError,
)
from busnet.images.arrays import ValueRange, check_value_range
from busnet.images.picture import Picture
from busnet.images.pil import find_pages, from_pil
from busnet.images.quiet import Quiet
from busnet.images.recognise import (
    HEAD,
    describe_unknown,
    has_mark,
    may_be_bare,
    whole_directories,
)

__all__ = [
    "SUFFIXES",
    "FileLike",
    "named_errors",
    "open_checked",
    "read_frames",
    "read_image",
]

#: A file: its path, or one that is open for reading bytes.
FileLike: TypeAlias = "str | os.PathLike[str] | BinaryIO"

#: File name endings that are taken for images in a folder.
SUFFIXES = frozenset(
    (
        *(".png", ".apng", ".jpg", ".jpeg", ".jpe", ".jfif", ".bmp", ".dib"),
        *(".tif", ".tiff", ".gif", ".webp", ".jp2", ".pgm", ".ppm", ".pbm", ".pnm"),
        *(".dcm", ".dicom"),
    )
)

#: The first bytes of files in which macOS puts what other file systems cannot hold.
_APPLE_DOUBLE = b"\x00\x05\x16\x07"

#: Pillow's warnings of torn tables; what cannot be read is an error.
_quiet = Quiet("PIL")


def read_image(path: FileLike, *, value_range: ValueRange | None = None) -> Picture:
    """Read an image file.

    PNG, JPEG, BMP, TIFF and whatever else Pillow opens; grey, RGB, RGBA (laid over
    black), palette, 1-bit and 16-bit; DICOM of one frame (:mod:`busnet.images.dicom`).
    The pixel grid is the file's: an EXIF orientation is not applied, so that masks fit
    the file.

    Parameters
    ----------
    path
        The file's path, or a file that is open for reading bytes. That is read from its
        start, and left where it stands.
    value_range
        What is black and what is white in the file's values; by default what the file
        says, or 0 and the largest number that its samples can hold. Values outside are
        clipped. Of DICOM it takes the place of the window.

    Raises
    ------
    MissingImageError
        If there is no such file.
    ImageFileError
        If it is no image, is empty or truncated, has more pixels than Pillow's limit,
        or has several frames (:func:`read_frames` reads those).
    NotAnUltrasoundImageError
        If it is sound, but of something else: DICOM of another modality, a report, a
        segmentation, or what macOS writes beside files.
    ImageValueError
        If ``value_range`` is not two numbers, the lower first.
    MissingExtraError
        If it is DICOM and the extra is not installed.
    """
    with contextlib.closing(read_frames(path, value_range=value_range)) as frames:
        first = next(frames)
    if first.frame is not None:
        raise ImageFileError(
            f"{_name(path)}: it has several frames; list(busnet.read_frames(path)) "
            f"reads them all"
        )
    return first


def read_frames(
    path: FileLike, *, value_range: ValueRange | None = None
) -> Generator[Picture, None, None]:
    """Yield the frames of an image file, one at a time.

    One, or those of a DICOM cine loop, the pages of a TIFF, the frames of an animated
    GIF, PNG or WebP. Of a truncated file the whole frames are yielded before the error
    is raised.

    Parameters
    ----------
    path, value_range
        As :func:`read_image` takes them.

    Raises
    ------
    ImageError, MissingExtraError
        As :func:`read_image` does.
    """
    value_range = check_value_range(value_range)
    source, name, head = open_checked(path)
    if has_mark(head):
        yield from _dicom(source, name, value_range)
        return
    try:
        yield from _pages(source, name, head, value_range)
    except UnidentifiedImageError:
        if may_be_bare(head):
            yield from _dicom(source, name, value_range)
            return
        raise ImageFileError(f"{name}: {describe_unknown(head)}") from None


def _dicom(
    source: str | BinaryIO, name: str, value_range: ValueRange | None
) -> Iterator[Picture]:
    from busnet.images import dicom

    yield from dicom.frames(source, name=name, value_range=value_range)


def _name(path: Any) -> str:
    """Return what error messages call a file."""
    if isinstance(path, (str, os.PathLike)):
        return os.fsdecode(path)
    name = getattr(path, "name", None)
    return name if isinstance(name, str) else "the open file"


def open_checked(path: FileLike) -> tuple[str | BinaryIO, str, bytes]:
    """Return a file that can be opened, its name, and its first bytes.

    Raises
    ------
    ImageTypeError
        If it is neither a path nor an open file.
    ImageFileError
        If it does not exist, is no regular file, is empty, is what macOS writes beside
        files, or is a TIFF that ends before or in its first directory.
    """
    name = _name(path)
    source = _checked(path, name)
    head = _head(source, name)
    if whole_directories(head, source) == 0:
        raise ImageFileError(
            f"{name}: truncated: the TIFF ends before the end of its first directory"
        )
    return source, name, head


def _checked(path: Any, name: str) -> str | BinaryIO:
    """Return a path that can be opened, or a copy of an open file."""
    if not isinstance(path, (str, os.PathLike)):
        if not hasattr(path, "read"):
            raise ImageTypeError(
                f"a path or a file that is open for reading bytes is read, not "
                f"{type(path).__name__}"
            )
        return _copy(path, name)
    if not name:
        raise MissingImageError("a path is empty, which is no file's")
    try:
        status = os.stat(path)
    except FileNotFoundError:
        raise MissingImageError(f"{name}: no such file") from None
    except (OSError, ValueError) as error:
        raise ImageFileError(f"{name}: cannot be read: {error}") from None
    if stat.S_ISDIR(status.st_mode):
        raise ImageFileError(f"{name}: it is a folder, not a file")
    if not stat.S_ISREG(status.st_mode):
        raise ImageFileError(f"{name}: it is a device or a pipe, not a file")
    return name


def _copy(file: Any, name: str) -> BinaryIO:
    """Return what an open file holds from its start; leave the file where it stands."""
    try:
        seekable = getattr(file, "seekable", None)  # which not all that reads has
        place = file.tell() if seekable is not None and seekable() else None
        if place is not None:
            file.seek(0)
        content = file.read()
        if place is not None:
            file.seek(place)
    except (OSError, ValueError) as error:
        raise ImageFileError(f"{name}: cannot be read: {error}") from None
    if not isinstance(content, bytes):
        raise ImageFileError(f"{name}: it is open as text; open it with mode 'rb'")
    return io.BytesIO(content)


def _head(source: str | BinaryIO, name: str) -> bytes:
    """Return a file's first bytes, as far as they say what it is."""
    try:
        if isinstance(source, str):
            with open(source, "rb") as file:
                head = file.read(HEAD)
        else:
            head = source.read(HEAD)
            source.seek(0)
    except OSError as error:
        raise ImageFileError(f"{name}: cannot be read: {error}") from None
    if not head:
        raise ImageFileError(f"{name}: the file is empty")
    if head.startswith(_APPLE_DOUBLE):
        raise NotAnUltrasoundImageError(
            f"{name}: it holds what macOS keeps beside a file, and no image"
        )
    return head


def _pages(
    source: str | BinaryIO, name: str, head: bytes, value_range: ValueRange | None
) -> Iterator[Picture]:
    """Yield the pages of a file that Pillow knows."""
    with contextlib.ExitStack() as stack:
        with named_errors(name):
            image = stack.enter_context(Image.open(source))
            pages = find_pages(image, whole_directories(head, source))
        place = 0
        for place, number in enumerate(pages.numbers, 1):
            frame = place if pages.several else None
            with named_errors(name if frame is None else f"{name}: frame {frame}"):
                try:
                    if image.tell() != number:
                        image.seek(number)
                except EOFError:
                    return
                still = not pages.several or image.format == "TIFF"
                again = functools.partial(_reopen, source, number) if still else None
                picture = from_pil(image, name, value_range, reopen=again)
            notes = (*pages.notes, *_truncation_note(), *picture.notes)
            yield dataclasses.replace(picture, name=name, frame=frame, notes=notes)
        if pages.is_torn:
            raise ImageFileError(f"{name}: truncated or damaged after frame {place}")


def _truncation_note() -> tuple[str, ...]:
    """Note that Pillow was told to read truncated files without an error."""
    from PIL import ImageFile

    if not ImageFile.LOAD_TRUNCATED_IMAGES:
        return ()
    return (
        "PIL.ImageFile.LOAD_TRUNCATED_IMAGES is set: a truncated file is no error, and "
        "what it lacks is black or grey",
    )


def _reopen(source: str | BinaryIO, number: int) -> Image.Image:
    """Open a page of a file a second time."""
    image = Image.open(source)
    if number:
        image.seek(number)
    return image


@contextlib.contextmanager
def named_errors(name: str) -> Iterator[None]:
    """Turn whatever Pillow raises into an error that names the file."""
    try:
        with _quiet:
            yield
    except (ImageError, UnidentifiedImageError):
        raise
    except Exception as error:
        raise ImageFileError(f"{name}: cannot be read: {error}") from error
