"""The shipped models: a weights file each."""

from __future__ import annotations

import os
from pathlib import Path

from busnet.errors import MissingWeightsError

__all__ = ["DEFAULT", "find_model", "shipped"]

#: Name of the shipped model that is used where none is named.
DEFAULT = "mod_resnet101"


def shipped() -> dict[str, Path]:
    """Return name and file of each model that is part of the package."""
    folder = Path(__file__).parent
    return {path.stem: path for path in sorted(folder.glob("*.safetensors"))}


def find_model(model: str | os.PathLike[str]) -> Path:
    """Return the file of a shipped model's name, or of a path to one.

    Raises
    ------
    MissingWeightsError
        If it is neither.
    """
    name = os.fspath(model)
    known = shipped()
    path = known.get(name, Path(name))
    if name not in known and path.suffix != ".safetensors":
        raise MissingWeightsError(
            f"no model is called {name!r}; shipped are {', '.join(known) or 'none'}, "
            f"anything else is a path to a .safetensors file"
        )
    return path
