"""The user's own images: a folder, or a table of files."""

from __future__ import annotations

import dataclasses
import os
import re
import unicodedata
from collections.abc import Collection
from pathlib import Path

from busnet.data.cases import CLASSES, CUSTOM_SOURCE, Case
from busnet.data.findings import Listing, raise_errors
from busnet.data.folders import list_folder
from busnet.data.hospitals import name_faults, patient_faults
from busnet.data.source_names import LABELS, check_name
from busnet.data.table_findings import (
    check_parts,
    group_findings,
    table_findings,
    value_findings,
)
from busnet.data.tables import Row, Table, read_table
from busnet.errors import DataError

__all__ = ["list_custom", "list_table", "read_custom"]

#: Other names of columns, as researchers' tables have them.
_ALIASES = {
    "image": ("image", "image_path", "path", "file", "filename"),
    "label": ("label", "class"),
    "mask": ("mask", "masks", "mask_path"),
    "group": ("group", "patient", "patient_id", "patientid", "subject", "subject_id"),
    "source": ("source", "hospital"),
    "spacing": ("spacing", "spacing_mm"),
    "birads": ("birads", "bi_rads"),
}

#: Columns that become attributes of the case.
_ATTRIBUTES = ("scanner", "birads", "histology", "side")

#: Columns of the table that ``busnet predict`` writes, and no other.
_PREDICTED = frozenset(("label", "malignancy_given_lesion", "abstains"))

_SEPARATORS = re.compile(r"[;|&]")


def read_custom(
    path: str | os.PathLike[str], *, source: str = CUSTOM_SOURCE
) -> list[Case]:
    """List the cases of a folder or of a table.

    Parameters
    ----------
    path
        A folder as :mod:`busnet.data.folders` understands it; or a table (see
        :func:`busnet.data.tables.read_table`) with the column ``image`` and at least
        one of ``label`` and ``mask`` (several separated by ``;``), and, as far as
        wanted, ``group`` or ``patient``, ``fold``, ``source`` (the hospital),
        ``spacing`` (mm a pixel, or mm a row and a column as ``0.1x0.2``), ``scanner``,
        ``birads``, ``histology`` and ``side``. Paths in the table are relative to it.
    source
        Name of the source, where the table has no column for it.

    Returns
    -------
    list of Case
        In the order of the table, or by class and name. An image without a group is a
        group of its own; without a column ``fold``, no image is in a fold.

    Raises
    ------
    DataError
        If there are no images, a column, file, label, fold or source is not valid, or
        a hospital has two spellings.
    """
    listing = list_custom(path, source=source)
    raise_errors(listing.findings)
    return list(listing.cases)


def list_custom(
    path: str | os.PathLike[str], *, source: str = CUSTOM_SOURCE
) -> Listing:
    """List the cases of a folder or of a table, and what is wrong with them.

    Parameters
    ----------
    path, source
        As for :func:`read_custom`.

    Returns
    -------
    Listing
        The cases that can be used, and a finding for each kind of fault.

    Raises
    ------
    DataError
        If the table cannot be read or lacks a column, or there are no images at all.
    """
    root = Path(path)
    if root.is_dir():
        return list_folder(root, source)
    return list_table(read_table(root, sought=_ALIASES["image"]), source=source)


def list_table(table: Table, *, source: str = CUSTOM_SOURCE) -> Listing:
    """List the cases of a table that was read; see :func:`list_custom`."""
    return _list_renamed(_renamed(table), source)


def _renamed(table: Table) -> Table:
    """Give the columns the names that busnet uses.

    Raises
    ------
    DataError
        If two columns mean the same, a column that must be there is missing, or one
        divides the images into training and test.
    """
    names = {}
    for name, aliases in _ALIASES.items():
        present = [alias for alias in aliases if alias in table.columns]
        if len(present) > 1:
            raise DataError(
                f"{table.path}: the columns {' and '.join(present)} both mean the "
                f"{name}; leave one"
            )
        names.update(dict.fromkeys(present, name))
    columns = tuple(names.get(column, column) for column in table.columns)
    if "image" not in columns:
        raise DataError(
            f"{table.path}: column 'image' is missing; there are "
            f"{', '.join(table.columns)}"
        )
    if set(columns) >= _PREDICTED:
        raise DataError(
            f"{table.path}: its labels are a model's, as the column "
            f"'malignancy_given_lesion' says, and no truth"
        )
    if not {"label", "mask"} & set(columns):
        raise DataError(
            f"{table.path}: column 'label' is missing, and there is no column 'mask'"
        )
    rows = tuple(
        dataclasses.replace(
            row, values={names.get(k, k): v for k, v in row.values.items()}
        )
        for row in table.rows
    )
    renamed = dataclasses.replace(table, columns=columns, rows=rows)
    if "fold" not in columns:
        check_parts(renamed)
    return renamed


def _list_renamed(table: Table, source: str) -> Listing:
    cases, faults = [], []
    rows: list[Row] = []
    filled = {
        column
        for column in ("fold", "source")
        if any(row.has(column) for row in table.rows)
    }
    for row in table.rows:
        try:
            cases.append(_case(table.path.parent, row, source, filled))
            rows.append(row)
        except DataError as error:
            faults.append(str(error))
    faults += [*name_faults(rows, cases), *patient_faults(rows, cases)]
    findings = [
        *group_findings(table, rows, cases),
        *value_findings(table, cases),
        *table_findings(table, faults, known={*_ALIASES, *_ATTRIBUTES, "fold"}),
    ]
    if not cases and not faults:
        raise DataError(f"{table.path}: there are no images")
    return Listing(tuple(cases), tuple(findings))


def _case(folder: Path, row: Row, source: str, filled: Collection[str]) -> Case:
    """Read a row; ``filled`` are columns that must not be blank, as they are in use."""
    label = row.get("label").casefold()
    if label and label not in CLASSES:
        raise DataError(
            f"{row.where}: the label {row['label']!r} is not one of "
            f"{', '.join(CLASSES)}"
        )
    if "source" in filled:
        source = _source(row)
    if label and label not in LABELS.get(source, CLASSES):
        raise DataError(
            f"{row.where}: the label {row['label']!r} is not one of {source}, which "
            f"has {' and '.join(LABELS[source])} images"
        )
    if not row["image"]:
        raise DataError(f"{row.where}: the image is missing")
    image = _existing(folder, row["image"], row)
    masks = _masks(folder, row)
    if not label and not masks:
        raise DataError(f"{row.where}: there is neither a label nor a mask")
    name = os.path.normpath(row["image"].replace("\\", "/"))
    return Case(
        name=name,
        image=image,
        masks=masks,
        label=label or None,
        group=row.identifier("group") or name,
        fold=_fold(row) if "fold" in filled else -1,
        source=source,
        spacing=_spacing(row),
        attributes={
            name: row.identifier(name) for name in _ATTRIBUTES if row.get(name)
        },
    )


def _source(row: Row) -> str:
    name = row.identifier("source")
    if not name:
        raise DataError(f"{row.where}: the source is missing")
    try:
        check_name(name)
    except DataError as error:
        raise DataError(f"{row.where}: {error}") from None
    return name


def _existing(folder: Path, name: str, row: Row) -> Path:
    r"""Return the path of a file that a table names.

    Windows writes ``\\`` between folders, and macOS letters and accents apart.
    """
    for slashed in (name, name.replace("\\", "/")):
        for form in (None, "NFC", "NFD"):
            spelling = unicodedata.normalize(form, slashed) if form else slashed
            if (folder / spelling).is_file():
                return folder / spelling
    raise DataError(f"{row.where}: there is no file {name!r}")


def _masks(folder: Path, row: Row) -> tuple[Path, ...]:
    cell = row.get("mask")
    if not cell:
        return ()
    if (folder / cell).is_file():
        return (folder / cell,)
    names = [name.strip() for name in _SEPARATORS.split(cell)]
    return tuple(_existing(folder, name, row) for name in names if name)


def _fold(row: Row) -> int:
    fold = row.integer("fold")
    if fold is None:
        raise DataError(f"{row.where}: the fold is missing")
    if fold < 0:
        raise DataError(f"{row.where}: the fold {fold} is negative")
    return fold


def _spacing(row: Row) -> tuple[float, float] | None:
    """Return the millimetres a row and a column."""
    cell = row.get("spacing")
    if not cell:
        return None
    try:
        values = [float(part) for part in _numbers(cell)]
    except ValueError:
        values = []
    if len(values) not in (1, 2) or not all(0 < value < 100 for value in values):
        raise DataError(
            f"{row.where}: the spacing {cell!r} is not of one or two numbers of mm "
            f"above 0; write one as 1.2, and two as 1x2 or (1, 2)"
        )
    return values[0], values[-1]


def _numbers(cell: str) -> list[str]:
    """Divide a cell into numbers; there are none where it is ambiguous.

    A comma divides numbers if there are points or brackets, or a space beside it; else
    it is a decimal one, if it follows a zero or something else divides them.
    """
    bare = cell.casefold().strip("[]() ")
    if "." in bare:
        return re.split(r"\s*[x*;,]\s*|\s+", bare)
    bare = re.sub(r"\s+,\s*|,\s+", ";", bare)
    if re.fullmatch(r"\d+,\d+", bare):
        if bare != cell.casefold():
            return bare.split(",")
        if int(bare.partition(",")[0]) > 0:
            return []  # 1,2 is 1.2, or 1 and 2
    return re.split(r"\s*[x*;]\s*|\s+", bare.replace(",", "."))
