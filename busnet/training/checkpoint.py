"""Checkpoints: the state of a training, and what it is the state of."""

from __future__ import annotations

import contextlib
import os
import pickle
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch

from busnet._io import output_errors
from busnet.errors import DataError

__all__ = ["SavingInterval", "load", "save"]

#: Seconds between two checkpoints, unless saving one takes too long for that.
DEFAULT_SECONDS = 60.0

#: Largest share of a training's time that saving may take.
SAVING_SHARE = 0.02

#: What can be done about a file that is no checkpoint.
REMEDY = "delete it, and the training starts again"


class SavingInterval:
    """The time from one checkpoint to the next; at the end of an epoch half of it.

    The first interval is over at the end of an epoch in any case.

    Parameters
    ----------
    seconds
        The time. By default a minute, or longer where saving would otherwise take more
        than 2 % of the training's time.
    """

    def __init__(self, seconds: float | None = None) -> None:
        self._is_fixed = seconds is not None
        self._seconds = DEFAULT_SECONDS if seconds is None else seconds
        self._begin = time.monotonic()
        self._is_first = True

    def is_over(self, *, epoch_ends: bool) -> bool:
        """Tell whether it is time for a checkpoint."""
        if epoch_ends and self._is_first:
            return True
        seconds = self._seconds / (2 if epoch_ends else 1)
        return time.monotonic() - self._begin >= seconds

    @contextlib.contextmanager
    def saving(self) -> Iterator[None]:
        """Measure how long the body saves, and begin the next interval."""
        begin = time.monotonic()
        yield
        self._begin, self._is_first = time.monotonic(), False
        if not self._is_fixed:
            cost = self._begin - begin
            self._seconds = max(DEFAULT_SECONDS, cost / SAVING_SHARE)


def save(path: Path, identity: Mapping[str, Any], state: Mapping[str, Any]) -> None:
    """Write a checkpoint, whole or not at all.

    Raises
    ------
    OutputError
        If it cannot be written; the checkpoint that was there stays.
    """
    # Always the same name, so that a training that is killed often leaves one file.
    part = path.with_name(path.name + ".part")
    with output_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            # Given a path instead, PyTorch would not say what the system's error was.
            with part.open("wb") as file:
                torch.save({"identity": dict(identity), **state}, file)
            os.replace(part, path)
        except BaseException:
            part.unlink(missing_ok=True)
            raise


def load(
    path: Path, identity: Mapping[str, Any], device: torch.device
) -> dict[str, Any]:
    """Read a checkpoint.

    Raises
    ------
    DataError
        If the file is no checkpoint, or the state of another training; the message says
        in what that differs.
    """
    try:
        state = torch.load(path, weights_only=True, map_location=device)
        saved = dict(state["identity"])
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        reason = str(error).partition("\n")[0]
        raise DataError(
            f"{path}: the checkpoint cannot be read: {reason}; {REMEDY}"
        ) from None
    except (KeyError, TypeError, ValueError, IndexError):
        raise DataError(
            f"{path}: the file is no checkpoint of a training; {REMEDY}"
        ) from None
    if different := _differences(saved, identity):
        raise DataError(
            f"{path}: the checkpoint is of another training, of another "
            f"{', '.join(different)}; {REMEDY}, or name another folder for checkpoints "
            f"(--work)"
        )
    return dict(state)


def _differences(saved: Mapping[str, Any], identity: Mapping[str, Any]) -> list[str]:
    """Return the names of what differs, with those of its fields."""
    different = []
    for name, ours in identity.items():
        theirs = saved.get(name)
        if theirs == ours:
            continue
        fields = ""
        if isinstance(theirs, Mapping) and isinstance(ours, Mapping):
            keys = [k for k in {**ours, **theirs} if theirs.get(k) != ours.get(k)]
            fields = f" ({', '.join(map(str, keys))})"
        different.append(name + fields)
    return different
