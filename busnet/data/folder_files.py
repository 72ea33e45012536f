"""The files of a user's folder: what is listed, and what their folders say."""

from __future__ import annotations

import dataclasses
import os
import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from busnet.data.cases import CLASSES
from busnet.errors import DataError
from busnet.images import SUFFIXES
from busnet.images.names import (
    is_image_folder,
    is_mask_folder,
    is_output,
    is_output_folder,
    lies_in_outputs,
)

__all__ = [
    "HIDDEN",
    "NNUNET_TEST",
    "FolderFile",
    "drop_wrapper",
    "is_part",
    "walk",
    "wrapper_of",
]

#: Names of the parts of a divided data set: which one is meant must be said.
_PART = re.compile(
    r"(train(ing)?|val(id(ation)?)?|test(ing)?)([ _-]?(set|data|split))?|"
    r"(fold|cv)[ _-]?\d+",
    re.IGNORECASE,
)

#: nnU-Net's folders of test images, which have no labels.
NNUNET_TEST = frozenset(("imagests", "labelsts"))

_SYSTEM = frozenset(("__macosx", "thumbs.db", "desktop.ini"))

#: Why files are not used.
HIDDEN = "hidden and system files"
OUTPUTS = "outputs of busnet predict"
UNREADABLE = "folders that cannot be read"


@dataclasses.dataclass(frozen=True)
class FolderFile:
    """An image or a mask.

    Attributes
    ----------
    path
        Where it is.
    relative
        Its path below the folder that was named.
    name
        The same without the folders that merely wrap the data set.
    label
        The class that its folders name, or None.
    folders
        The folders that are no part of the layout; the first is the patient.
    stem
        The file's name without ending, with composed letters.
    """

    path: Path
    relative: str
    name: str
    label: str | None
    folders: tuple[str, ...]
    stem: str

    @classmethod
    def read(cls, root: Path, relative: str) -> FolderFile:
        """Return what the folders of a file say.

        Raises
        ------
        DataError
            If they name two classes.
        """
        path = Path(relative)
        labels: set[str] = set()
        folders = []
        for component in path.parts[:-1]:
            name = component.strip().lower()
            if name in CLASSES:
                labels.add(name)
            elif not is_part(name) and not _is_layout(name):
                folders.append(component)
        if len(labels) > 1:
            both = " and ".join(sorted(labels))
            raise DataError(f"{root / path}: its folders name the classes {both}")
        label = labels.pop() if labels else None
        posix = path.as_posix()
        # DICOM often has a UID for a name, whose last number is no ending.
        stem = path.stem if path.suffix.lower() in SUFFIXES else path.name
        # macOS writes letters and their accents apart.
        stem = unicodedata.normalize("NFC", stem)
        return cls(root / path, posix, posix, label, tuple(folders), stem)


def is_part(name: str) -> bool:
    """Tell whether a name is that of a part: ``train``, ``Test_set``, ``fold 3``."""
    return bool(_PART.fullmatch(name.strip()))


def walk(root: Path, ignored: Mapping[str, list[str]]) -> Iterator[str]:
    """Yield the paths of all files below a folder, relative to it, links followed.

    What a run of ``busnet predict`` wrote is no data: a model's own masks would be
    taken for the truth.

    Parameters
    ----------
    root
        The folder.
    ignored
        Takes the paths that are left out, by the reason.

    Raises
    ------
    DataError
        If the folder itself cannot be read, or holds outputs.
    """
    if lies_in_outputs(root):
        raise DataError(f"{root}: a run of busnet predict wrote it, so it is no truth")
    visited: set[tuple[int, int]] = set()

    def unreadable(error: OSError) -> None:
        if error.filename == os.fspath(root):
            raise DataError(f"{root}: cannot be read: {error.strerror}") from None
        ignored[UNREADABLE].append(os.path.relpath(error.filename, root))

    for folder, folders, names in os.walk(root, onerror=unreadable, followlinks=True):
        try:
            state = os.stat(folder)
        except OSError as error:
            unreadable(error)
            continue
        if (state.st_dev, state.st_ino) in visited:
            folders.clear()  # a link back to a folder that was read
            continue
        visited.add((state.st_dev, state.st_ino))
        outputs = _outputs(folder, folders, names)
        folders[:] = sorted(f for f in folders if f not in outputs if not _is_system(f))
        for name in sorted([*names, *(outputs - {*names})]):
            path = os.path.relpath(os.path.join(folder, name), root)
            if name in outputs:
                ignored[OUTPUTS].append(path)
            elif _is_system(name):
                ignored[HIDDEN].append(path)
            else:
                yield path


def _outputs(folder: str, folders: Sequence[str], names: Sequence[str]) -> set[str]:
    """Return what in a folder a run of ``busnet predict`` wrote."""
    outputs = set()
    if is_output_folder(names):
        outputs = {name for name in (*folders, *names) if is_output(name)}
    for name in folders:
        path = os.path.join(folder, name)
        if os.path.islink(path) and lies_in_outputs(path):
            outputs.add(name)
    return outputs


def _is_layout(name: str) -> bool:
    return is_image_folder(name) or is_mask_folder(name)


def _is_system(name: str) -> bool:
    return name.startswith(".") or name.lower() in _SYSTEM


def wrapper_of(images: Sequence[FolderFile]) -> tuple[str, ...]:
    """Return the folders above classes and ``images`` that hold every image.

    A folder that merely wraps the data set is no patient.
    """
    layout = {*CLASSES, *NNUNET_TEST}
    wrappers = []
    for components in zip(*(Path(i.relative).parts[:-1] for i in images), strict=False):
        name = components[0].strip().lower()
        if len(set(components)) > 1 or name in layout or _is_layout(name):
            break
        wrappers.append(components[0])
    return tuple(wrappers)


def drop_wrapper(file: FolderFile, wrapper: Sequence[str]) -> FolderFile:
    """Return a file without the folders that wrap the data set.

    A part such as ``train`` stays in the file's name, so that names of several parts
    differ.
    """
    parts = Path(file.relative).parts
    if parts[: len(wrapper)] != tuple(wrapper):
        return file
    are_parts = [is_part(name) for name in wrapper]
    named = [*are_parts, True].index(True)
    return dataclasses.replace(
        file,
        name=Path(*parts[named:]).as_posix(),
        folders=file.folders[are_parts.count(False) :],
    )
