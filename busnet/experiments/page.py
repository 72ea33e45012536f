"""The page of a comparison: HTML, Markdown and JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping

from busnet._io import write_text
from busnet.evaluation.intervals import Interval
from busnet.experiments.pictures import draw_pictures
from busnet.experiments.result import Baselines, Row
from busnet.experiments.tables import line, section, spread_table
from busnet.experiments.templating import render
from busnet.results import NOTICE
from busnet.version import __version__

__all__ = ["render_html", "render_json", "render_markdown", "write_pages"]


def write_pages(result: Baselines) -> None:
    """Write ``comparison.html``, ``.md`` and ``.json``, each whole or not at all."""
    write_text(result.out / "comparison.json", render_json(result))
    write_text(result.out / "comparison.md", render_markdown(result))
    write_text(result.out / "comparison.html", render_html(result))


def render_html(result: Baselines) -> str:
    """Return the page, which needs nothing beside it."""
    return render(
        "comparison.html",
        result=result,
        pictures=draw_pictures(result),
        fragment=False,
    )


def render_markdown(result: Baselines) -> str:
    """Return the page as Markdown."""
    names = result.figures
    lines = [
        "# Comparison",
        "",
        result.description,
        "Intervals are 95 %, by bootstrap over groups.",
        result.recipe,
        *([result.class_note] if result.class_note else []),
        "",
        NOTICE,
        "",
        *(f"**LEAKY**: {name}: {leak}" for name, leak in result.leaks.items()),
        *section("Figures", result.evaluations, result.paired, names),
    ]
    for network, seeds in result.seeds.items():
        lines += ["", f"## Seeds: {network}", "", *spread_table(seeds, names)]
    lines += ["", "## Size and speed", "", result.machine, ""]
    lines += [line(result.speed_columns), line(["---"] * len(result.speed_columns))]
    lines += [line(cells) for cells in result.speed_rows]
    for name, notes in result.notes.items():
        lines += ["", *(f"Note on {name}: {note}." for note in notes)]
    return "\n".join(lines) + "\n"


def render_json(result: Baselines) -> str:
    """Return the page as JSON; what is not defined is null."""
    document = {
        "notice": NOTICE,
        "busnet": __version__,
        "description": result.description,
        "recipe": result.recipe,
        "class note": result.class_note,
        "reference": result.paired.reference,
        "cpu": result.cpu,
        "threads": result.threads,
        "rows": [_row_document(row, result) for row in result.rows],
        "differences": [
            {
                "first": pair.reference,
                "second": name,
                "notes": list(comparison.notes),
                "figures": _figures(comparison.differences),
            }
            for pair in result.pairs
            for name, comparison in pair.differences.items()
        ],
        "sentences": result.paired.sentences,
    }
    return json.dumps(document, indent=1) + "\n"


def _row_document(row: Row, result: Baselines) -> dict[str, object]:
    counter = row.counter
    return {
        "name": row.name,
        "network": row.network.name,
        "trained here": row.trained,
        "image size": row.image_size,
        "images": len(row.evaluation.scores),
        "parameters": counter.parameters,
        "macs": counter.macs,
        "leak": row.evaluation.leak,
        "notes": list(row.evaluation.notes),
        "figures": _figures(row.evaluation.figures),
        "milliseconds": {
            precision: [round(time.minimum, 4), round(time.median, 4)]
            for precision, time in result.speed.get(row.name, {}).items()
        },
    }


def _figures(figures: Mapping[str, Interval]) -> dict[str, list[float | None]]:
    return {name: interval.rounded for name, interval in figures.items()}
