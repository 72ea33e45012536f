"""Frames of encapsulated pixel data (PS3.5 A.4), from whole and from torn files."""

from __future__ import annotations

import dataclasses
from typing import BinaryIO

import pydicom
from pydicom.dataset import Dataset

from busnet.errors import ImageFileError

__all__ = ["Fragments", "fragments_of", "read_torn", "split_frames"]

_ITEM, _SEQUENCE_END = b"\xfe\xff\x00\xe0", b"\xfe\xff\xdd\xe0"

#: Tag, value representation and undefined length of encapsulated pixel data.
_PIXEL_DATA = b"\xe0\x7f\x10\x00OB\0\0\xff\xff\xff\xff"

#: How the stream of a frame begins: JPEG and JPEG-LS, JPEG 2000.
_STREAMS = (b"\xff\xd8\xff", b"\xff\x4f\xff\x51")


@dataclasses.dataclass(frozen=True)
class Fragments:
    """The items of encapsulated pixel data.

    Attributes
    ----------
    items
        The content of each fragment that is whole.
    starts
        Where each begins, in bytes behind the offset table.
    offsets
        The basic offset table: where each frame begins; may be empty.
    torn
        Whether the data end before the sequence does.
    """

    items: tuple[bytes, ...]
    starts: tuple[int, ...]
    offsets: tuple[int, ...]
    torn: bool


def fragments_of(data: bytes, *, delimited: bool) -> Fragments:
    """Divide encapsulated pixel data into its items.

    Parameters
    ----------
    data
        The value of the pixel data.
    delimited
        Whether it ends with the sequence delimiter. pydicom leaves that out.

    Raises
    ------
    ImageFileError
        If something stands in it that is no item.
    """
    items: list[bytes] = []
    starts: list[int] = []
    place, torn = 0, delimited
    while place + 8 <= len(data):
        tag, length = (
            data[place : place + 4],
            int.from_bytes(data[place + 4 : place + 8], "little"),
        )
        if tag == _SEQUENCE_END:
            torn = False
            break
        if tag != _ITEM or length == 0xFFFFFFFF:
            raise ImageFileError("its encapsulated pixel data are damaged")
        if place + 8 + length > len(data):
            torn = True
            break
        items.append(data[place + 8 : place + 8 + length])
        starts.append(place)
        place += 8 + length
    else:
        torn = torn or place < len(data)
    if not items:
        return Fragments((), (), (), torn)
    table, *rest = items
    offsets = tuple(
        int.from_bytes(table[i : i + 4], "little") for i in range(0, len(table) - 3, 4)
    )
    base = 8 + len(table)
    return Fragments(tuple(rest), tuple(s - base for s in starts[1:]), offsets, torn)


def read_torn(file: BinaryIO) -> tuple[Dataset, bytes | None]:
    """Read a file that may end within its encapsulated pixel data.

    pydicom drops an element that has no end, and others with it.

    Returns
    -------
    dataset : Dataset
        What stands before the pixel data.
    data : bytes or None
        The pixel data as far as they go; None where they are not encapsulated.
    """
    file.seek(0)
    dataset = pydicom.dcmread(file, stop_before_pixels=True, force=True)
    rest = file.read()
    torn = rest.startswith(_PIXEL_DATA)
    return dataset, rest[len(_PIXEL_DATA) :] if torn else None


def split_frames(
    fragments: Fragments, dataset: Dataset, count: int, *, by_item: bool
) -> list[bytes]:
    """Return the streams of the frames, at most ``count``; fewer where data are torn.

    A frame is one fragment, or begins where the offset table says, or where a fragment
    begins as streams do.

    Parameters
    ----------
    fragments
        The items.
    dataset
        For its extended offset table.
    count
        Number of frames that the file says it has.
    by_item
        Whether a frame is always one fragment, as in RLE.

    Raises
    ------
    ImageFileError
        If there are more frames than the file says, or their limits are unknown.
    """
    items = fragments.items
    if not items:
        return []
    firsts = [*range(len(items))] if by_item else _by_table(fragments, dataset)
    if not firsts:
        firsts = [i for i, item in enumerate(items) if item.startswith(_STREAMS)]
    if not firsts or firsts[0] != 0:
        if count not in (1, len(items)):
            raise ImageFileError(f"its {len(items)} fragments are not {count} frames")
        firsts = [*range(count)]
    if len(firsts) > count:
        raise ImageFileError(
            f"its pixel data hold {len(firsts)} frames, but NumberOfFrames is {count}"
        )
    ends = [*firsts[1:], len(items)]
    return [b"".join(items[a:b]) for a, b in zip(firsts, ends, strict=True)]


def _by_table(fragments: Fragments, dataset: Dataset) -> list[int]:
    """Return the first fragment of each frame by an offset table that is true."""
    value = dataset.get("ExtendedOffsetTable")
    offsets = fragments.offsets
    if isinstance(value, bytes):
        offsets = tuple(
            int.from_bytes(value[i : i + 8], "little") for i in range(0, len(value), 8)
        )
    places = {start: i for i, start in enumerate(fragments.starts)}
    firsts = [places[offset] for offset in offsets if offset in places]
    beyond = fragments.starts[-1] if fragments.torn and fragments.starts else -1
    lost = [o for o in offsets if o not in places and not 0 <= beyond < o]
    return firsts if firsts == sorted(set(firsts)) and not lost else []
