"""Which files to predict: those of folders, patterns and manifests."""

from __future__ import annotations

import codecs
import dataclasses
import glob
import itertools
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath

from busnet.batch.folders import FolderSearch, natural_order
from busnet.batch.names import folder_labels, output_names
from busnet.batch.text import printable
from busnet.errors import DataError, ImageTypeError, MissingImageError
from busnet.images.names import lies_in_outputs

__all__ = ["Selection", "Source", "collect"]

#: Endings of files that list images.
MANIFESTS = frozenset((".csv", ".tsv", ".txt", ".xlsx", ".xlsm"))

#: Why files are skipped that were named before, or that hold something else; and what
#: of manifests is not read.
REPEATED = "named more than once"
SHEETS = "sheets of tables"
NOT_ULTRASOUND = "not ultrasound images"

#: How many unreadable folders a summary names.
_MAX_NAMED = 5


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
    named
        Whether the file itself was named, by an argument or in a manifest, and not
        found in a folder: then it is an error where it holds no ultrasound image.
    """

    path: Path
    name: str
    named: bool = True


@dataclasses.dataclass(frozen=True)
class Selection:
    """The files to predict, and those that were skipped.

    Attributes
    ----------
    sources
        The files.
    skipped
        How many files were skipped, by reason; a folder counts as one.
    unreadable
        Folders that cannot be read.
    """

    sources: tuple[Source, ...]
    skipped: Mapping[str, int] = dataclasses.field(default_factory=dict)
    unreadable: tuple[Path, ...] = ()

    def with_skipped(self, count: int) -> Selection:
        """Return the selection with files of it that turned out to be no ultrasound."""
        if not count:
            return self
        return dataclasses.replace(
            self, skipped={**self.skipped, NOT_ULTRASOUND: count}
        )

    def summary(self) -> str:
        """Return a line about the skipped files, or "" if there are none."""
        if not self.skipped:
            return ""
        reasons = sorted(self.skipped.items(), key=lambda item: (-item[1], item[0]))
        listed = ", ".join(f"{count} {reason}" for reason, count in reasons)
        total = sum(self.skipped.values())
        line = f"{total} file{'s' if total != 1 else ''} skipped: {listed}"
        if self.unreadable:
            line += f" ({', '.join(map(printable, self.unreadable[:_MAX_NAMED]))}"
            line += ", ...)" if len(self.unreadable) > _MAX_NAMED else ")"
        return line


@dataclasses.dataclass(frozen=True)
class _Match:
    """A file that an argument stands for.

    Below ``root`` its path is the name of its outputs; None for a file that was named
    by itself.
    """

    path: Path
    root: Path | None
    named: bool = True

    def relative(self, common: Path) -> PurePosixPath:
        """Return the path below the root, or below what is common to single files."""
        parts = Path(os.path.relpath(self.path, self.root or common)).parts
        return PurePosixPath(*(part for part in parts if part != ".."))


def collect(
    paths: Iterable[str | os.PathLike[str]],
    pattern: str | None = None,
    *,
    output: Path | None = None,
) -> Selection:
    """List the image files that the paths name.

    Parameters
    ----------
    paths
        Files, which are taken as they are; folders, searched to any depth, links to
        folders included; patterns such as ``scans/**/*.png``; and manifests: a
        ``.csv``, ``.tsv`` or ``.xlsx`` table with a column ``image``, or a ``.txt`` of
        a path a line, relative to their own folder. A file that does not exist is an
        error when its turn comes, unless nothing exists that was named.
    pattern
        What names of files in folders must match, such as ``"*.png"``; by default
        they need an image's ending, or DICOM's mark, and must neither be those of masks
        (``_mask``) nor lie in a folder of masks.
    output
        The run's output folder, of which nothing is input.

    Returns
    -------
    Selection
        In the order of the paths; within a folder by name, numbers by value. Output
        names are paths below the folder that was searched; of several such folders,
        or of files in several folders, they begin with the folder's own name.

    Raises
    ------
    MissingImageError
        If none of the paths exists.
    DataError
        If a manifest cannot be read.
    """
    search = FolderSearch(pattern, output)
    arguments = [_named_path(path) for path in paths]
    expansions = [_expand(path, search) for path in arguments]
    if arguments and all(matches is None for matches in expansions):
        missing = ", ".join(map(printable, arguments))
        raise MissingImageError(f"{missing}: no such file or folder")
    unique: dict[str, _Match] = {}
    for path, matches in zip(arguments, expansions, strict=True):
        for match in [_Match(path, None)] if matches is None else matches:
            key = os.path.abspath(match.path)
            if key in unique:
                search.skipped[REPEATED] += 1
            elif search.takes(match.path):
                unique[key] = match
    return Selection(
        _with_names(list(unique.values())),
        dict(search.skipped),
        tuple(search.unreadable),
    )


def _named_path(path: str | os.PathLike[str]) -> Path:
    """Return a path; one that is empty would be the working directory."""
    if not isinstance(path, (str, os.PathLike)):
        raise ImageTypeError(
            f"paths of images are expected, not {type(path).__name__}; predict() takes "
            f"arrays and images in memory"
        )
    if not os.fspath(path):
        raise MissingImageError("a path is empty, which is no file's and no folder's")
    return Path(path)


def _with_names(matches: Sequence[_Match]) -> tuple[Source, ...]:
    """Give each file the name of its outputs."""
    single = {os.path.abspath(m.path.parent) for m in matches if m.root is None}
    common = Path(os.path.commonpath(single)) if single else Path()
    roots = list(dict.fromkeys(match.root or common for match in matches))
    labels = dict(zip(roots, folder_labels(roots), strict=True))
    names = output_names(
        [labels[match.root or common] / match.relative(common) for match in matches]
    )
    return tuple(
        Source(match.path, name, match.named)
        for match, name in zip(matches, names, strict=True)
    )


def _expand(path: Path, search: FolderSearch) -> list[_Match] | None:
    """Return the files that a path stands for, or None if it does not exist."""
    if os.path.isdir(path):
        return [_Match(file, path, False) for file in search.files(path)]
    if os.path.lexists(path):
        if path.suffix.lower() in MANIFESTS:
            return _listed(path, search)
        return [_Match(path, None)]
    return _matching(path, search) or None


def _matching(pattern: Path, search: FolderSearch) -> list[_Match]:
    """Return the files that match a pattern, and those of folders that match it."""
    plain = itertools.takewhile(lambda p: glob.escape(p) == p, pattern.parts[:-1])
    root = Path(*plain)
    named = lies_in_outputs(root)
    matches = []
    paths = [Path(path) for path in glob.glob(str(pattern), recursive=True)]
    for path in sorted(paths, key=natural_order):
        files = search.files(path) if os.path.isdir(path) else [path]
        matches += [
            _Match(file, root, False)
            for file in files
            if named or search.takes_match(file)
        ]
    return sorted(matches, key=lambda match: natural_order(match.path))


def _listed(manifest: Path, search: FolderSearch) -> list[_Match]:
    """Return the files that a manifest lists."""
    files = [manifest.parent / path for path in _read_manifest(manifest, search)]
    folders = [os.path.abspath(path.parent) for path in files]
    root = os.path.abspath(manifest.parent)
    if not all(
        f == root or f.startswith(root.rstrip(os.sep) + os.sep) for f in folders
    ):
        root = os.path.commonpath(folders)
    return [_Match(path, Path(root)) for path in files]


def _read_manifest(manifest: Path, search: FolderSearch) -> list[Path]:
    if manifest.suffix.lower() != ".txt":
        from busnet.data.tables import read_table

        table = read_table(manifest, required=["image"])
        if table.unread:
            search.skipped[SHEETS] += len(table.unread)
        return [Path(row.get("image")) for row in table.rows if row.get("image")]
    try:
        data = manifest.read_bytes()
        wide = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
        # Names that are not UTF-8 are read as the file system's own are.
        text = (
            data.decode("utf-16")
            if wide
            else data.decode("utf-8-sig", "surrogateescape")
        )
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{manifest}: cannot be read: {error}") from None
    return [Path(line.strip()) for line in text.splitlines() if line.strip()]
