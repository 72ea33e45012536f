"""The cache of packed weights: a later process need not pack them again."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from busnet import _core
from busnet.engine.file_state import FileState

__all__ = ["LIMIT", "content_sample", "folder", "model_folder", "prune", "size"]

#: Environment variable: the folder in which the cache's folder lies, or "off".
VARIABLE = "BUSNET_CACHE"

#: Size of the cache in bytes above which models are removed.
LIMIT = 2 << 30

#: Name of the cache's folder where the variable names the folder around it.
NAME = "busnet"

#: Names of the folders that :func:`model_folder` makes: start of the weights file's
#: name, and a hash.
_MODEL = re.compile(r".{0,40}-[0-9a-f]{32}", re.DOTALL)

#: Names of the files that the core writes there: vectors, and a layer's weights in one
#: layout. While one is written, it has six more characters.
_FILE = re.compile(r"(vectors|[0-9]{1,9}-[0-9a-f]{16})(\.[A-Za-z0-9]{6})?")

#: What these files begin with; see csrc/core/cache.c.
_MAGIC = b"busnet packed 1\0"

#: Pages of a weights file, spread over it, that decide with others which model it is.
_PAGES, _PAGE = 16, 4096

#: Longest header of a weights file that is read as a part of the sample, bytes.
_MAX_HEADER = 1 << 20


def folder() -> Path | None:
    """Return the cache's folder, or None where the cache is off.

    By default the user's cache folder of this platform, ``~/.cache/busnet`` on Linux.
    The environment variable ``BUSNET_CACHE`` is ``off``, or names a folder in which
    the cache's folder ``busnet`` lies; the cache touches nothing else in it.
    """
    name = os.environ.get(VARIABLE, "")
    if name.lower() in ("off", "0"):
        return None
    if name:
        return Path(name, NAME)
    import platformdirs

    default = platformdirs.user_cache_path("busnet")
    # Without a home folder, or with a relative one, it would be a part of wherever the
    # process runs.
    return default if default.is_absolute() else None


def model_folder(weights: Path, state: FileState, precision: str) -> str | None:
    """Return the folder of a model's files, and create it; None where that fails.

    Its name depends on all that decides the numbers: place and state of the weights
    file and a sample of its content, since to hash all of it would take the time that
    the cache is to save; precision, oneDNN, instruction set, and place and state of
    this package's own code.

    Parameters
    ----------
    weights
        The weights file.
    state
        Its state when it was read.
    precision
        See :func:`busnet.load`.
    """
    root = folder()
    if root is None:
        return None
    try:
        code = Path(_core.__file__)
        facts = [
            os.fspath(weights.resolve()),
            state,
            content_sample(weights),
            os.fspath(code),
            FileState.of(code),
            precision,
            _core.engine(),
        ]
        text = json.dumps(facts, sort_keys=True)
        digest = hashlib.sha256(text.encode()).hexdigest()
        path = root / f"{weights.stem[:40]}-{digest[:32]}"
        path.mkdir(parents=True, exist_ok=True)
    except OSError:
        return None
    return os.fspath(path)


def content_sample(path: Path) -> str:
    """Return a hash of a weights file's header and of some pages spread over the rest.

    Two models that were trained differ in every page, also where a file system does
    not tell one file from the other.

    Raises
    ------
    OSError
        If the file cannot be read.
    """
    digest = hashlib.sha256()
    with path.open("rb") as file:
        length = file.read(8)
        header = file.read(min(int.from_bytes(length, "little"), _MAX_HEADER))
        digest.update(length + header)
        start, end = file.tell(), file.seek(0, os.SEEK_END)
        for i in range(_PAGES):
            room = max(0, end - start - _PAGE)
            file.seek(start + room * i // (_PAGES - 1))
            digest.update(file.read(_PAGE))
    return digest.hexdigest()


class _Model(NamedTuple):
    """A model's folder in the cache; sorted by the time of last use."""

    used_ns: int
    bytes_: int
    path: Path
    files: tuple[Path, ...]


def _models(root: Path) -> Iterator[_Model]:
    """Yield the folders that :func:`model_folder` made and that hold nothing else.

    A folder in which anything has a name or a kind that the cache does not make is left
    out: somebody else made it.
    """
    try:
        paths = [path for path in root.iterdir() if _MODEL.fullmatch(path.name)]
    except OSError:
        return
    for path in paths:
        with contextlib.suppress(OSError):
            if path.is_symlink():
                continue
            files = tuple(path.iterdir())
            states = [file.lstat() for file in files]
            if all(_FILE.fullmatch(file.name) for file in files) and all(
                stat.S_ISREG(state.st_mode) for state in states
            ):
                used = max(state.st_mtime_ns for state in states or [path.stat()])
                total = sum(state.st_size for state in states)
                yield _Model(used, total, path, files)


def size() -> int:
    """Return the size of the cache in bytes."""
    root = folder()
    return 0 if root is None else sum(model.bytes_ for model in _models(root))


def prune(limit: int = LIMIT) -> None:
    """Remove the models that were not used for the longest time, down to a size.

    Only what the cache wrote is removed: files with its names and its first bytes, in
    folders with its names that hold no other. Processes that use a removed file keep
    what they have mapped.

    Parameters
    ----------
    limit
        Maximum size of what remains, bytes.
    """
    root = folder()
    if root is None:
        return
    models = sorted(_models(root))
    total = sum(model.bytes_ for model in models)
    for model in models:
        if total <= limit:
            break
        _remove(model)
        total -= model.bytes_


def _remove(model: _Model) -> None:
    """Remove a model's files and its folder, unless a file is not the cache's."""
    with contextlib.suppress(OSError):
        if all(map(_is_packed, model.files)):
            for file in model.files:
                file.unlink(missing_ok=True)
            model.path.rmdir()


def _is_packed(path: Path) -> bool:
    """Return whether a file begins as the core begins its files, or is cut in there."""
    try:
        with path.open("rb") as file:
            return _MAGIC.startswith(file.read(len(_MAGIC)))
    except FileNotFoundError:  # another process removed it
        return True
