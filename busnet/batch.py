"""Predicting many files: which ones, one bad file among them, and what is written."""

from __future__ import annotations

import csv
import dataclasses
import fnmatch
import json
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any

from PIL import Image

from busnet.errors import BusnetError, MissingImageError
from busnet.files import whole_file
from busnet.images import Picture, read
from busnet.lesions import Spacing
from busnet.model import CHUNK, Model
from busnet.results import NOTICE, Prediction

__all__ = ["FORMATS", "Outcome", "Source", "collect", "predict_files", "write_table"]

#: File name endings that are taken for images in a folder.
SUFFIXES = frozenset((".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff"))

#: Names in a folder that are not taken for images: BUSI's masks lie beside its images.
NOT_IMAGES = "*_mask*"


@dataclasses.dataclass(frozen=True)
class Source:
    """A file to predict.

    Attributes
    ----------
    path
        The file.
    name
        Name of its outputs, without ending, unique among all sources: the path below
        the folder that was searched.
    """

    path: Path
    name: str


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What became of a file: a prediction or an error, never both."""

    source: Source
    prediction: Prediction | None = None
    error: BusnetError | None = None


def collect(paths: Iterable[Path], pattern: str | None = None) -> list[Source]:
    """List the image files that the paths name, folders searched to any depth.

    Parameters
    ----------
    paths
        Files, which are taken as they are, and folders.
    pattern
        What names of files in folders must match, such as ``"*.png"``; by default
        they need an image's ending and must not contain ``_mask``.

    Returns
    -------
    list of Source
        In the order of the paths; within a folder by name, numbers by value.

    Raises
    ------
    MissingImageError
        If a path does not exist.
    """
    found: list[tuple[Path, Path]] = []
    for path in paths:
        if path.is_dir():
            inside = [p for p in path.rglob("*") if p.is_file() and _taken(p, pattern)]
            inside.sort(key=_natural)
            found += [(p, p.relative_to(path)) for p in inside]
        elif path.exists():
            found.append((path, Path(path.name)))
        else:
            raise MissingImageError(f"{path}: no such file or folder")
    used: set[str] = set()
    sources = []
    for path, relative in found:
        name = next(name for name in _names(relative) if name not in used)
        used.add(name)
        sources.append(Source(path, name))
    return sources


def _taken(path: Path, pattern: str | None) -> bool:
    if pattern is not None:
        return fnmatch.fnmatch(path.name, pattern)
    return path.suffix.lower() in SUFFIXES and not fnmatch.fnmatch(
        path.name, NOT_IMAGES
    )


def _natural(path: Path) -> list[tuple[int, str]]:
    parts = re.split(r"(\d+)", str(path).lower())
    return [(int(p), "") if p.isdecimal() else (-1, p) for p in parts]


def _names(relative: Path) -> Iterator[str]:
    """Yield names for a file's outputs, the plainest first, without end."""
    yield relative.with_suffix("").as_posix()
    yield relative.as_posix()
    number = 2
    while True:
        yield f"{relative.as_posix()}~{number}"
        number += 1


def predict_files(
    model: Model, sources: Sequence[Source], *, spacing: Spacing | None = None
) -> Iterator[Outcome]:
    """Yield each file's outcome, in order; a bad file does not stop the others."""
    for start in range(0, len(sources), CHUNK):
        chunk = sources[start : start + CHUNK]
        opened = [_open(source) for source in chunk]
        pictures = [item for item in opened if isinstance(item, Picture)]
        predictions = iter(list(model.stream(pictures, Prediction, spacing)))
        for source, item in zip(chunk, opened, strict=True):
            if isinstance(item, Picture):
                yield Outcome(source, prediction=next(predictions))
            else:
                yield Outcome(source, error=item)


def _open(source: Source) -> Picture | BusnetError:
    try:
        return read(source.path)
    except BusnetError as error:
        return error


def save_mask(outcome: Outcome, folder: Path) -> Path:
    """Write the mask as a PNG of 0 and 255 under ``folder``; return its path."""
    assert outcome.prediction is not None
    return _save(
        Image.fromarray(outcome.prediction.mask).convert("L"),
        folder / f"{outcome.source.name}_mask.png",
    )


def save_overlay(outcome: Outcome, folder: Path) -> Path:
    """Write the outlined image as a PNG under ``folder``; return its path."""
    assert outcome.prediction is not None
    return _save(
        outcome.prediction.picture(), folder / f"{outcome.source.name}_overlay.png"
    )


def _save(image: Image.Image, path: Path) -> Path:
    with whole_file(path) as part:
        image.save(part)
    return path


def row(outcome: Outcome, classes: Sequence[str]) -> dict[str, Any]:
    """Return a file's line of the CSV table; millimetres only with spacing."""
    cells: dict[str, Any] = {"file": os.fspath(outcome.source.path)}
    prediction = outcome.prediction
    if prediction is None:
        return {**cells, "error": str(outcome.error)}
    cells["label"] = prediction.label
    for name in classes:
        cells[f"p_{name}"] = f"{prediction.probabilities[name]:.6f}"
    cells["abstains"] = str(prediction.abstains).lower()
    cells["consistent"] = str(prediction.consistent).lower()
    cells["lesions"] = len(prediction.lesions)
    if prediction.lesions:
        lesion = prediction.lesions[0]
        sides = ("top", "left", "bottom", "right")
        cells.update(zip(sides, lesion.box, strict=True))
        cells["area_px"] = lesion.area
        cells["major_px"], cells["minor_px"] = (f"{a:.2f}" for a in lesion.axes)
        cells["circularity"] = f"{lesion.circularity:.4f}"
        if lesion.area_mm2 is not None and lesion.axes_mm is not None:
            cells["area_mm2"] = f"{lesion.area_mm2:.3f}"
            cells["major_mm"], cells["minor_mm"] = (f"{a:.3f}" for a in lesion.axes_mm)
    return cells


def columns(classes: Sequence[str], *, spacing: bool) -> list[str]:
    """Return the names of the CSV table's columns.

    ``top`` to ``circularity`` are of the largest lesion.
    """
    names = ["file", "label", *(f"p_{name}" for name in classes)]
    names += [
        "abstains",
        "consistent",
        "lesions",
        "top",
        "left",
        "bottom",
        "right",
        "area_px",
    ]
    names += ["major_px", "minor_px", "circularity"]
    if spacing:
        names += ["area_mm2", "major_mm", "minor_mm"]
    return [*names, "error"]


def _write_csv(file: IO[str], table: Table) -> None:
    writer = csv.DictWriter(
        file, columns(table.model.info.classes, spacing=table.spacing is not None)
    )
    writer.writeheader()
    writer.writerows(table.rows)


def _write_json(file: IO[str], table: Table) -> None:
    document = {
        "notice": NOTICE,
        "network": table.model.info.network.name,
        "classes": list(table.model.info.classes),
        "provenance": dict(table.model.info.provenance),
        "results": table.documents,
    }
    json.dump(document, file, indent=1)
    file.write("\n")


FORMATS = {"csv": _write_csv, "json": _write_json}


class Table:
    """The results of a run, gathered to be written in one piece."""

    def __init__(self, model: Model, spacing: Spacing | None = None) -> None:
        self.model = model
        self.spacing = spacing
        self.rows: list[dict[str, Any]] = []
        self.documents: list[dict[str, Any]] = []

    def append(self, outcome: Outcome) -> None:
        """Take a file's outcome in; its pixels are not kept."""
        self.rows.append(row(outcome, self.model.info.classes))
        if outcome.prediction is not None:
            self.documents.append(
                {
                    **outcome.prediction.as_dict(),
                    "consistent": outcome.prediction.consistent,
                }
            )
        else:
            self.documents.append(
                {"file": os.fspath(outcome.source.path), "error": str(outcome.error)}
            )


def write_table(file: IO[str], table: Table, form: str) -> None:
    """Write the table to an open text file, ``form`` a key of :data:`FORMATS`."""
    FORMATS[form](file, table)
