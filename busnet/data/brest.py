"""BrEaST: 256 images of 256 patients in three classes, with masks and pixel sizes.

Pawlowska et al., Curated benchmark dataset for ultrasound based breast lesion
analysis, Scientific Data 11:148 (2024); on TCIA as BrEaST-Lesions-USG. Its table is an
.xlsx file.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from busnet.data.cases import CLASSES, Case
from busnet.data.tables import Row, Table, read_table
from busnet.errors import DataError, MissingExtraError

__all__ = ["find_table", "read_brest"]

#: How the published table's name begins, in lower case.
TABLE = "breast-lesions"

_COLUMNS = (
    "image_filename",
    "mask_tumor_filename",
    "mask_other_filename",
    "pixel_size",
    "classification",
)

#: How the table says that a column does not apply to a case.
_BLANKS = frozenset(("not applicable", "not available"))

_ATTRIBUTES = {
    "birads": "birads",
    "histology": "diagnosis",
    "verification": "verification",
}

_MM_PER_CM = 10


def read_brest(path: str | os.PathLike[str]) -> list[Case]:
    """List the cases of BrEaST; every patient has one image, and there are no folds.

    The lesion is the union of the masks of the tumour and of other lesions. The
    spacing is the table's ``Pixel_size``. The attributes are ``birads``,
    ``histology`` and ``verification``.

    Parameters
    ----------
    path
        The folder with the table and the images, or with the table and a folder of
        images; or the table.

    Raises
    ------
    DataError
        If there is no such table, a column or a file is missing, or a value is not one
        of BrEaST's.
    MissingExtraError
        If the table is an .xlsx file and openpyxl is not installed.
    """
    file = find_table(Path(path))
    if file is None:
        raise DataError(
            f"{path}: there is no table with the columns {', '.join(_COLUMNS)}, and "
            f"BrEaST has one"
        )
    table = read_table(file, required=_COLUMNS)
    folder = _image_folder(table)
    return [_case(folder, row) for row in table.rows]


def find_table(path: Path) -> Path | None:
    """Return BrEaST's table in a folder, or the file if it is one; None without one.

    Raises
    ------
    MissingExtraError
        If its name is the published one and openpyxl is not installed.
    """
    for candidate in _candidates(path):
        try:
            read_table(candidate, required=_COLUMNS)
        except DataError:
            continue
        except MissingExtraError:
            if candidate.name.lower().startswith(TABLE):
                raise
            continue
        return candidate
    return None


def _candidates(path: Path) -> Iterator[Path]:
    files = sorted(path.iterdir()) if path.is_dir() else [path]
    for file in files:
        hidden = file.name.startswith((".", "~$"))
        if file.suffix.lower() in (".xlsx", ".csv") and file.is_file() and not hidden:
            yield file


def _image_folder(table: Table) -> Path:
    """Return the folder beside the table that holds its first image."""
    root = table.path.parent
    if not table.rows:
        raise DataError(f"{table.path}: the table has no rows")
    first = table.rows[0]["image_filename"]
    for folder in (root, *sorted(f for f in root.iterdir() if f.is_dir())):
        if first and (folder / first).is_file():
            return folder
    raise DataError(
        f"{table.path}: the image {first!r} is neither beside it nor in a folder there"
    )


def _cell(row: Row, column: str) -> str:
    value = row.get(column)
    return "" if value.casefold() in _BLANKS else value


def _case(folder: Path, row: Row) -> Case:
    image = folder / row["image_filename"]
    label = row["classification"].casefold()
    if label not in CLASSES:
        raise DataError(
            f"{row.where}: BrEaST has {', '.join(CLASSES)} images, "
            f"not {row['classification']!r}"
        )
    masks = tuple(
        folder / name.strip()
        for column in ("mask_tumor_filename", "mask_other_filename")
        for name in _cell(row, column).split("&")
        if name.strip()
    )
    for file in (image, *masks):
        if not file.is_file():
            raise DataError(f"{row.where}: there is no file {file.name!r} in {folder}")
    return Case(
        name=image.stem,
        image=image,
        masks=masks,
        label=label,
        group=row.get("caseid") or image.stem,
        source="brest",
        spacing=_spacing(row),
        attributes={
            attribute: _cell(row, column)
            for attribute, column in _ATTRIBUTES.items()
            if _cell(row, column)
        },
    )


def _spacing(row: Row) -> tuple[float, float] | None:
    """Return millimetres a row and a column of a pixel size in centimetres."""
    cell = _cell(row, "pixel_size")
    if not cell:
        return None
    try:
        size = float(cell.replace(",", ".")) * _MM_PER_CM
    except ValueError:
        size = 0.0
    if not 0 < size < 10:
        raise DataError(f"{row.where}: the pixel size {cell!r} is no length in cm")
    return size, size
