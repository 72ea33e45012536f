"""Writing files whole or not at all."""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
from collections.abc import Iterator
from pathlib import Path

__all__ = ["sweep", "whole_file"]

#: What marks a file under construction: its name is ``.NAME.busnet-RANDOM`` and the
#: ending of NAME.
MARK = ".busnet-"


@contextlib.contextmanager
def whole_file(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a path to write to; it becomes ``path`` only if the block succeeds.

    The file under construction lies beside ``path``, so that taking its place is one
    step. On an exception it is removed and what stood at ``path`` stays.
    """
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    token = secrets.token_hex(8)
    part = target.with_name(f".{target.name}{MARK}{token}{target.suffix}")
    handle = os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666)
    mode = stat.S_IMODE(os.fstat(handle).st_mode)
    os.close(handle)
    try:
        yield part
        part.chmod(mode)  # writers may have put a file of their own in its place
        part.replace(target)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def sweep(folder: str | os.PathLike[str]) -> None:
    """Remove what :func:`whole_file` left below a folder when its process was killed.

    Nothing may be writing there.
    """
    for path in Path(folder).rglob(f".*{MARK}*"):
        if path.is_file():
            path.unlink(missing_ok=True)
