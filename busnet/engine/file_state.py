"""Whether a file is still the one that was read."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

from busnet.errors import MissingWeightsError, WeightsError

__all__ = ["FileState"]


class FileState(NamedTuple):
    """What the file system says of a file; any change of the file changes it.

    The time of modification alone would not do: a copy may keep it (``cp -p``). The
    time of the last change of the file's entry cannot be set.
    """

    device: int
    inode: int
    size: int
    modified_ns: int
    changed_ns: int

    @classmethod
    def of(cls, path: Path) -> FileState:
        """Return the state of a file.

        Raises
        ------
        MissingWeightsError
            If there is no such file.
        WeightsError
            If the file system does not say.
        """
        try:
            status = os.stat(path)
        except FileNotFoundError:
            raise MissingWeightsError(f"{path}: no such file") from None
        except (OSError, ValueError) as error:
            raise WeightsError(f"{path}: cannot be read: {error}") from None
        return cls(
            status.st_dev,
            status.st_ino,
            status.st_size,
            status.st_mtime_ns,
            status.st_ctime_ns,
        )

    def check(self, path: Path) -> None:
        """Check that a file has this state.

        Raises
        ------
        MissingWeightsError
            If there is no such file.
        WeightsError
            If its state is another.
        """
        if FileState.of(path) != self:
            raise WeightsError(
                f"{path}: it was changed meanwhile; load the model again"
            )
