"""What functions take as data: paths, cases, or a table in memory."""

from __future__ import annotations

import os
import typing
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

from busnet.data.cases import Case
from busnet.data.custom import list_table
from busnet.data.findings import Listing, raise_errors
from busnet.data.screening import screen_files
from busnet.data.sources import (
    list_sources,
    merge_listings,
    parse_sources,
    repeated_names,
)
from busnet.data.tables import parse_table
from busnet.errors import DataError

__all__ = ["DataFrame", "DataLike", "read_data"]

PathLike: TypeAlias = "str | os.PathLike[str]"

#: Name that messages give to a table in memory; its paths are relative to the current
#: folder.
IN_MEMORY = Path("DataFrame")


@typing.runtime_checkable
class DataFrame(typing.Protocol):
    """A table in memory: what is used of ``pandas.DataFrame``."""

    def to_csv(self, path_or_buf: None = None, *, index: bool = True) -> str:
        """Return the table as CSV text."""


#: A data set's folder or table, as a path or ``"NAME=PATH"``; several of these; paths
#: by the name of the source; cases; or a table in memory.
DataLike: TypeAlias = (
    "PathLike | Mapping[str, PathLike] | Sequence[PathLike] | Sequence[Case] | "
    "DataFrame"
)


def read_data(data: DataLike) -> Listing:
    """Return the cases of data sets, and what their readers found.

    Parameters
    ----------
    data
        A folder or a table (``"my.csv"``, ``"busi=Dataset_BUSI_with_GT"``), a list of
        these, a mapping of source names to paths, cases, or a data frame with the
        columns of :func:`busnet.data.read_custom`.

    Raises
    ------
    DataError
        If one cannot be read, cases of it are missing, a case or a file is there twice,
        or ``data`` is something else.
    """
    if isinstance(data, str | os.PathLike):
        return _read_sources(parse_sources([os.fspath(data)]))
    if isinstance(data, Mapping):
        for name, path in data.items():
            if not (isinstance(name, str) and isinstance(path, str | os.PathLike)):
                raise DataError(
                    f"data by names is paths by the names of sources, and {name!r} is "
                    f"a {type(path).__name__}; columns of a table make a data frame"
                )
        return _read_sources(data)
    if isinstance(data, DataFrame):
        table = parse_table(data.to_csv(index=False), IN_MEMORY, delimiter=",")
        listing = merge_listings([(IN_MEMORY, list_table(table))])
        raise_errors(listing.findings)
        return listing
    if not isinstance(data, Iterable):
        raise DataError(f"data is paths or cases, not a {type(data).__name__}")
    items = list(data)
    cases = [item for item in items if isinstance(item, Case)]
    paths = [os.fspath(i) for i in items if isinstance(i, str | os.PathLike)]
    if len(cases) == len(items):
        raise_errors([*repeated_names(cases), *screen_files(cases)])
        return Listing(tuple(cases))
    if len(paths) == len(items):
        return _read_sources(parse_sources(paths))
    kinds = sorted({type(item).__name__ for item in items})
    raise DataError(f"data is a list of paths or of cases, not of {', '.join(kinds)}")


def _read_sources(sources: Mapping[str, PathLike]) -> Listing:
    listing = list_sources(sources)
    raise_errors(listing.findings)
    return listing
