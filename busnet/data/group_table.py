"""The table of groups in a folder of images: which images no split may divide."""

from __future__ import annotations

import collections
import dataclasses
import itertools
from collections.abc import Iterable, Sequence
from pathlib import Path

from busnet.data import duplicates
from busnet.data.cases import Case
from busnet.data.tables import read_table
from busnet.errors import DataError

__all__ = ["GROUPS_FILE", "join_groups"]

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


def _read(table: Path) -> dict[Path, str]:
    """Return the group of each image of a table that has one."""
    groups: dict[Path, str] = {}
    lines: dict[Path, int] = {}
    for row in read_table(table, required=("image", "group")).rows:
        name, group = row.get("image"), row.identifier("group")
        if not name or not group:
            continue
        path = (table.parent / name.replace("\\", "/")).resolve()
        first = groups.setdefault(path, group)
        line = lines.setdefault(path, row.line)
        if first != group:
            raise DataError(
                f"{table}: lines {line} and {row.line} put {name} in the groups "
                f"{first!r} and {group!r}; leave one, or give both groups one name"
            )
    return groups
