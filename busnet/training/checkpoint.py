"""Checkpoints: the state of a training, and what it is the state of."""

from __future__ import annotations

import os
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from busnet._io import output_errors
from busnet.errors import DataError

__all__ = ["load", "save"]

#: What can be done about a file that is no checkpoint.
REMEDY = "delete it, and the training starts again"


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
