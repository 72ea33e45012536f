"""BUS-UCLM: 683 images of 38 patients in three classes, with masks in colour.

Vallez et al., BUS-UCLM: breast ultrasound lesion segmentation dataset, Scientific Data
(2025). In its masks benign lesions are green and malignant ones red.
"""

from __future__ import annotations

import os
from pathlib import Path

from busnet.data.cases import CLASSES, Case
from busnet.data.tables import Row, read_table
from busnet.errors import DataError

__all__ = ["read_busuclm"]

#: What the published archive calls the folder.
FOLDER = "BUS-UCLM"

TABLE = "INFO.csv"

#: Two names of one patient: all images of the first are copies of the second's.
_SAME_PATIENT = {"CHCO": "CHVI"}

#: What else the table says, by the attribute's name.
_ATTRIBUTES = {"doppler": "doppler", "marks": "marks", "combined": "combined"}


def read_busuclm(folder: str | os.PathLike[str]) -> list[Case]:
    """List the cases of BUS-UCLM.

    Groups are patients: the file's name up to its underscore. CHCO is CHVI: its four
    images are copies of that patient's. There are no official
    folds. The attributes are ``doppler``, ``marks`` (burnt-in marks) and ``combined``
    (several views in one image), each ``"yes"`` or ``"no"``.

    Parameters
    ----------
    folder
        ``BUS-UCLM``, with ``INFO.csv``, ``images`` and ``masks``; or the folder around
        it.

    Raises
    ------
    DataError
        If a file or a column is missing, or a label is not one of BUS-UCLM's.
    """
    root = _locate(Path(folder))
    return [
        _case(root, row)
        for row in read_table(root / TABLE, required=("image", "label")).rows
    ]


def _locate(folder: Path) -> Path:
    for root in (folder, folder / FOLDER):
        if (root / TABLE).is_file():
            return root
    raise DataError(f"{folder / TABLE}: no such file, and BUS-UCLM has one")


def _case(root: Path, row: Row) -> Case:
    name, label = row["image"], row["label"].casefold()
    if label not in CLASSES:
        raise DataError(
            f"{row.where}: BUS-UCLM has {', '.join(CLASSES)} images, "
            f"not {row['label']!r}"
        )
    patient, underscore, _ = name.rpartition("_")
    if not underscore:
        raise DataError(f"{row.where}: {name!r} is not named PATIENT_NUMBER")
    image, mask = root / "images" / name, root / "masks" / name
    for path in (image, mask):
        if not path.is_file():
            raise DataError(f"{path}: no such file, though {TABLE} names it")
    return Case(
        name=image.stem,
        image=image,
        masks=(mask,),
        label=label,
        group=_SAME_PATIENT.get(patient, patient),
        source="busuclm",
        annotation="marks" if row.get("marks").casefold() == "yes" else "",
        attributes={
            attribute: row[column].casefold()
            for attribute, column in _ATTRIBUTES.items()
            if row.get(column)
        },
    )
