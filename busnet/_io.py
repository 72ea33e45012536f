"""Writing files whole or not at all."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import stat
from collections.abc import Iterator
from pathlib import Path

__all__ = ["atomic_write", "remove_partial_files"]

#: Names of files under construction: short, whatever the name that they will have.
_PARTIAL = re.compile(r"\.busnet-[0-9a-f]{16}(\..{1,20})?")


@contextlib.contextmanager
def atomic_write(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a path to write to; it becomes ``path`` only if the block succeeds.

    The file under construction lies beside ``path``, so that taking its place is one
    step. On an exception it is removed and what stood at ``path`` stays.
    """
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    suffix = target.suffix if len(target.suffix) <= 20 else ""
    part = target.with_name(f".busnet-{secrets.token_hex(8)}{suffix}")
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


def remove_partial_files(folder: str | os.PathLike[str]) -> None:
    """Remove what :func:`atomic_write` left below a folder when its process was killed.

    Nothing may be writing there.
    """
    for path in Path(folder).rglob(".busnet-*"):
        if _PARTIAL.fullmatch(path.name) and path.is_file():
            path.unlink(missing_ok=True)
