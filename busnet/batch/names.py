"""Names for the outputs of files: unique, and the same for any order of the files."""

from __future__ import annotations

import collections
import hashlib
import os
import re
import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath

from busnet.batch.text import safe_name

__all__ = ["folder_labels", "output_names"]

#: Bytes of a part of a name: a file system takes 255, endings included.
_MAX_BYTES = 200

#: What outputs of the frames of a clip add to its name.
_FRAME = re.compile(r"_frame\d{4,}$")

#: Endings of outputs: a folder of such a name could stand where a file is to be.
_OUTPUT_ENDINGS = ("_mask.png", "_mask.nii.gz", "_overlay.png", "_seg.dcm")


def output_names(paths: Sequence[PurePosixPath]) -> list[str]:
    """Return a name, without ending, for the outputs of each of some relative paths.

    It is the path without its ending. Files whose outputs would collide, ``x.png`` and
    ``x.jpg`` or, where a file system ignores case, ``X.png``, keep their endings, all
    of them; where that is not enough a digest of the path is added. Names that are too
    long get one, too. Frames of a clip count: ``loop.dcm`` and ``loop_frame0001.png``
    collide.

    Parameters
    ----------
    paths
        All different.
    """
    forms = [_forms(path) for path in paths]
    level = [0] * len(paths)
    while True:
        names = [form[i] for form, i in zip(forms, level, strict=True)]
        colliding = [i for i in _colliding(names) if level[i] < len(forms[i]) - 1]
        if not colliding:
            return names
        for i in colliding:
            level[i] += 1


def _forms(path: PurePosixPath) -> tuple[str, str, str]:
    """Return names of a path, the plainest first."""
    folder = [_part(part) for part in path.parts[:-1]]
    # The last number of a UID, as DICOM exports have for a name, is no ending.
    plain = path.name if path.suffix[1:].isdecimal() else path.stem
    stem, name = _part(plain), _part(path.name)
    digest = _digest(os.fspath(path))
    return (
        "/".join([*folder, stem]),
        "/".join([*folder, name]),
        "/".join([*folder, f"{name}~{digest}"]),
    )


def _part(part: str) -> str:
    """Return a part of a path as a part of a name."""
    name = safe_name(part)
    if name.lower().endswith(_OUTPUT_ENDINGS):
        name += "~"
    if len(name.encode()) > _MAX_BYTES:
        cut = name.encode()[: _MAX_BYTES - 13].decode(errors="ignore")
        name = f"{cut}~{_digest(part)}"
    return name


def _digest(text: str) -> str:
    return hashlib.sha256(os.fsencode(text)).hexdigest()[:12]


def _colliding(names: Iterable[str]) -> set[int]:
    """Return the indices of names whose outputs may be the same file."""
    groups: dict[str, list[int]] = collections.defaultdict(list)
    for i, name in enumerate(names):
        groups[_folded(name)].append(i)
    colliding: set[int] = set()
    for key, group in groups.items():
        if len(group) > 1:
            colliding.update(group)
        clip = _FRAME.sub("", key)
        if clip != key and clip in groups:
            colliding.update(group, groups[clip])
    return colliding


def _folded(name: str) -> str:
    """Return what is the same for names that some file system takes for the same."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def folder_labels(folders: Sequence[Path]) -> list[PurePosixPath]:
    """Return a label for each of some folders: as many of its last parts as tell it.

    One folder alone needs none. ``a/site`` and ``b/site`` differ by two parts,
    ``a/site`` and ``b/other`` by one.
    """
    if len(set(folders)) < 2:
        return [PurePosixPath()] * len(folders)
    parts = [Path(os.path.abspath(folder)).parts for folder in folders]
    count = 1
    while len({_folded("/".join(p[-count:])) for p in parts}) < len(set(parts)):
        count += 1
    return [PurePosixPath(*(part for part in p[-count:] if part != "/")) for p in parts]
