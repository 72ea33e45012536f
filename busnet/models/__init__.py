"""The models that have names: shipped ones, and those of other packages."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

from busnet.errors import MissingWeightsError, ModelError, WeightsError
from busnet.models.plugins import list_plugins

__all__ = ["DEFAULT", "ModelFile", "find_model", "locate_model", "shipped"]

#: Name of the shipped model that is used where none is named.
DEFAULT = "mod_resnet101"

SUFFIX = ".safetensors"


class ModelFile(NamedTuple):
    """Where a model is.

    Attributes
    ----------
    name
        The shipped model's or the plug-in's name; of any other file the path.
    path
        The weights file.
    is_named
        Whether :func:`busnet.load` takes the name, wherever the process runs.
    """

    name: str
    path: Path
    is_named: bool


def shipped() -> dict[str, Path]:
    """Return name and file of each model that is part of the package."""
    folder = Path(__file__).parent
    return {path.stem: path for path in sorted(folder.glob(f"*{SUFFIX}"))}


def locate_model(model: str | os.PathLike[str]) -> ModelFile:
    """Return the file of a shipped model, of a plug-in's, or of a path to one.

    Parameters
    ----------
    model
        A name, or a path that ends in ``.safetensors``.

    Raises
    ------
    MissingWeightsError
        If it is neither, or the plug-in's file does not exist.
    WeightsError
        If two packages have a model of this name, or the plug-in fails.
    ModelError
        If it is no name or path at all.
    """
    if not isinstance(model, str | os.PathLike):
        raise ModelError(
            f"one model's name or path is needed here, not {type(model).__name__}"
        )
    name = os.fspath(model)
    known, path = shipped(), Path(name)
    if path.suffix == SUFFIX:
        is_shipped = known.get(path.stem) == path
        return ModelFile(path.stem if is_shipped else name, path, is_shipped)
    plugins = list_plugins()
    namesakes = [plugin for plugin in plugins if plugin.name == name]
    packages = ["busnet"] if name in known else []
    packages += [plugin.package for plugin in namesakes]
    if len(packages) > 1:
        raise WeightsError(
            f"{len(packages)} packages have a model {name!r}: {', '.join(packages)}; "
            f"load one of them by the path of its file"
        )
    if namesakes:
        return ModelFile(name, namesakes[0].find_file(), True)
    if name not in known:
        others = f"; plug-ins have {', '.join(p.name for p in plugins)}"
        raise MissingWeightsError(
            f"no model is called {name!r}; shipped are {', '.join(known) or 'none'}"
            f"{others if plugins else ''}; anything else is a path to a {SUFFIX} file"
        )
    return ModelFile(name, known[name], True)


def find_model(model: str | os.PathLike[str]) -> Path:
    """Return the file of a model; see :func:`locate_model`."""
    return locate_model(model).path
