"""Models of other packages: plug-ins by the entry-point group ``busnet.models``.

The name of an entry point is the model's name. What it refers to is the path of a
weights file, or a function without parameters that returns one. Reading what is
declared imports no package; asking for a model's file imports the one that has it.
"""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import TYPE_CHECKING

from busnet.errors import MissingWeightsError, WeightsError

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

__all__ = ["GROUP", "Plugin", "list_plugins"]

#: The group of entry points in which packages declare their models.
GROUP = "busnet.models"


@dataclasses.dataclass(frozen=True)
class Plugin:
    """A model that a package declares.

    Attributes
    ----------
    name
        The model's name.
    package
        Name of the package as it was installed.
    entry_point
        Where the package says that the file is.
    """

    name: str
    package: str
    entry_point: EntryPoint

    def find_file(self) -> Path:
        """Return the weights file, which exists.

        Raises
        ------
        MissingWeightsError
            If there is no such file.
        WeightsError
            If the package cannot be imported, its function fails, or it gives no
            absolute path.
        """
        what = f"the model {self.name!r} of the package {self.package}"
        try:
            target = self.entry_point.load()
            path = target() if callable(target) else target
        except Exception as error:
            raise WeightsError(
                f"{what} cannot be found: {type(error).__name__}: {error}"
            ) from error
        if not isinstance(path, str | os.PathLike):
            raise WeightsError(
                f"{what} is of type {type(path).__name__}, not the path of a file"
            )
        file = Path(path)
        if not file.is_absolute():
            raise WeightsError(f"{what} has the path {file}, which is not absolute")
        if not file.is_file():
            raise MissingWeightsError(f"{what}: {file}: no such file")
        return file


def list_plugins() -> list[Plugin]:
    """Return the models that installed packages declare, by name and package."""
    # It imports the package email, which nothing else here needs.
    from importlib import metadata

    declared = [
        Plugin(
            entry_point.name,
            entry_point.dist.name if entry_point.dist else entry_point.module,
            entry_point,
        )
        for entry_point in metadata.entry_points(group=GROUP)
    ]
    return sorted(declared, key=lambda plugin: (plugin.name, plugin.package))
