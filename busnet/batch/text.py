"""File names as text that tables and terminals take."""

from __future__ import annotations

import os

from busnet._io import SURROGATE, encodable, escaped

__all__ = ["encodable", "printable", "safe_name"]


def printable(text: str | os.PathLike[str]) -> str:
    """Return a text on one line, control characters escaped."""
    return "".join(c if c.isprintable() else escaped(c) for c in os.fspath(text))


def safe_name(name: str) -> str:
    """Return a file name in which bytes that are not UTF-8 are written as ``%E9``."""
    return SURROGATE.sub(lambda match: f"%{ord(match[0]) & 0xFF:02X}", name)
