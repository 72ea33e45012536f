"""Writing pictures as PNG, quickly."""

from __future__ import annotations

import os
import struct
import zlib

import numpy as np
from PIL import Image

from busnet._io import atomic_write

__all__ = ["save_png"]

#: zlib's level: 2 takes a seventh more time for 3 % less size.
_LEVEL = 1


def save_png(path: str | os.PathLike[str], image: Image.Image) -> None:
    """Write a picture as PNG, RGB or with its palette, whole or not at all.

    Each row is stored as differences of neighbouring pixels (the filter "Sub" of the
    PNG specification, section 9). Pillow tries five filters for each row, which takes
    twice the time for files of the same size.
    """
    palette = image.getpalette("RGB") if image.mode == "P" else None
    pixels = np.asarray(image if palette else image.convert("RGB"))
    height, width = pixels.shape[:2]
    step = 1 if palette else 3
    rows = np.empty((height, 1 + step * width), np.uint8)
    rows[:, 0] = 1  # the filter
    flat = pixels.reshape(height, step * width)
    rows[:, 1 : 1 + step] = flat[:, :step]
    np.subtract(flat[:, step:], flat[:, :-step], out=rows[:, 1 + step :])
    colour = 3 if palette else 2
    header = struct.pack(">IIBBBBB", width, height, 8, colour, 0, 0, 0)
    with atomic_write(path) as part, part.open("wb") as file:
        file.write(b"\x89PNG\r\n\x1a\n")
        file.write(_chunk(b"IHDR", header))
        if palette:
            file.write(_chunk(b"PLTE", bytes(palette)))
        file.write(_chunk(b"IDAT", zlib.compress(rows.data, _LEVEL)))
        file.write(_chunk(b"IEND", b""))


def _chunk(name: bytes, data: bytes) -> bytes:
    """Return a chunk of a PNG file: length, name, data, checksum."""
    checksum = zlib.crc32(name + data)
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", checksum)
