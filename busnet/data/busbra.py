"""BUS-BRA: 1,875 images of 1,064 patients, benign or malignant, with masks.

Gomez-Flores et al., BUS-BRA: a breast ultrasound dataset for assessing computer-aided
diagnosis systems, Medical Physics (2024). It has no normal images.
"""

from __future__ import annotations

import os
from pathlib import Path

from busnet.data.cases import LESION_CLASSES, Case
from busnet.data.tables import Row, read_table
from busnet.errors import DataError

__all__ = ["FIVE_FOLDS", "TEN_FOLDS", "read_busbra"]

#: Names of the two official divisions into folds.
FIVE_FOLDS, TEN_FOLDS = "busbra-patients", "busbra-patients10"

#: What the published archive calls the folder.
FOLDER = "BUSBRA"

TABLE = "bus_data.csv"
_FOLD_TABLES = {FIVE_FOLDS: "5-fold-cv.csv", TEN_FOLDS: "10-fold-cv.csv"}
_ATTRIBUTES = {
    "scanner": "device",
    "birads": "birads",
    "histology": "histology",
    "side": "side",
}


def read_busbra(folder: str | os.PathLike[str]) -> list[Case]:
    """List the cases of BUS-BRA.

    Groups are patients. ``fold`` is the official division into five, 0-4;
    ``divisions`` holds that one and the official division into ten, 0-9. The
    attributes are ``scanner``, ``birads``, ``histology`` and ``side``.

    Parameters
    ----------
    folder
        ``BUSBRA``, with ``bus_data.csv``, ``5-fold-cv.csv``, ``10-fold-cv.csv``,
        ``Images`` and ``Masks``; or the folder around it.

    Raises
    ------
    DataError
        If a file, a column or a row is missing, or a value is not one of BUS-BRA's.
    """
    root = _locate(Path(folder))
    divisions = {
        name: _read_folds(root / file, int(file.partition("-")[0]))
        for name, file in _FOLD_TABLES.items()
    }
    table = read_table(root / TABLE, required=("id", "case", "pathology"))
    return [_case(root, row, divisions) for row in table.rows]


def _locate(folder: Path) -> Path:
    for root in (folder, folder / FOLDER):
        if (root / TABLE).is_file():
            return root
    raise DataError(f"{folder / TABLE}: no such file, and BUS-BRA has one")


def _read_folds(path: Path, count: int) -> dict[str, int]:
    folds = {}
    for row in read_table(path, required=("id", "kfold")).rows:
        number = row.integer("kfold")
        if number is None or not 1 <= number <= count:
            raise DataError(f"{row.where}: the fold is not in 1..{count}")
        folds[row["id"]] = number - 1
    return folds


def _case(root: Path, row: Row, divisions: dict[str, dict[str, int]]) -> Case:
    name, label = row["id"], row["pathology"].casefold()
    image = root / "Images" / f"{name}.png"
    mask = root / "Masks" / f"{name.replace('bus_', 'mask_')}.png"
    for path in (image, mask):
        if not path.is_file():
            raise DataError(f"{path}: no such file, though {TABLE} names it")
    if label not in LESION_CLASSES:
        raise DataError(
            f"{row.where}: BUS-BRA has {' and '.join(LESION_CLASSES)} images, "
            f"not {row['pathology']!r}"
        )
    for division, folds in divisions.items():
        if name not in folds:
            raise DataError(f"{root / _FOLD_TABLES[division]}: no row for {name}")
    return Case(
        name=name,
        image=image,
        masks=(mask,),
        label=label,
        group=row["case"],
        fold=divisions[FIVE_FOLDS][name],
        source="busbra",
        attributes={
            attribute: row[column]
            for attribute, column in _ATTRIBUTES.items()
            if row.get(column)
        },
        divisions={division: folds[name] for division, folds in divisions.items()},
    )
