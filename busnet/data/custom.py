"""The user's own images: a folder for each class, or a table of files."""

from __future__ import annotations

import glob
import os
from pathlib import Path

from busnet.data.cases import CLASSES, Case
from busnet.data.tables import Row, Table, read_table
from busnet.errors import DataError
from busnet.images import SUFFIXES

__all__ = ["read_custom"]


def read_custom(path: str | os.PathLike[str], *, source: str = "custom") -> list[Case]:
    """List the cases of a folder or of a table.

    Parameters
    ----------
    path
        A folder with a folder for each of ``normal``, ``benign`` and ``malignant`` (at
        least one), masks beside the images as ``NAME_mask*``; or a table (see
        :func:`busnet.data.tables.read_table`) with the column ``image`` and at least
        one of ``label`` and ``mask`` (several separated by ``;``), and, as far as
        wanted, ``group`` (the patient), ``fold``, ``source`` (the hospital), and
        ``scanner``, ``birads``, ``histology`` and ``side``. Paths in the table are
        relative to it.
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
        If there are no images, or a column, file, label or fold is not as it must be.
    """
    root = Path(path)
    if root.is_dir():
        cases = _read_folder(root, source)
    else:
        cases = _read_table(read_table(root, required=("image",)), source)
    if not cases:
        raise DataError(f"{root}: there are no images of {', '.join(CLASSES)}")
    return cases


def _read_folder(root: Path, source: str) -> list[Case]:
    cases = []
    for label in CLASSES:
        folder = root / label
        images = sorted(folder.iterdir()) if folder.is_dir() else []
        for image in images:
            if image.suffix.lower() not in SUFFIXES or "_mask" in image.stem:
                continue
            masks = sorted(folder.glob(f"{glob.escape(image.stem)}_mask*"))
            name = f"{label}/{image.name}"
            cases.append(
                Case(name, image, tuple(masks), label, group=name, source=source)
            )
    return cases


#: Columns that become attributes of the case.
_ATTRIBUTES = ("scanner", "birads", "histology", "side")


def _read_table(table: Table, source: str) -> list[Case]:
    if not {"label", "mask"} & set(table.columns):
        raise DataError(
            f"{table.path}: column 'label' is missing, and there is no column 'mask'"
        )
    cases = [_case(table, row, source) for row in table.rows]
    _check_groups(table, cases)
    return cases


def _case(table: Table, row: Row, source: str) -> Case:
    folder = table.path.parent
    image, label = row["image"], row.get("label").casefold()
    masks = [m.strip() for m in row.get("mask").split(";") if m.strip()]
    if label and label not in CLASSES:
        raise DataError(
            f"{row.where}: the label {row['label']!r} is none of {', '.join(CLASSES)}"
        )
    if not label and not masks:
        raise DataError(f"{row.where}: there is neither a label nor a mask")
    for name in (image, *masks):
        if not name or not (folder / name).is_file():
            raise DataError(f"{row.where}: there is no file {name!r}")
    return Case(
        name=image,
        image=folder / image,
        masks=tuple(folder / m for m in masks),
        label=label or None,
        group=row.get("group") or image,
        fold=_fold(table, row),
        source=row.get("source") or source,
        attributes={name: row[name] for name in _ATTRIBUTES if row.get(name)},
    )


def _fold(table: Table, row: Row) -> int:
    if "fold" not in table.columns:
        return -1
    fold = row.integer("fold")
    if fold is None:
        raise DataError(f"{row.where}: the fold is missing")
    if fold < 0:
        raise DataError(f"{row.where}: the fold {fold} is negative")
    return fold


def _check_groups(table: Table, cases: list[Case]) -> None:
    """Refuse a patient in two hospitals: two of one name, or one who would be divided.

    Raises
    ------
    DataError
        If a group is in two sources.
    """
    if "group" not in table.columns:
        return
    sources: dict[str, str] = {}
    for row, case in zip(table.rows, cases, strict=True):
        if sources.setdefault(case.group, case.source) != case.source:
            raise DataError(
                f"{row.where}: the group {case.group!r} is in the sources "
                f"{sources[case.group]!r} and {case.source!r}; give two patients two "
                f"names, and one patient one source"
            )
