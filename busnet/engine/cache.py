"""The cache of packed weights: a later process need not pack them again."""

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

#: Maximum size of the folder in bytes when a model is added.
LIMIT = 2 << 30


def folder() -> Path | None:
    """Return the cache's folder, or None where the cache is off.

    By default the user's cache folder of this platform, ``~/.cache/busnet`` on Linux;
    the environment variable ``BUSNET_CACHE`` names another one, or is ``off``.
    """
    name = os.environ.get(VARIABLE, "")
    if name.lower() in ("off", "0"):
        return None
    if name:
        return Path(name)
    import platformdirs

    default = platformdirs.user_cache_path("busnet")
    # Without a home folder, or with a relative one, it would be a part of wherever the
    # process runs.
    return default if default.is_absolute() else None


def model_folder(weights: Path, precision: str) -> str | None:
    """Return the folder of a model's files, and create it; None where that fails.

    Its name depends on all that decides the numbers: place, size and time of change of
    the weights file, since to hash all of it would take the time that the cache is to
    save; precision, oneDNN, instruction set, and this package's own code in the same
    way.
    """
    root = folder()
    if root is None:
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
        path = root / f"{weights.stem[:40]}-{digest[:32]}"
        path.mkdir(parents=True, exist_ok=True)
    except OSError:
        return None
    return os.fspath(path)


def _facts(path: Path) -> list[str | int]:
    status = path.stat()
    return [os.fspath(path), status.st_size, status.st_mtime_ns, status.st_ino]


def _models(root: Path) -> list[tuple[int, int, Path]]:
    """Return time of last use, bytes and folder of each model."""
    models = []
    with contextlib.suppress(OSError):
        for path in root.iterdir():
            with contextlib.suppress(OSError):
                states = [file.stat() for file in path.iterdir()] or [path.stat()]
                used = max(state.st_mtime_ns for state in states)
                models.append((used, sum(state.st_size for state in states), path))
    return models


def size() -> int:
    """Return the size of the cache in bytes."""
    root = folder()
    return 0 if root is None else sum(bytes_ for _, bytes_, _ in _models(root))


def prune(limit: int = LIMIT) -> None:
    """Remove the models that were not used for the longest time, down to a size.

    Processes that use a removed file keep what they have mapped.

    Parameters
    ----------
    limit
        Maximum size of what remains, bytes.
    """
    root = folder()
    if root is None:
        return
    models = sorted(_models(root))
    total = sum(bytes_ for _, bytes_, _ in models)
    for _, bytes_, path in models:
        if total <= limit:
            break
        shutil.rmtree(path, ignore_errors=True)
        total -= bytes_
