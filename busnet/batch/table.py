"""The results of a run as one table: CSV, JSON or JSON lines."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable
from typing import IO, Any

from busnet.batch.documents import ERROR, SKIPPED, Document
from busnet.inference import EnsembleInfo, PredictorInfo
from busnet.results import NOTICE

__all__ = ["FORMATS", "Table"]

#: Columns of the largest lesion, and those in millimetres.
_SIDES = ("top", "left", "bottom", "right")
_PIXELS = ("area_px", "major_px", "minor_px", "circularity")
_MILLIMETRES = ("area_mm2", "major_mm", "minor_mm", "depth_width_ratio")


class Table:
    """The results of a run, gathered to be written in one piece.

    Parameters
    ----------
    info
        What the model is.
    documents
        Of all files; those of files that were skipped are counted and left out.

    Attributes
    ----------
    documents
        The others.
    skipped
        How many there are of files that were skipped.
    """

    def __init__(self, info: PredictorInfo, documents: Iterable[Document]) -> None:
        self.info = info
        every = list(documents)
        self.documents = [d for d in every if SKIPPED not in d]
        self.skipped = len(every) - len(self.documents)

    def errors(self) -> list[str]:
        """Return why files have no prediction."""
        return [d[ERROR] for d in self.documents if ERROR in d]

    def unwritten(self) -> list[str]:
        """Return which outputs of predictions could not be written, and why."""
        return [
            f"{document['file']}: {reason}"
            for document in self.documents
            for reason in document.get("unwritten", ())
        ]

    def without(self, kind: str) -> int:
        """Return how many files have no output of a kind, though none failed."""
        return sum(
            ERROR not in document
            and kind not in document
            and "unwritten" not in document
            and document.get("frame", "clip") == "clip"
            for document in self.documents
        )

    def write(self, file: IO[str], form: str) -> None:
        """Write the table to an open text file, ``form`` a key of :data:`FORMATS`."""
        FORMATS[form](file, self)

    def columns(self) -> list[str]:
        """Return the names of the CSV table's columns.

        ``top`` to ``circularity`` are of the largest lesion.
        """
        names = ["file", "frame", "label"]
        names += [f"p_{name}" for name in self.info.classes]
        names.append("malignancy_given_lesion")
        if isinstance(self.info, EnsembleInfo):
            names.append("uncertainty")
        names.append("abstains")
        if "mask" in self.info.heads:
            names += ["consistent", "lesions", *_SIDES, *_PIXELS]
        lesions = [x for d in self.documents for x in d.get("lesions", ())]
        if any("area_mm2" in lesion for lesion in lesions):
            names += _MILLIMETRES
        if any("mask" in d for d in self.documents):
            names.append("mask")
        return [*names, "notes", "error"]


def _row(document: Document) -> dict[str, Any]:
    """Return a document's line of the CSV table."""
    cells: dict[str, Any] = {
        "file": document["file"],
        "frame": document.get("frame", ""),
    }
    if ERROR in document:
        return {**cells, "error": document[ERROR]}
    cells["label"] = document["label"]
    for name, probability in document["probabilities"].items():
        cells[f"p_{name}"] = f"{probability:.6f}"
    for name in ("malignancy_given_lesion", "uncertainty"):
        if (number := document.get(name)) is not None:
            cells[name] = f"{number:.6f}"
    for name in ("abstains", "consistent"):
        if name in document:
            cells[name] = str(document[name]).lower()
    if "mask" in document:
        cells["mask"] = document["mask"]
    if "lesions" in document:
        cells["lesions"] = len(document["lesions"])
        if document["lesions"]:
            cells.update(_lesion_cells(document["lesions"][0]))
    notes = [*document.get("notes", ()), *document.get("unwritten", ())]
    return {**cells, "notes": "; ".join(notes)}


def _lesion_cells(lesion: Document) -> dict[str, Any]:
    cells: dict[str, Any] = dict(zip(_SIDES, lesion["box"], strict=True))
    cells["area_px"] = lesion["area_px"]
    cells["major_px"], cells["minor_px"] = (f"{a:.2f}" for a in lesion["axes_px"])
    cells["circularity"] = f"{lesion['circularity']:.4f}"
    if "area_mm2" in lesion:
        cells["area_mm2"] = f"{lesion['area_mm2']:.3f}"
        major, minor = lesion["axes_mm"]
        cells["major_mm"], cells["minor_mm"] = f"{major:.3f}", f"{minor:.3f}"
        cells["depth_width_ratio"] = f"{lesion['depth_width_ratio']:.3f}"
    return cells


def _write_csv(file: IO[str], table: Table) -> None:
    writer = csv.DictWriter(file, table.columns())
    writer.writeheader()
    writer.writerows(map(_row, table.documents))


def _write_json(file: IO[str], table: Table) -> None:
    document = {
        "notice": NOTICE,
        "network": table.info.network_name,
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
