"""The user's own images: a folder for each class, or a table of files."""

from __future__ import annotations

import csv
import os
from pathlib import Path

from busnet.data.cases import CLASSES, Case
from busnet.errors import DataError
from busnet.images import SUFFIXES

__all__ = ["read_own"]


def read_own(path: str | os.PathLike[str]) -> list[Case]:
    """List the cases of a folder or of a CSV table.

    Parameters
    ----------
    path
        A folder with a folder for each of ``normal``, ``benign`` and ``malignant`` (at
        least one), masks beside the images as ``NAME_mask*``; or a CSV table with the
        columns ``image`` and ``label`` and, as far as wanted, ``mask`` (several
        separated by ``;``), ``group`` (the patient) and ``fold``. Paths in the table
        are relative to it.

    Returns
    -------
    list of Case
        In the order of the table, or by class and name. An image without a group is a
        group of its own; without a fold it is in fold 0.

    Raises
    ------
    DataError
        If there are no images, or a column, file, label or fold is not as it must be.
    """
    root = Path(path)
    cases = _read_folder(root) if root.is_dir() else _read_table(root)
    if not cases:
        raise DataError(f"{root}: there are no images of {', '.join(CLASSES)}")
    return cases


def _read_folder(root: Path) -> list[Case]:
    cases = []
    for label in CLASSES:
        folder = root / label
        images = sorted(folder.iterdir()) if folder.is_dir() else []
        for image in images:
            if image.suffix.lower() not in SUFFIXES or "_mask" in image.stem:
                continue
            masks = sorted(folder.glob(f"{_escape(image.stem)}_mask*"))
            name = f"{label}/{image.name}"
            cases.append(Case(name, image, tuple(masks), label, group=name, fold=0))
    return cases


def _escape(name: str) -> str:
    return "".join(f"[{c}]" if c in "*?[" else c for c in name)


def _read_table(path: Path) -> list[Case]:
    try:
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            missing = {"image", "label"} - set(reader.fieldnames or ())
            if missing:
                raise DataError(f"{path}: column {sorted(missing)[0]!r} is missing")
            return [_case(path, i, row) for i, row in enumerate(reader, 2)]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: cannot be read: {error}") from None


def _case(path: Path, line: int, row: dict[str, str | None]) -> Case:
    where = f"{path}, line {line}"
    image, label = row["image"] or "", row["label"] or ""
    masks = [m.strip() for m in (row.get("mask") or "").split(";") if m.strip()]
    if label not in CLASSES:
        raise DataError(f"{where}: the label {label!r} is none of {', '.join(CLASSES)}")
    for name in (image, *masks):
        if not (path.parent / name).is_file():
            raise DataError(f"{where}: there is no file {name!r}")
    try:
        fold = int(row.get("fold") or 0)
    except ValueError:
        raise DataError(f"{where}: the fold {row['fold']!r} is no number") from None
    return Case(
        name=image,
        image=path.parent / image,
        masks=tuple(path.parent / m for m in masks),
        label=label,
        group=row.get("group") or image,
        fold=fold,
    )
