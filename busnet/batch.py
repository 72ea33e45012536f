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
from busnet.images import SUFFIXES, Picture, read_frames
from busnet.lesions import Spacing
from busnet.model import CHUNK, Model
from busnet.results import MALIGNANT, NOTICE, Prediction

__all__ = [
    "FORMATS",
    "Journal",
    "Outcome",
    "Source",
    "Table",
    "collect",
    "predict_files",
]

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
    """What became of a file or a frame of it: a prediction or an error, never both."""

    source: Source
    prediction: Prediction | None = None
    error: BusnetError | None = None
    frame: int | None = None

    @property
    def name(self) -> str:
        """Name of the outputs, without ending."""
        if self.frame is None:
            return self.source.name
        return f"{self.source.name}_frame{self.frame:04}"


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
    model: Model, sources: Iterable[Source], *, spacing: Spacing | None = None
) -> Iterator[Outcome]:
    """Yield the outcome of each file, or of each of its frames, in order.

    A bad file does not stop the others.
    """
    pending: list[tuple[Source, Picture | BusnetError]] = []
    for source in sources:
        for item in _open(source):
            pending.append((source, item))
            if len(pending) == CHUNK:
                yield from _predict_pending(model, pending, spacing)
                pending.clear()
    yield from _predict_pending(model, pending, spacing)


def _predict_pending(
    model: Model,
    pending: Sequence[tuple[Source, Picture | BusnetError]],
    spacing: Spacing | None,
) -> Iterator[Outcome]:
    pictures = [item for _, item in pending if isinstance(item, Picture)]
    predictions = iter(list(model.stream(pictures, Prediction, spacing)))
    for source, item in pending:
        if isinstance(item, Picture):
            yield Outcome(source, prediction=next(predictions), frame=item.frame)
        else:
            yield Outcome(source, error=item)


def _open(source: Source) -> Iterator[Picture | BusnetError]:
    try:
        yield from read_frames(source.path)
    except BusnetError as error:
        yield error


def save_mask(outcome: Outcome, folder: Path) -> Path:
    """Write the mask as a PNG of 0 and 255 under ``folder``; return its path."""
    assert outcome.prediction is not None
    return _save(
        Image.fromarray(outcome.prediction.mask).convert("L"),
        folder / f"{outcome.name}_mask.png",
    )


def save_overlay(outcome: Outcome, folder: Path) -> Path:
    """Write the outlined image as a PNG under ``folder``; return its path."""
    assert outcome.prediction is not None
    return _save(outcome.prediction.picture(), folder / f"{outcome.name}_overlay.png")


def _save(image: Image.Image, path: Path) -> Path:
    with whole_file(path) as part:
        image.save(part)
    return path


def describe(outcome: Outcome) -> dict[str, Any]:
    """Return what became of a file as JSON holds it; its pixels are not in it."""
    if outcome.prediction is None:
        return {"file": os.fspath(outcome.source.path), "error": str(outcome.error)}
    document = {
        **outcome.prediction.as_dict(),
        "consistent": outcome.prediction.consistent,
    }
    if outcome.frame is not None:
        document["frame"] = outcome.frame
    return document


def summarise(documents: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    """Return the summary of a clip's frames, or None if they are of no clip.

    Its probabilities are the frames' means; it names the frame whose malignancy is the
    highest. Lesions are the frames' business.
    """
    frames = [d for d in documents if "frame" in d]
    if not frames:
        return None
    names = list(frames[0]["probabilities"])
    means = {
        name: sum(d["probabilities"][name] for d in frames) / len(frames)
        for name in names
    }
    summary: dict[str, Any] = {
        "file": frames[0]["file"],
        "frame": "clip",
        "frames": len(frames),
        "label": max(means, key=lambda name: means[name]),
        "probabilities": means,
    }
    if MALIGNANT in means:
        worst = max(frames, key=lambda d: d["probabilities"][MALIGNANT])
        summary["most_malignant_frame"] = worst["frame"]
        summary["highest_malignancy"] = worst["probabilities"][MALIGNANT]
    return summary


class Table:
    """The results of a run, gathered to be written in one piece."""

    def __init__(self, model: Model) -> None:
        self.info = model.info
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
        names = ["file", "frame", "label"]
        names += [f"p_{name}" for name in self.info.classes]
        names += ["abstains", "consistent", "lesions"]
        names += [*_SIDES, "area_px", "major_px", "minor_px", "circularity"]
        lesions = [x for d in self.documents for x in d.get("lesions", ())]
        if any("area_mm2" in lesion for lesion in lesions):
            names += ["area_mm2", "major_mm", "minor_mm"]
        return [*names, "error"]


_SIDES = ("top", "left", "bottom", "right")


def _row(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return a document's line of the CSV table."""
    if "error" in document:
        return {"file": document["file"], "error": document["error"]}
    cells: dict[str, Any] = {
        "file": document["file"],
        "frame": document.get("frame", ""),
        "label": document["label"],
    }
    for name, probability in document["probabilities"].items():
        cells[f"p_{name}"] = f"{probability:.6f}"
    for name in ("abstains", "consistent"):
        if name in document:
            cells[name] = str(document[name]).lower()
    if "lesions" in document:
        cells["lesions"] = len(document["lesions"])
        if document["lesions"]:
            cells.update(_lesion_cells(document["lesions"][0]))
    return cells


def _lesion_cells(lesion: Mapping[str, Any]) -> dict[str, Any]:
    cells: dict[str, Any] = dict(zip(_SIDES, lesion["box"], strict=True))
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
                self._done[entry["file"]] = entry
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

    def find(self, source: Source) -> list[dict[str, Any]]:
        """Return the documents of a file that is done and has not changed, or none."""
        entry = self._done.get(os.fspath(source.path))
        if entry is None or not entry["stamp"] or entry["stamp"] != _stamp(source):
            return []
        documents: list[dict[str, Any]] = entry["documents"]
        return documents

    def add(self, source: Source, documents: Sequence[dict[str, Any]]) -> None:
        """Note that a file's outputs are whole."""
        entry = {
            "file": os.fspath(source.path),
            "stamp": _stamp(source),
            "documents": documents,
        }
        self._file.write(json.dumps(entry) + "\n")
        self._file.flush()

    def close(self, *, finished: bool) -> None:
        """Close the journal, and remove it if the run came to its end."""
        self._file.close()
        if finished:
            self._path.unlink(missing_ok=True)


def _stamp(source: Source) -> list[int]:
    """Return size and time of a file; a file that has vanished has none."""
    try:
        status = source.path.stat()
    except OSError:
        return []
    return [status.st_size, status.st_mtime_ns]
