"""BUSI: 780 images in three classes, with masks.

Al-Dhabyani et al., Dataset of breast ultrasound images, Data in Brief 28:104863
(2020). Many of its images are copies of one another; which ones are was published by
Pawlowska et al., Data in Brief 48:109247 (2023), and is read from ``busi_groups.csv``.
"""

from __future__ import annotations

import csv
import os
import re
from pathlib import Path

from busnet.data.cases import CLASSES, Case
from busnet.errors import DataError

__all__ = ["read_busi"]

GROUPS_FILE = "busi_groups.csv"
_COLUMNS = ("class", "number", "group_ext", "objection", "annotation", "fold")


def read_busi(
    folder: str | os.PathLike[str], groups: str | os.PathLike[str] | None = None
) -> list[Case]:
    """List the cases of BUSI.

    Parameters
    ----------
    folder
        ``Dataset_BUSI_with_GT``, with a folder for each class.
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
    root = Path(folder)
    table = _read_groups(root, Path(groups) if groups is not None else None)
    cases = []
    for label in CLASSES:
        if not (root / label).is_dir():
            raise DataError(f"{root}: BUSI has a folder {label!r}, this one has none")
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
            cases.append(
                Case(
                    name=name,
                    image=root / label / f"{name}.png",
                    masks=masks,
                    label=label,
                    group=row["group_ext"],
                    fold=int(row["fold"]),
                    objection=row["objection"],
                    annotation=row["annotation"],
                )
            )
    return cases


def _read_groups(
    root: Path, path: Path | None
) -> dict[tuple[str, int], dict[str, str]]:
    candidates = [path] if path else [root / GROUPS_FILE, root.parent / GROUPS_FILE]
    for candidate in candidates:
        if candidate.is_file():
            break
    else:
        places = " or ".join(str(c) for c in candidates)
        raise DataError(f"no table of BUSI's duplicate groups at {places}")
    with candidate.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        missing = set(_COLUMNS) - set(reader.fieldnames or ())
        if missing:
            raise DataError(f"{candidate}: column {sorted(missing)[0]!r} is missing")
        try:
            return {(row["class"], int(row["number"])): row for row in reader}
        except ValueError as error:
            raise DataError(f"{candidate}: {error}") from None
