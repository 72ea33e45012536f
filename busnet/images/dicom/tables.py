"""Lookup tables: modality, VOI, presentation and palette (PS3.3 C.7.6.3.1.5, C.11)."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset

from busnet.errors import ImageFileError

__all__ = ["LookupTable", "is_little_endian", "read_table"]

MAX_ENTRIES = 65536

#: Kinds of segments in a segmented palette (PS3.3 C.7.9.2).
_DISCRETE, _LINEAR, _INDIRECT = 0, 1, 2


@dataclasses.dataclass(frozen=True)
class LookupTable:
    """A table of a dataset.

    Attributes
    ----------
    first
        The input value that the first entry is for. What is lower takes the first
        entry, what is higher than the last one's the last.
    entries
        The outputs, unsigned integers.
    bits
        Bits of an entry: the largest output is 2 ** bits - 1.
    """

    first: int
    entries: npt.NDArray[np.uint16]
    bits: int

    @property
    def white(self) -> float:
        """The largest output that the bits allow."""
        return float(2**self.bits - 1)

    def __call__(self, values: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
        """Return the outputs of input values, which are rounded to whole ones."""
        places = np.rint(np.asarray(values, np.float64) - self.first)
        places = np.clip(places, 0, len(self.entries) - 1)
        return self.entries[places.astype(np.int64)].astype(np.float64)


def is_little_endian(dataset: Dataset) -> bool:
    """Tell in which order the bytes of a dataset stand."""
    meta = getattr(dataset, "file_meta", None)
    syntax = None if meta is None else meta.get("TransferSyntaxUID")
    return True if syntax is None else bool(syntax.is_little_endian)


def read_table(
    item: Dataset,
    *,
    prefix: str = "LUT",
    data: str = "LUTData",
    signed: bool,
    little_endian: bool,
    segmented: bool = False,
) -> LookupTable:
    """Read a table from its descriptor and data.

    Parameters
    ----------
    item
        The dataset or the item that holds it.
    prefix
        What the descriptor's keyword begins with.
    data
        Keyword of the data.
    signed
        Whether input values can be negative: the descriptor's second value then is
        signed, whatever its representation says.
    little_endian
        The order of bytes in the data.
    segmented
        Whether the data are segments.

    Raises
    ------
    ImageFileError
        If descriptor and data do not agree.
    """
    keyword = f"{prefix}Descriptor"
    if item.get(keyword) is None or item.get(data) is None:
        raise ImageFileError(f"a lookup table lacks {keyword} or {data}")
    descriptor = item[keyword]
    try:
        count, first, bits = (int(value) for value in descriptor.value)
    except (TypeError, ValueError):
        raise ImageFileError(f"{keyword} is not three numbers") from None
    count = count % 65536 or 65536
    if signed or descriptor.VR == "SS":
        first = (first + 32768) % 65536 - 32768
    else:
        first %= 65536
    if not 8 <= bits <= 16:
        raise ImageFileError(f"{keyword}: entries of {bits} bits; 8 to 16 are allowed")
    if segmented:
        entries = _expand(_words(item[data].value, bits, little_endian), data, bits)
    else:
        entries = _entries(item[data].value, count, bits, little_endian)
    if len(entries) < count:
        raise ImageFileError(f"{data} has {len(entries)} entries of {count}")
    entries = entries[:count]
    highest = int(entries.max())
    if highest >= 2**bits and bits > 8:
        raise ImageFileError(f"{data} has the entry {highest}, more than {bits} bits")
    return LookupTable(
        first, entries.astype(np.uint16), bits if highest < 2**bits else 16
    )


def _entries(
    value: Any, count: int, bits: int, little_endian: bool
) -> npt.NDArray[np.int64]:
    """Return a table's entries: a byte or a word each, as its length tells."""
    if isinstance(value, bytes):
        if len(value) < 2 * count:  # entries of 8 bits, and a byte to an even length
            return np.frombuffer(value, np.uint8).astype(np.int64)
        return np.asarray(_words(value, 16, little_endian), np.int64)
    words = np.asarray(_words(value, 16, little_endian), np.int64)
    if len(words) < count and bits == 8:  # two entries a word
        return np.stack([words & 255, words >> 8], 1).ravel()
    return words


def _words(value: Any, bits: int, little_endian: bool) -> list[int]:
    """Return the numbers of a value: bytes, one integer, or several."""
    if isinstance(value, int):
        return [value % 65536]
    if not isinstance(value, bytes):
        return [int(word) % 65536 for word in value]
    if bits == 8:
        return list(value)
    words = value[: len(value) // 2 * 2]
    numbers: list[int] = np.frombuffer(
        words, "<u2" if little_endian else ">u2"
    ).tolist()
    return numbers


def _expand(words: Sequence[int], name: str, bits: int) -> npt.NDArray[np.int64]:
    """Return the entries of a segmented table (PS3.3 C.7.9.2).

    Raises
    ------
    ImageFileError
        If a segment is cut off, of no known kind, or refers to itself.
    """
    entries: list[int] = []
    place, size = 0, 1 if bits == 8 else 2
    while place + 2 <= len(words):
        kind, length = words[place], words[place + 1]
        if kind != _INDIRECT:
            place = _append(entries, words, place, name)
            continue
        # A number of earlier segments again, from an offset in bytes.
        digits = words[place + 2 : place + 2 + 4 // size]
        offset = sum(digit << 8 * size * i for i, digit in enumerate(digits)) // size
        if len(digits) * size != 4 or offset >= place:
            raise ImageFileError(f"{name} has a segment that cannot be read")
        for _ in range(length):
            offset = _append(entries, words, offset, name)
        place += 2 + len(digits)
    return np.asarray(entries, np.int64)


def _append(entries: list[int], words: Sequence[int], place: int, name: str) -> int:
    """Append the entries of the segment at ``place``; return where the next begins."""
    kind, length, *rest = words[place : place + 2 + 65535]
    if kind == _DISCRETE and length <= len(rest):
        entries.extend(rest[:length])
        place += 2 + length
    elif kind == _LINEAR and rest and entries:
        last = entries[-1]
        steps = np.arange(1, length + 1)
        ramp = np.rint(last + (rest[0] - last) * steps / length)
        entries.extend(ramp.astype(int).tolist())
        place += 3
    else:
        raise ImageFileError(f"{name} has a segment that cannot be read")
    if len(entries) > MAX_ENTRIES:
        raise ImageFileError(f"{name} has more than {MAX_ENTRIES} entries")
    return place
