"""What a file is, by its first bytes."""

from __future__ import annotations

import io
import os
import struct
from pathlib import Path
from typing import BinaryIO

__all__ = [
    "HEAD",
    "describe_unknown",
    "has_mark",
    "is_dicom",
    "is_dicom_image",
    "may_be_bare",
    "whole_directories",
]

#: Bytes that are read to recognise a file.
HEAD = 256

#: How DICOM files begin that lack the mark: an element of group 2 or 8.
_BARE_DICOM = (b"\x02\x00\x00\x00", b"\x02\x00\x10\x00", b"\x08\x00")

#: Value representations of the elements of those groups; the lengths of some have four
#: bytes, behind two that are not used.
_LONG = (b"OB", b"OW", b"SQ", b"UN", b"UT")
_SHORT = (
    *(b"AE", b"AS", b"AT", b"CS", b"DA", b"DS", b"DT", b"IS", b"LO", b"LT", b"PN"),
    *(b"SH", b"ST", b"TM", b"UI", b"UL", b"US"),
)

#: Groups of which elements follow those.
_GROUPS = (0x0002, 0x0008, 0x0009, 0x0010)

#: How TIFF begins, in both byte orders, and with offsets of 64 bits.
_TIFF = {b"II*\0": "<", b"MM\0*": ">", b"II+\0": "<", b"MM\0+": ">"}


def has_mark(head: bytes) -> bool:
    """Tell whether a file's first bytes hold DICOM's mark."""
    return head[128:132] == b"DICM"


def may_be_bare(head: bytes) -> bool:
    """Tell whether a file that is nothing else may be DICOM without the mark."""
    return head.startswith(_BARE_DICOM) and head[4:6] != b"\0\0"


def is_dicom(path: str | os.PathLike[str]) -> bool:
    """Tell whether a file is DICOM, by its mark or, without one, its first elements.

    One that cannot be opened is not.
    """
    try:
        with open(path, "rb") as file:
            head = file.read(HEAD)
    except OSError:
        return False
    return has_mark(head) or _is_bare(head)


def is_dicom_image(path: Path) -> bool:
    """Tell whether a file in a folder is DICOM, and no index of the others.

    Exports often have no ending, or a UID for a name. Devices and pipes are not opened.
    """
    return path.name != "DICOMDIR" and path.is_file() and is_dicom(path)


def _is_bare(head: bytes) -> bool:
    """Tell whether two elements begin a file, as in DICOM without the mark."""
    if not may_be_bare(head):
        return False
    first = _element(head, 0)
    second = None if first is None else _element(head, first[1])
    if first is None or second is None:
        return False
    return second[0] > first[0] and second[0][0] in _GROUPS


def _element(head: bytes, start: int) -> tuple[tuple[int, int], int] | None:
    """Return the tag of the element at a place, and where it ends; None if it is none.

    In little endian; with a value representation, or else with the length alone.
    """
    if len(head) < start + 12:
        return None
    group, number, kind, length = struct.unpack_from("<HH2sH", head, start)
    end = start + 8 + length
    if kind in _LONG:
        end = start + 12 + int(struct.unpack_from("<I", head, start + 8)[0])
    elif kind not in _SHORT:
        end = start + 8 + int(struct.unpack_from("<I", head, start + 4)[0])
    return None if end % 2 != start % 2 else ((group, number), end)


def describe_unknown(head: bytes) -> str:
    """Say of a file that Pillow cannot open what it may be."""
    if head[:4] in _TIFF:
        return "a TIFF of a kind that Pillow does not know; save it with 8 or 16 bits"
    return "not an image file that Pillow knows"


def whole_directories(head: bytes, source: str | BinaryIO) -> int | None:
    """Return how many directories of a TIFF are whole, up to the first that is not.

    Pillow reads one that is cut off as far as it goes. Many programs write them behind
    the pixels.

    Parameters
    ----------
    head
        The file's first bytes.
    source
        Its path, or the file open for reading bytes, which is left at its start.

    Returns
    -------
    int or None
        None if it is no TIFF; DICOM may begin like one.
    """
    if head[:4] not in _TIFF or has_mark(head):
        return None
    if isinstance(source, str):
        with open(source, "rb") as file:
            return len(_directories(head, file))
    try:
        return len(_directories(head, source))
    finally:
        source.seek(0)


def _directories(head: bytes, file: BinaryIO) -> set[int]:
    """Return where the whole directories of a TIFF begin."""
    order, is_big = _TIFF[head[:4]], head[2:4] in (b"+\0", b"\0+")
    link, count, entry = ("Q", "Q", 20) if is_big else ("I", "H", 12)
    size = file.seek(0, io.SEEK_END)
    starts: set[int] = set()
    place = 8 if is_big else 4
    while True:
        try:
            start = _number(file, place, order + link)
            if start == 0 or start > size or start in starts:
                return starts
            place = start + struct.calcsize(count)
            place += entry * _number(file, start, order + count)
            if place > size:
                return starts
        except (struct.error, OverflowError, OSError):
            return starts
        starts.add(start)


def _number(file: BinaryIO, place: int, form: str) -> int:
    """Return the number at a place of a file."""
    file.seek(place)
    (number,) = struct.unpack(form, file.read(struct.calcsize(form)))
    return int(number)
