"""File names as text that tables and terminals take."""

from __future__ import annotations

import os
import re

__all__ = ["encodable", "printable", "safe_name"]

#: Bytes of a file name that are not UTF-8, as Python holds them in a string.
_SURROGATE = re.compile("[\ud800-\udfff]")


def encodable(text: str | os.PathLike[str]) -> str:
    r"""Return a text in which bytes that are not UTF-8 are written as ``\xe9``."""
    return _SURROGATE.sub(_escape, os.fspath(text))


def printable(text: str | os.PathLike[str]) -> str:
    """Return a text on one line, control characters escaped."""
    return "".join(c if c.isprintable() else _escaped(c) for c in os.fspath(text))


def safe_name(name: str) -> str:
    """Return a file name in which bytes that are not UTF-8 are written as ``%E9``."""
    return _SURROGATE.sub(lambda match: f"%{ord(match[0]) & 0xFF:02X}", name)


def _escape(match: re.Match[str]) -> str:
    return _escaped(match[0])


def _escaped(character: str) -> str:
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:
        return f"\\x{code - 0xDC00:02x}"
    return character.encode("unicode_escape").decode()
