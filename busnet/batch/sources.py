"""Which files to predict: those of folders, patterns and manifests."""

from __future__ import annotations

import csv
import dataclasses
import fnmatch
import glob
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from busnet.errors import DataError, MissingImageError
from busnet.images import SUFFIXES, is_dicom

__all__ = ["Source", "collect"]

#: Names in a folder that are not taken for images: BUSI's masks lie beside its images.
NOT_IMAGES = "*_mask*"

#: Endings of files that list images and are none.
MANIFESTS = frozenset((".csv", ".txt"))


@dataclasses.dataclass(frozen=True)
class Source:
    """A file to predict.

    Attributes
    ----------
    path
        The file.
    name
        Name of its outputs, without ending, unique among all sources: the path below
        the folder that was searched.
    """

    path: Path
    name: str


def collect(paths: Iterable[Path], pattern: str | None = None) -> list[Source]:
    """List the image files that the paths name.

    Parameters
    ----------
    paths
        Files, which are taken as they are; folders, searched to any depth; patterns
        such as ``scans/**/*.png``; and manifests: a ``.csv`` table with a column
        ``image``, or a ``.txt`` of a path a line, both relative to their own folder.
        What a manifest names need not exist: it is an error when its turn comes.
    pattern
        What names of files in folders must match, such as ``"*.png"``; by default
        they need an image's ending, or none and DICOM's mark, and must not contain
        ``_mask``.

    Returns
    -------
    list of Source
        In the order of the paths; within a folder by name, numbers by value.

    Raises
    ------
    MissingImageError
        If a path does not exist.
    DataError
        If a manifest cannot be read.
    """
    found: list[tuple[Path, Path]] = []
    for path in paths:
        found += _expand(path, pattern)
    used: set[str] = set()
    sources = []
    for path, relative in found:
        name = next(name for name in _names(relative) if name not in used)
        used.add(name)
        sources.append(Source(path, name))
    return sources


def _expand(path: Path, pattern: str | None) -> list[tuple[Path, Path]]:
    """Return files that a path stands for, each with the path that names it."""
    if path.is_dir():
        inside = [p for p in path.rglob("*") if p.is_file() and _taken(p, pattern)]
        inside.sort(key=_natural)
        return [(p, p.relative_to(path)) for p in inside]
    if path.exists():
        if path.suffix.lower() in MANIFESTS:
            return [(path.parent / p, _inside(p)) for p in _listed(path)]
        return [(path, Path(path.name))]
    if glob.has_magic(str(path)):
        matched = [Path(p) for p in glob.glob(str(path), recursive=True)]
        matched = [p for p in matched if p.is_file()]
        if matched:
            matched.sort(key=_natural)
            return [(p, Path(p.name)) for p in matched]
    raise MissingImageError(f"{path}: no such file or folder")


def _inside(path: Path) -> Path:
    """Return a path that stays below the folder that it is put in."""
    if path.is_absolute() or ".." in path.parts:
        return Path(path.name)
    return path


def _listed(manifest: Path) -> list[Path]:
    try:
        with manifest.open(newline="", encoding="utf-8-sig") as file:
            if manifest.suffix.lower() == ".txt":
                return [Path(line.strip()) for line in file if line.strip()]
            reader = csv.DictReader(file)
            if "image" not in (reader.fieldnames or ()):
                raise DataError(f"{manifest}: column 'image' is missing")
            return [Path(row["image"]) for row in reader if row["image"]]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{manifest}: cannot be read: {error}") from None


def _taken(path: Path, pattern: str | None) -> bool:
    if pattern is not None:
        return fnmatch.fnmatch(path.name, pattern)
    if fnmatch.fnmatch(path.name, NOT_IMAGES):
        return False
    suffix = path.suffix.lower()
    if suffix in SUFFIXES:
        return True
    # DICOM exports often have no ending, or a UID for a name.
    bare = suffix == "" or suffix[1:].isdecimal()
    return bare and path.name != "DICOMDIR" and is_dicom(path)


def _natural(path: Path) -> list[tuple[int, str]]:
    parts = re.split(r"(\d+)", str(path).lower())
    return [(int(p), "") if p.isdecimal() else (-1, p) for p in parts]


def _names(relative: Path) -> Iterator[str]:
    """Yield names for a file's outputs, the plainest first, without end."""
    yield relative.with_suffix("").as_posix()
    yield relative.as_posix()
    number = 2
    while True:
        yield f"{relative.as_posix()}~{number}"
        number += 1
