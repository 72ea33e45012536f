"""BUSI: 780 images in three classes, with masks.

Al-Dhabyani et al., Dataset of breast ultrasound images, Data in Brief 28:104863
(2020). Many of its images are copies of one another; which ones are was published by
Pawlowska et al., Data in Brief 48:109247 (2023), and is read from ``busi_groups.csv``.
"""

from __future__ import annotations

import collections
import os
import re
from collections.abc import Iterable
from pathlib import Path

from busnet.data.cases import CLASSES, Case
from busnet.data.tables import Row, read_table
from busnet.errors import DataError

__all__ = ["GROUPS", "GROUPS_FILE", "read_busi"]

#: Name of the division into five folds that divide no group of copies.
GROUPS = "busi-groups"

#: What the published archive calls the folder of the classes' folders.
FOLDER = "Dataset_BUSI_with_GT"

GROUPS_FILE = "busi_groups.csv"
_COLUMNS = ("class", "number", "group_ext", "objection", "annotation", "fold")


def read_busi(
    folder: str | os.PathLike[str], groups: str | os.PathLike[str] | None = None
) -> list[Case]:
    """List the cases of BUSI.

    Groups are the copies of a scene. ``fold`` is that of the table of groups, as is
    the fold in ``divisions``. Where copies of a scene have several classes, all of them
    are ``contradicted`` and in no fold.

    Parameters
    ----------
    folder
        ``Dataset_BUSI_with_GT``, with a folder for each class; or the folder around
        it.
    groups
        Table of duplicate groups; by default ``busi_groups.csv`` in ``folder`` or
        beside it.

    Returns
    -------
    list of Case
        By class, then by number.

    Raises
    ------
    DataError
        If a folder, the table, a row of it or a mask is missing.
    """
    root = _locate(Path(folder))
    for label in CLASSES:
        if not (root / label).is_dir():
            raise DataError(f"{root}: BUSI has a folder {label!r}, this one has none")
    table = _read_groups(root, Path(groups) if groups is not None else None)
    contradictory = _contradictory_groups(table.values())
    cases = []
    for label in CLASSES:
        pattern = re.compile(rf"{label} \((\d+)\)\.png")
        numbers = sorted(
            int(match[1])
            for path in (root / label).iterdir()
            if (match := pattern.fullmatch(path.name))
        )
        for number in numbers:
            name = f"{label} ({number})"
            masks = tuple(sorted((root / label).glob(f"{name}_mask*.png")))
            if not masks:
                raise DataError(f"{root / label / name}.png: the image has no mask")
            row = table.get((label, number))
            if row is None:
                raise DataError(f"{GROUPS_FILE}: no row for {name}")
            contradicted = row["group_ext"] in contradictory
            fold = -1 if contradicted else _fold(row)
            cases.append(
                Case(
                    name=name,
                    image=root / label / f"{name}.png",
                    masks=masks,
                    label=label,
                    group=row["group_ext"],
                    fold=fold,
                    source="busi",
                    objection=row["objection"],
                    annotation=row["annotation"],
                    divisions={} if contradicted else {GROUPS: fold},
                    contradicted=contradicted,
                )
            )
    return cases


def _locate(folder: Path) -> Path:
    inner = folder / FOLDER
    return inner if inner.is_dir() else folder


def _fold(row: Row) -> int:
    fold = row.integer("fold")
    if fold is None or fold < 0:
        raise DataError(
            f"{row.where}: the fold is missing, and the copies of the scene have one "
            f"class"
        )
    return fold


def _contradictory_groups(rows: Iterable[Row]) -> set[str]:
    """Return the groups of copies of which two have different classes."""
    classes: dict[str, set[str]] = collections.defaultdict(set)
    for row in rows:
        classes[row["group_ext"]].add(row["class"].casefold())
    return {group for group, names in classes.items() if len(names) > 1}


def _read_groups(root: Path, path: Path | None) -> dict[tuple[str, int], Row]:
    candidates = [path] if path else [root / GROUPS_FILE, root.parent / GROUPS_FILE]
    for candidate in candidates:
        if candidate.is_file():
            break
    else:
        places = " or ".join(str(c) for c in candidates)
        raise DataError(
            f"no table of BUSI's duplicate groups at {places}, and without it copies "
            f"of test images are trained on; `busnet audit {root} --groups "
            f"{root / 'groups.csv'}` finds most of them, and NAME={root} then uses "
            f"that table"
        )
    table: dict[tuple[str, int], Row] = {}
    for row in read_table(candidate, required=_COLUMNS).rows:
        number = row.integer("number")
        if number is None:
            raise DataError(f"{row.where}: the number is missing")
        table[row["class"].casefold(), number] = row
    return table
