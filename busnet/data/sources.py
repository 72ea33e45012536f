"""Sources: one or several data sets, each by the reader of its layout."""

from __future__ import annotations

import collections
import os
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from busnet.data import busbra, busi, busuclm
from busnet.data.cases import CLASSES, Case
from busnet.data.custom import read_custom
from busnet.errors import DataError

__all__ = ["READERS", "parse_sources", "read_sources", "recognise"]

#: The reader of each published data set, and of the user's own images.
READERS: dict[str, Callable[[Path], list[Case]]] = {
    "busi": busi.read_busi,
    "busbra": busbra.read_busbra,
    "busuclm": busuclm.read_busuclm,
    "custom": read_custom,
}

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


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
    return "custom"


def _numbered(folder: Path, label: str) -> bool:
    """Tell whether a folder has images that are named as BUSI's are."""
    return folder.is_dir() and any(folder.glob(f"{label} ([0-9]*).png"))


def parse_sources(texts: Sequence[str]) -> dict[str, Path]:
    """Return the sources of ``NAME=PATH`` or ``PATH`` by their names.

    A path without a name gets that of its layout: see :func:`recognise`.

    Raises
    ------
    DataError
        If two sources have the same name.
    """
    sources: dict[str, Path] = {}
    for text in texts:
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
        Folders or tables by the name of the source. ``busi``, ``busbra`` and
        ``busuclm`` are read by their own layouts. A table with a column ``source``
        names its sources itself and has the name ``custom`` here.

    Returns
    -------
    list of Case
        Source by source, each case with the name of its source.

    Raises
    ------
    DataError
        If there is no source, one cannot be read, a published data set has another
        name than its own, two sources have the same name, or two cases of a source
        have.
    """
    if not sources:
        raise DataError("there are no sources to read")
    origin: dict[str, Path] = {}
    cases: list[Case] = []
    for name, location in sources.items():
        path = Path(location)
        for case in _read_source(name, path):
            if origin.setdefault(case.source, path) != path:
                raise DataError(
                    f"{origin[case.source]} and {path} both hold the source "
                    f"{case.source!r}"
                )
            cases.append(case)
    counts = collections.Counter((case.source, case.name) for case in cases)
    for (source, name), count in counts.items():
        if count > 1:
            raise DataError(f"source {source}: {count} cases are called {name!r}")
    return cases


def _read_source(name: str, path: Path) -> list[Case]:
    if not path.exists():
        raise DataError(f"source {name}: {path}: no such file or folder")
    layout = recognise(path)
    if name in READERS and name != "custom":
        return READERS[name](path)
    if layout != "custom":
        raise DataError(
            f"{path} has the layout of {layout}; name it {layout}={path}, so that its "
            f"folds and models are known"
        )
    return read_custom(path, source=name)
