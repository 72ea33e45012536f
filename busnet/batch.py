"""Predicting many files: which ones, one bad file among them, and what is written."""

from __future__ import annotations

import csv
import dataclasses
import fnmatch
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from PIL import Image

from busnet.errors import BusnetError, MissingImageError
from busnet.files import whole_file
from busnet.images import Picture, read
from busnet.lesions import Spacing
from busnet.model import CHUNK, Model
from busnet.results import NOTICE, Prediction

__all__ = [
    "FORMATS",
    "Journal",
    "Outcome",
    "Source",
    "Table",
    "collect",
    "predict_files",
]

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


def describe(outcome: Outcome) -> dict[str, Any]:
    """Return what became of a file as JSON holds it; its pixels are not in it."""
    if outcome.prediction is None:
        return {"file": os.fspath(outcome.source.path), "error": str(outcome.error)}
    return {
        **outcome.prediction.as_dict(),
        "consistent": outcome.prediction.consistent,
    }


class Table:
    """The results of a run, gathered to be written in one piece."""

    def __init__(self, model: Model, spacing: Spacing | None = None) -> None:
        self.info = model.info
        self.spacing = spacing
        self.documents: list[dict[str, Any]] = []

    def append(self, document: dict[str, Any]) -> None:
        """Take in what :func:`describe` returned of a file."""
        self.documents.append(document)

    def write(self, file: IO[str], form: str) -> None:
        """Write the table to an open text file, ``form`` a key of :data:`FORMATS`."""
        FORMATS[form](file, self)

    def columns(self) -> list[str]:
        """Return the names of the CSV table's columns.

        ``top`` to ``circularity`` are of the largest lesion.
        """
        names = ["file", "label", *(f"p_{name}" for name in self.info.classes)]
        names += ["abstains", "consistent", "lesions"]
        names += [*_SIDES, "area_px", "major_px", "minor_px", "circularity"]
        if self.spacing is not None:
            names += ["area_mm2", "major_mm", "minor_mm"]
        return [*names, "error"]


_SIDES = ("top", "left", "bottom", "right")


def _row(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return a file's line of the CSV table."""
    if "error" in document:
        return {"file": document["file"], "error": document["error"]}
    cells: dict[str, Any] = {
        "file": document["file"],
        "label": document["label"],
        "abstains": str(document["abstains"]).lower(),
        "consistent": str(document["consistent"]).lower(),
        "lesions": len(document["lesions"]),
    }
    for name, probability in document["probabilities"].items():
        cells[f"p_{name}"] = f"{probability:.6f}"
    if document["lesions"]:
        lesion = document["lesions"][0]
        cells.update(zip(_SIDES, lesion["box"], strict=True))
        cells["area_px"] = lesion["area_px"]
        cells["major_px"], cells["minor_px"] = (f"{a:.2f}" for a in lesion["axes_px"])
        cells["circularity"] = f"{lesion['circularity']:.4f}"
        if "area_mm2" in lesion:
            cells["area_mm2"] = f"{lesion['area_mm2']:.3f}"
            major, minor = lesion["axes_mm"]
            cells["major_mm"], cells["minor_mm"] = f"{major:.3f}", f"{minor:.3f}"
    return cells


def _write_csv(file: IO[str], table: Table) -> None:
    writer = csv.DictWriter(file, table.columns())
    writer.writeheader()
    writer.writerows(map(_row, table.documents))


def _write_json(file: IO[str], table: Table) -> None:
    document = {
        "notice": NOTICE,
        "network": table.info.network.name,
        "classes": list(table.info.classes),
        "provenance": dict(table.info.provenance),
        "results": table.documents,
    }
    json.dump(document, file, indent=1)
    file.write("\n")


def _write_json_lines(file: IO[str], table: Table) -> None:
    for document in table.documents:
        file.write(json.dumps(document) + "\n")


FORMATS = {"csv": _write_csv, "json": _write_json, "jsonl": _write_json_lines}


class Journal:
    """What a run has finished, so that the next one need not do it again.

    A line is added when a file's outputs are whole. A line counts as long as the file
    has the same size and time, and the run the same settings. It is removed when the
    run ends.

    Parameters
    ----------
    folder
        The run's output folder.
    settings
        What outputs depend on; a journal of other settings is thrown away.
    """

    def __init__(self, folder: Path, settings: Mapping[str, Any]) -> None:
        self._path = folder / ".predictions.journal"
        self._done: dict[str, dict[str, Any]] = {}
        header = json.dumps(settings, sort_keys=True)
        lines = self._read()
        if lines and lines[0] == header:
            for line in lines[1:]:
                try:
                    entry = json.loads(line)
                except ValueError:
                    break  # torn by the end of the run that wrote it
                self._done[entry["document"]["file"]] = entry
        folder.mkdir(parents=True, exist_ok=True)
        # Written anew, so that nothing is appended to a torn line.
        with whole_file(self._path) as part, part.open("w", encoding="utf-8") as file:
            file.write(header + "\n")
            for entry in self._done.values():
                file.write(json.dumps(entry) + "\n")
        self._file = self._path.open("a", encoding="utf-8")

    def _read(self) -> list[str]:
        try:
            return self._path.read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:
            return []

    def find(self, source: Source) -> dict[str, Any] | None:
        """Return the document of a file that is done and has not changed, or None."""
        entry = self._done.get(os.fspath(source.path))
        if entry is None or entry["stamp"] != _stamp(source):
            return None
        document: dict[str, Any] = entry["document"]
        return document

    def add(self, source: Source, document: dict[str, Any]) -> None:
        """Note that a file's outputs are whole."""
        entry = {"stamp": _stamp(source), "document": document}
        self._file.write(json.dumps(entry) + "\n")
        self._file.flush()

    def close(self, *, finished: bool) -> None:
        """Close the journal, and remove it if the run came to its end."""
        self._file.close()
        if finished:
            self._path.unlink(missing_ok=True)


def _stamp(source: Source) -> list[int]:
    status = source.path.stat()
    return [status.st_size, status.st_mtime_ns]
