"""The table of groups in a folder of images: which images no split may divide."""

from __future__ import annotations

import collections
import dataclasses
import itertools
from collections.abc import Iterable, Sequence
from pathlib import Path

from busnet.data import duplicates
from busnet.data.cases import Case
from busnet.data.tables import Row, read_table
from busnet.errors import DataError

__all__ = ["GROUPS_FILE", "group_name", "join_groups"]

#: Table of groups that a folder may hold.
GROUPS_FILE = "groups.csv"


def join_groups(
    tables: Iterable[Path], cases: Sequence[Case]
) -> tuple[list[Case], tuple[str, ...]]:
    """Join the groups of cases as tables say; return also the images that none has.

    Parameters
    ----------
    tables
        Files with the columns ``image`` and ``group``; paths in them are relative to
        their folder.
    cases
        Cases with the groups that they have without the tables, which stay together.

    Raises
    ------
    DataError
        If a table cannot be read, or puts an image in two groups.
    """
    members: dict[tuple[str, str], list[int]] = collections.defaultdict(list)
    listed: set[int] = set()
    numbers = {case.image.resolve(): i for i, case in enumerate(cases)}
    for i, case in enumerate(cases):
        members["", case.group].append(i)
    read = [(table, _read(table)) for table in tables]
    for table, groups in read:
        for image, group in groups.items():
            if image in numbers:
                members[str(table), group].append(numbers[image])
                listed.add(numbers[image])
    pairs = [
        duplicates.Pair(first, second, 1.0)
        for indices in members.values()
        for first, second in itertools.pairwise(indices)
    ]
    joined = duplicates.groups(pairs, len(cases))
    names: dict[int, str] = {}
    for number, case in zip(joined, cases, strict=True):
        names.setdefault(number, case.group)
    ungrouped = tuple(c.name for i, c in enumerate(cases) if i not in listed)
    return [
        dataclasses.replace(case, group=names[number])
        for number, case in zip(joined, cases, strict=True)
    ], ungrouped if read else ()


def group_name(row: Row) -> str:
    """Return the group of a row, "" without one; pandas' ``7.0`` is 7."""
    return row.identifier("group")


def _read(table: Path) -> dict[Path, str]:
    """Return the group of each image of a table that has one."""
    rows: dict[Path, Row] = {}
    for row in read_table(table, required=("image", "group")).rows:
        name, group = row.get("image"), group_name(row)
        if not name or not group:
            continue
        path = (table.parent / name.replace("\\", "/")).resolve()
        first = rows.setdefault(path, row)
        if group_name(first) != group:
            raise DataError(
                f"{table}: lines {first.line} and {row.line} put {name} in the groups "
                f"{group_name(first)!r} and {group!r}; leave one, or give both groups "
                f"one name"
            )
    return {path: group_name(row) for path, row in rows.items()}
