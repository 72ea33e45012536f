"""A run's predictions as one HTML page over its overlays."""

from __future__ import annotations

import collections
import os
import urllib.parse
from typing import Any

import jinja2

from busnet._io import atomic_write
from busnet.batch.documents import Document
from busnet.batch.table import Table
from busnet.results import NOTICE
from busnet.version import __version__

__all__ = ["write_gallery"]


def write_gallery(path: str | os.PathLike[str], table: Table) -> None:
    """Write the page beside the folder of overlays that the documents name.

    Pictures are loaded as they are scrolled to. Boxes at the top choose the classes to
    show; files that failed stand at the end.
    """
    shown = [document for document in table.documents if "overlay" in document]
    tally = collections.Counter(document["label"] for document in shown)
    counts = {name: tally[name] for name in table.info.classes if tally[name]}
    indices = {label: i for i, label in enumerate(counts)}
    page = _template().stream(
        notice=NOTICE,
        model=table.info.network_name,
        version=__version__,
        counts=counts,
        cards=[_card(document, indices) for document in shown],
        errors=table.errors() + table.unwritten(),
    )
    with atomic_write(path) as part:
        page.dump(os.fspath(part), encoding="utf-8")


def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("busnet.batch"), autoescape=True
    )
    return environment.get_template("gallery.html")


def _card(document: Document, indices: dict[str, int]) -> dict[str, Any]:
    """Return what the page shows of a document."""
    shares = ", ".join(f"{k} {p:.2f}" for k, p in document["probabilities"].items())
    flags = {
        "abstains": document["abstains"],
        "class and mask disagree": not document.get("consistent", True),
    }
    if "lesions" in document:
        count = len(document["lesions"])
        shares += f"; {count} lesion{'s' if count != 1 else ''}"
    frame = f", frame {document['frame']}" if "frame" in document else ""
    return {
        "index": indices[document["label"]],
        "source": urllib.parse.quote(document["overlay"]),
        "label": document["label"],
        "facts": shares,
        "flags": [text for text, is_set in flags.items() if is_set],
        "notes": document.get("notes", []),
        "name": document["file"] + frame,
    }
