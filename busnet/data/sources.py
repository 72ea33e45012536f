"""Sources: one or several data sets, each by the reader of its layout."""

from __future__ import annotations

import collections
import os
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from busnet.data import brest, busbra, busi, busuclm
from busnet.data.cases import CLASSES, CUSTOM_SOURCE, Case
from busnet.data.custom import list_custom, read_custom
from busnet.data.findings import Finding, Listing, plural, raise_errors
from busnet.data.group_table import GROUPS_FILE
from busnet.data.hospitals import check_names, shared_patients
from busnet.data.screening import screen_files
from busnet.data.source_names import check_name
from busnet.errors import DataError

__all__ = [
    "READERS",
    "list_source",
    "list_sources",
    "merge_listings",
    "parse_sources",
    "read_sources",
    "recognise",
    "repeated_names",
]

#: The reader of each published data set, and of the user's own images.
READERS: dict[str, Callable[[Path], list[Case]]] = {
    "busi": busi.read_busi,
    "busbra": busbra.read_busbra,
    "busuclm": busuclm.read_busuclm,
    "brest": brest.read_brest,
    CUSTOM_SOURCE: read_custom,
}

_NAME = re.compile(r"[^\W_][\w .-]*")


def recognise(path: str | os.PathLike[str]) -> str:
    """Return the name in :data:`READERS` of the layout of a folder or a table.

    What has the layout of no published data set is ``"custom"``.
    """
    folder = Path(path)
    for root in (folder, folder / busbra.FOLDER):
        if (root / busbra.TABLE).is_file():
            return "busbra"
    for root in (folder, folder / busuclm.FOLDER):
        if (root / busuclm.TABLE).is_file() and (root / "images").is_dir():
            return "busuclm"
    for root in (folder, folder / busi.FOLDER):
        if all(_numbered(root / label, label) for label in CLASSES):
            return "busi"
    return "brest" if brest.find_table(folder) is not None else CUSTOM_SOURCE


def _numbered(folder: Path, label: str) -> bool:
    """Tell whether a folder has images that are named as BUSI's are."""
    return folder.is_dir() and any(folder.glob(f"{label} ([0-9]*).png"))


def parse_sources(texts: Sequence[str]) -> dict[str, Path]:
    """Return the sources of ``NAME=PATH`` or ``PATH`` by their names.

    A path without a name gets that of its layout: see :func:`recognise`.

    Raises
    ------
    DataError
        If two sources have the same name, or a text is empty, as an unset variable of
        the shell is.
    """
    sources: dict[str, Path] = {}
    for text in texts:
        if not text:
            raise DataError("the path of a data set is empty")
        name, equals, rest = text.partition("=")
        if equals and _NAME.fullmatch(name) and rest and not os.path.exists(text):
            path = Path(rest)
        else:
            path = Path(text)
            name = recognise(path)
        if name in sources:
            raise DataError(
                f"{sources[name]} and {path} are both called {name!r}; name each "
                f"source by NAME=PATH"
            )
        sources[name] = path
    return sources


def read_sources(sources: Mapping[str, str | os.PathLike[str]]) -> list[Case]:
    """List the cases of several sources.

    Parameters
    ----------
    sources
        Folders or tables by the name of the source. ``busi``, ``busbra``, ``busuclm``
        and ``brest`` are read by their own layouts. A table with a column ``source``
        names its sources itself and has the name ``custom`` here.

    Returns
    -------
    list of Case
        Source by source, each case with the name of its source.

    Raises
    ------
    DataError
        If there is no source, one cannot be read, a published data set has another
        name than its own, two sources have the same name or two spellings of one, a
        patient is in two of them, or a case, a file or a mask is named twice.
    """
    listing = list_sources(sources)
    raise_errors(listing.findings)
    return list(listing.cases)


def list_sources(sources: Mapping[str, str | os.PathLike[str]]) -> Listing:
    """List the cases of several sources, and what is wrong or left out.

    Parameters
    ----------
    sources
        As for :func:`read_sources`.

    Returns
    -------
    Listing
        The cases that can be used, and the findings of the readers. Errors among the
        findings mean that cases are missing.

    Raises
    ------
    DataError
        As :func:`read_sources`, except rows of a user's table that cannot be used:
        those are findings.
    """
    if not sources:
        raise DataError("there are no sources to read")
    for name, path in sources.items():
        if path == "":
            raise DataError(f"the path of the source {name!r} is empty")
    return merge_listings(
        [(Path(path), list_source(name, Path(path))) for name, path in sources.items()]
    )


def merge_listings(listings: Sequence[tuple[Path, Listing]]) -> Listing:
    """Join the listings of several folders or tables.

    Raises
    ------
    DataError
        If two of them hold a source of the same name, or of one that is spelled in
        another way.
    """
    origin: dict[str, Path] = {}
    cases: list[Case] = []
    findings: list[Finding] = []
    for path, listing in listings:
        findings += listing.findings
        for case in listing.cases:
            if origin.setdefault(case.source, path) != path:
                raise DataError(
                    f"{origin[case.source]} and {path} both hold the source "
                    f"{case.source!r}"
                )
            cases.append(case)
    check_names(origin)
    findings += [
        *repeated_names(cases),
        *screen_files(cases),
        *shared_patients(cases, origin),
    ]
    return Listing(tuple(cases), tuple(findings))


def repeated_names(cases: Sequence[Case]) -> list[Finding]:
    """Look for cases of one source that have the same name."""
    counts = collections.Counter((case.source, case.name) for case in cases)
    repeated = [f"{s}: {name}" for (s, name), n in counts.items() if n > 1]
    if not repeated:
        return []
    return [
        Finding(
            "repeated-case",
            "error",
            f"{plural(len(repeated), 'image')} listed more than once; several masks of "
            f"an image stand in one row, separated by ';'",
            tuple(repeated),
        )
    ]


def list_source(name: str, path: Path) -> Listing:
    """List the cases of one source, and what is wrong or left out.

    Raises
    ------
    DataError
        If it cannot be read, or is a published data set of another name.
    """
    if not path.exists():
        raise DataError(f"source {name}: {path}: no such file or folder")
    if name in READERS and name != CUSTOM_SOURCE:
        return Listing(tuple(READERS[name](path)))
    layout = recognise(path)
    if layout != CUSTOM_SOURCE and not (path / GROUPS_FILE).is_file():
        raise DataError(
            f"{path} has the layout of {layout}; name it {layout}={path}, so that its "
            f"folds and models are known"
        )
    check_name(name)
    listing = list_custom(path, source=name)
    named = dict.fromkeys(case.source for case in listing.cases)
    if name == CUSTOM_SOURCE or not named or name in named:
        return listing
    unused = Finding(
        "unused-name",
        "warning",
        f"{path}: the name {name!r} is not used, as the table's column of sources has "
        f"names of its own",
        tuple(named),
    )
    return Listing(listing.cases, (*listing.findings, unused))
