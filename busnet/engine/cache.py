"""Where packed weights are kept, so that a later process need not pack them again."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
from pathlib import Path

from busnet import _core

__all__ = ["LIMIT", "folder", "model_folder", "prune", "size"]

#: Environment variable: the cache's folder, or "off".
VARIABLE = "BUSNET_CACHE"

#: Bytes that the folder holds at most when a model is added.
LIMIT = 2 << 30


def folder() -> Path | None:
    """Return the folder, or None where nothing is to be kept.

    By default ``busnet`` in ``$XDG_CACHE_HOME`` or ``~/.cache`` (XDG Base Directory
    Specification); the environment variable ``BUSNET_CACHE`` names another one, or is
    ``off``.
    """
    named = os.environ.get(VARIABLE, "")
    if named.lower() in ("off", "0"):
        return None
    if named:
        return Path(named)
    base = os.environ.get("XDG_CACHE_HOME", "")
    try:
        home = Path(base) if os.path.isabs(base) else Path.home() / ".cache"
    except RuntimeError:  # there is no home
        return None
    return home / "busnet"


def model_folder(weights: Path, precision: str) -> str | None:
    """Return the folder of a model's files, and make it; or None.

    In its name is all that decides the numbers: the weights file by place, size and
    time of change, since to hash all of it would take the time that is to be saved;
    precision, oneDNN, instruction set, and this package's own code in the same way.
    """
    kept = folder()
    if kept is None:
        return None
    try:
        facts = [
            _facts(weights.resolve()),
            _facts(Path(_core.__file__)),
            precision,
            _core.engine(),
        ]
        text = json.dumps(facts, sort_keys=True)
        digest = hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()
        own = kept / f"{weights.stem[:40]}-{digest[:32]}"
        own.mkdir(parents=True, exist_ok=True)
    except OSError:
        return None
    return os.fspath(own)


def _facts(path: Path) -> list[str | int]:
    status = path.stat()
    return [os.fspath(path), status.st_size, status.st_mtime_ns, status.st_ino]


def _models(kept: Path) -> list[tuple[int, int, Path]]:
    """Return time of last use, bytes and folder of each model."""
    found = []
    with contextlib.suppress(OSError):
        for own in kept.iterdir():
            with contextlib.suppress(OSError):
                states = [path.stat() for path in own.iterdir()] or [own.stat()]
                used = max(state.st_mtime_ns for state in states)
                found.append((used, sum(state.st_size for state in states), own))
    return found


def size() -> int:
    """Return the bytes that are kept."""
    kept = folder()
    return 0 if kept is None else sum(bytes_ for _, bytes_, _ in _models(kept))


def prune(limit: int = LIMIT) -> None:
    """Remove models that were not used for the longest time, until limit is kept.

    Processes that use a removed file keep what they have mapped.
    """
    kept = folder()
    if kept is None:
        return
    models = sorted(_models(kept))
    total = sum(bytes_ for _, bytes_, _ in models)
    for _, bytes_, own in models:
        if total <= limit:
            break
        shutil.rmtree(own, ignore_errors=True)
        total -= bytes_
