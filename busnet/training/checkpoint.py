"""Checkpoints: the state of a training, and what it is the state of."""

from __future__ import annotations

import os
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from busnet.errors import DataError

__all__ = ["load", "save"]

#: What can be done about a file that is no checkpoint.
REMEDY = "delete it, and the training starts again"


def save(path: Path, identity: Mapping[str, Any], state: Mapping[str, Any]) -> None:
    """Write a checkpoint, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # Always the same name, so that a training that is killed often leaves one file.
    part = path.with_name(path.name + ".part")
    torch.save({"identity": dict(identity), **state}, part)
    os.replace(part, path)


def load(
    path: Path, identity: Mapping[str, Any], device: torch.device
) -> dict[str, Any]:
    """Read a checkpoint.

    Raises
    ------
    DataError
        If the file is no checkpoint, or the state of another training.
    """
    try:
        state = torch.load(path, weights_only=True, map_location=device)
        saved = state["identity"]
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        reason = str(error).partition("\n")[0]
        raise DataError(
            f"{path}: the checkpoint cannot be read: {reason}; {REMEDY}"
        ) from None
    except (KeyError, TypeError, IndexError):
        raise DataError(
            f"{path}: the file is no checkpoint of a training; {REMEDY}"
        ) from None
    different = [name for name in identity if saved.get(name) != identity[name]]
    if different:
        raise DataError(
            f"{path}: the checkpoint is of another training "
            f"({', '.join(different)} differ); remove it or name another"
        )
    return dict(state)
