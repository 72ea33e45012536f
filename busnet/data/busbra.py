"""BUS-BRA: 1,875 images of 1,064 patients, benign or malignant, with masks.

Gomez-Flores et al., BUS-BRA: a breast ultrasound dataset for assessing computer-aided
diagnosis systems, Medical Physics (2024). It has no normal images.
"""

from __future__ import annotations

import csv
import os
from pathlib import Path

from busnet.data.cases import CLASSES, Case
from busnet.errors import DataError

__all__ = ["read_busbra"]


def read_busbra(folder: str | os.PathLike[str]) -> list[Case]:
    """List the cases of BUS-BRA; groups are patients, folds the official five (0-4).

    Parameters
    ----------
    folder
        ``BUSBRA``, with ``bus_data.csv``, ``5-fold-cv.csv``, ``Images`` and ``Masks``.

    Raises
    ------
    DataError
        If a file, a column or a row is missing.
    """
    root = Path(folder)
    folds = {
        row["ID"]: int(row["kFold"]) - 1
        for row in _rows(root / "5-fold-cv.csv", ("ID", "kFold"))
    }
    cases = []
    for row in _rows(root / "bus_data.csv", ("ID", "Case", "Pathology")):
        name = row["ID"]
        image = root / "Images" / f"{name}.png"
        mask = root / "Masks" / f"{name.replace('bus_', 'mask_')}.png"
        for path in (image, mask):
            if not path.is_file():
                raise DataError(f"{path}: no such file, though bus_data.csv names it")
        if row["Pathology"] not in CLASSES:
            raise DataError(f"{name}: unknown pathology {row['Pathology']!r}")
        if name not in folds:
            raise DataError(f"5-fold-cv.csv: no row for {name}")
        cases.append(
            Case(
                name=name,
                image=image,
                masks=(mask,),
                label=row["Pathology"],
                group=row["Case"],
                fold=folds[name],
            )
        )
    return cases


def _rows(path: Path, columns: tuple[str, ...]) -> list[dict[str, str]]:
    if not path.is_file():
        raise DataError(f"{path}: no such file")
    with path.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        missing = set(columns) - set(reader.fieldnames or ())
        if missing:
            raise DataError(f"{path}: column {sorted(missing)[0]!r} is missing")
        return list(reader)
