"""The results of a run as one table: CSV, JSON or JSON lines."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from typing import IO, Any

from busnet.results import NOTICE
from busnet.model_info import ModelInfo

__all__ = ["FORMATS", "Table"]


class Table:
    """The results of a run, gathered to be written in one piece."""

    def __init__(self, info: ModelInfo) -> None:
        self.info = info
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
            names += ["area_mm2", "major_mm", "minor_mm", "depth_width_ratio"]
        if any("mask" in d for d in self.documents):
            names.append("mask")
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
    if "mask" in document:
        cells["mask"] = document["mask"]
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
        cells["depth_width_ratio"] = f"{lesion['depth_width_ratio']:.3f}"
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
