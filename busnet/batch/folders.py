"""Searching folders for image files: what is taken, and what is skipped and why."""

from __future__ import annotations

import collections
import fnmatch
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path

from busnet.images import SUFFIXES, is_dicom_image
from busnet.images.names import (
    OUTPUT_FOLDERS,
    can_be_initials,
    image_stems,
    is_mask_folder,
    is_mask_name,
    is_output_folder,
    is_wrapper,
    lies_in_outputs,
)

__all__ = ["FolderSearch", "natural_order"]

#: Why files are skipped.
HIDDEN = "hidden"
MASK = "masks by their name"
MASKS = "folders of masks"
OTHER_ENDING = "not images by their ending"
OTHER_NAME = "not matching the pattern"
OUTPUT = "in the output folder"
EARLIER = "outputs of an earlier run"
READ = "folders that are read already"
SPECIAL = "not regular files"
UNREADABLE = "folders that cannot be read"

#: A folder as it was named, and its real path.
Folder = tuple[Path, str]


class FolderSearch:
    """Finds image files in folders to any depth, each folder once.

    Links to folders are followed after all other folders, so that a file that is
    reached both ways is taken by its real path, and loops end.

    Parameters
    ----------
    pattern
        What file names must match, such as ``"*.png"``. By default they need an
        image's ending or DICOM's mark, and must neither be those of masks nor lie in a
        folder that is called so.
    output
        The run's output folder. What lies in it is skipped; where the search begins
        in it, only what a run writes there is.

    Attributes
    ----------
    skipped
        How many files were skipped, by reason; a folder counts as one.
    unreadable
        Folders that cannot be read.
    """

    def __init__(self, pattern: str | None = None, output: Path | None = None) -> None:
        self.skipped: collections.Counter[str] = collections.Counter()
        self.unreadable: list[Path] = []
        self._pattern = pattern
        self._output = None if output is None else os.path.realpath(output)
        self._visited: set[tuple[int, int]] = set()
        self._stems: dict[Path, frozenset[str]] = {}

    def files(self, root: Path) -> list[Path]:
        """Return the image files below a folder, by name, numbers by value."""
        start = (root, os.path.realpath(root))
        inside = self._output is not None and _lies_in(start[1], self._output)
        if self._is_output(start[1], inside=inside):
            self.skipped[OUTPUT] += 1
            return []
        files: list[Path] = []
        folders, links = [start], collections.deque[Folder]()
        while folders or links:
            folder = folders.pop() if folders else links.popleft()
            for entry in self._entries(folder):
                path, real = folder[0] / entry.name, os.path.join(folder[1], entry.name)
                link = entry.is_symlink()
                if link:
                    real = os.path.realpath(path)
                if entry.name.startswith("."):
                    self.skipped[HIDDEN] += 1
                elif self._is_output(real, inside=inside):
                    self.skipped[OUTPUT] += 1
                elif _is_folder(entry):
                    if reason := self._reason_to_skip_folder(entry, real):
                        self.skipped[reason] += 1
                    else:
                        (links if link else folders).append((path, real))
                elif reason := self._reason_to_skip(path):
                    self.skipped[reason] += 1
                else:
                    files.append(path)
        return sorted(files, key=lambda path: natural_order(path.relative_to(root)))

    def takes(self, path: Path) -> bool:
        """Tell whether a file that was named is input: not what the run writes.

        One that is not is counted as skipped.
        """
        if self._output is None or "\0" in os.fspath(path):
            return True
        if self._is_output(os.path.realpath(path), inside=True):
            self.skipped[OUTPUT] += 1
            return False
        return True

    def takes_match(self, path: Path) -> bool:
        """Tell whether a file that matches a pattern is no output of an earlier run.

        One that is counts as skipped.
        """
        if not lies_in_outputs(path):
            return True
        self.skipped[EARLIER] += 1
        return False

    def _entries(self, folder: Folder) -> Iterator[os.DirEntry[str]]:
        """Yield what is in a folder that was not visited before."""
        try:
            status = os.stat(folder[0])
            identity = (status.st_dev, status.st_ino)
            if identity in self._visited:
                self.skipped[READ] += 1
                return
            self._visited.add(identity)
            with os.scandir(folder[0]) as scan:
                entries = list(scan)
        except OSError:
            self.skipped[UNREADABLE] += 1
            self.unreadable.append(folder[0])
            return
        # The outputs of a run with another output folder, which are no images either.
        earlier = is_output_folder({entry.name for entry in entries})
        for entry in entries:
            if earlier and entry.name in OUTPUT_FOLDERS:
                self.skipped[EARLIER] += 1
            else:
                yield entry

    def _is_output(self, real: str, *, inside: bool) -> bool:
        """Tell whether a real path is one of the run's outputs.

        ``inside`` tells whether the search began in the output folder.
        """
        if self._output is None or not _lies_in(real, self._output):
            return False
        parts = Path(real).relative_to(self._output).parts
        return not inside or (bool(parts) and parts[0] in OUTPUT_FOLDERS)

    def _reason_to_skip_folder(self, entry: os.DirEntry[str], real: str) -> str | None:
        if entry.is_symlink() and lies_in_outputs(real):
            return EARLIER
        if self._pattern is not None or not is_mask_folder(entry.name):
            return None
        return None if is_wrapper(_names(real)) else MASKS

    def _is_mask(self, path: Path) -> bool:
        """Tell by its name whether a file is a mask.

        ``a_gt.png`` may be called after a person, unless ``a.png`` is there.
        """
        if not is_mask_name(path.stem):
            return False
        if not can_be_initials(path.stem):
            return True
        if path.parent not in self._stems:
            files = map(Path, _names(path.parent))
            self._stems[path.parent] = frozenset(
                file.stem for file in files if file.suffix.lower() in SUFFIXES
            )
        return not self._stems[path.parent].isdisjoint(image_stems(path.stem)[1:])

    def _reason_to_skip(self, path: Path) -> str | None:
        try:
            regular = stat.S_ISREG(path.stat().st_mode)
        except OSError:
            regular = True  # it is an error when its turn comes
        if not regular:
            return SPECIAL
        if self._pattern is not None:
            return None if fnmatch.fnmatch(path.name, self._pattern) else OTHER_NAME
        if path.suffix.lower() in SUFFIXES:
            return MASK if self._is_mask(path) else None
        return None if is_dicom_image(path) else OTHER_ENDING


def _names(folder: str | Path) -> list[str]:
    """Return the names in a folder, none if it cannot be read."""
    try:
        return os.listdir(folder)
    except OSError:
        return []


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False


def natural_order(path: Path) -> list[tuple[int, str]]:
    """Return a key that sorts paths by name without case, numbers by value."""
    text = str(path)
    parts = re.split(r"([0-9]+)", text.lower())
    return [(int(p), "") if p.isdecimal() else (-1, p) for p in parts] + [(-1, text)]


def _lies_in(path: str, folder: str) -> bool:
    """Tell whether a real path is a folder or lies below it."""
    return path == folder or path.startswith(folder.rstrip(os.sep) + os.sep)
