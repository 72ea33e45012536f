"""``busnet predict``."""

from __future__ import annotations

import enum
import itertools
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape

from busnet import __version__, batch
from busnet.cli.common import (
    FAILED,
    USAGE,
    ModelOption,
    ThreadsOption,
    app,
    fail,
    messages,
    track,
    use,
)
from busnet.files import whole_file
from busnet.lesions import Spacing
from busnet.model import DEFAULT, Model, load
from busnet.results import NOTICE


class Format(str, enum.Enum):
    """Form of the table of results."""

    csv = "csv"
    json = "json"
    jsonl = "jsonl"


@app.command()
def predict(
    paths: Annotated[list[Path], typer.Argument(help="Image files and folders.")],
    out: Annotated[
        Path | None,
        typer.Option(help="Folder for the table, masks/ and overlays/."),
    ] = None,
    form: Annotated[
        Format, typer.Option("--format", help="Form of the table.")
    ] = Format.csv,
    overlay: Annotated[
        bool, typer.Option("--overlay", help="Draw outlines (needs --out).")
    ] = False,
    pattern: Annotated[
        str | None,
        typer.Option(
            "--glob",
            help="What file names in folders must match; by default image endings "
            "without '_mask' in the name.",
        ),
    ] = None,
    spacing: Annotated[
        float | None,
        typer.Option(help="Millimetres a pixel, for measures in millimetres."),
    ] = None,
    model: ModelOption = DEFAULT,
    threads: ThreadsOption = None,
) -> None:
    """Predict class and lesions of images.

    The table goes to standard output, or into --out together with the masks. Ends with
    status 1 if some files failed; the others are done and written. A run into --out
    that was stopped goes on where it was when it is started again.
    """
    if overlay and out is None:
        raise typer.BadParameter("needs --out", param_hint="--overlay")
    if spacing is not None and not 0 < spacing < 1000:
        raise typer.BadParameter("is not in 0..1000", param_hint="--spacing")
    use(threads)
    sources = batch.collect(paths, pattern)
    if not sources:
        fail(f"no image files in {', '.join(map(str, paths))}", USAGE)
    loaded = load(model)
    millimetres = (spacing, spacing) if spacing is not None else None
    settings = {
        "busnet": __version__,
        "model": model,
        "provenance": dict(loaded.info.provenance),
        "spacing": spacing,
        "overlay": overlay,
    }
    journal = batch.Journal(out, settings) if out is not None else None
    finished = False
    try:
        documents = _predict_all(
            loaded, sources, journal, out, overlay=overlay, spacing=millimetres
        )
        table = batch.Table(loaded)
        for source in sources:
            for document in documents[source]:
                table.append(document)
        _write(table, out, form.value)
        finished = True
    finally:
        if journal is not None:
            journal.close(finished=finished)
    messages.print(f"[dim]{NOTICE}[/]")
    failed = [d["error"] for d in table.documents if "error" in d]
    if failed:
        messages.print(f"[bold red]{len(failed)} files failed:[/]")
        for error in failed:
            messages.print(f"  {escape(error)}", soft_wrap=True)
        raise typer.Exit(FAILED)


def _predict_all(
    model: Model,
    sources: Sequence[batch.Source],
    journal: batch.Journal | None,
    out: Path | None,
    *,
    overlay: bool,
    spacing: Spacing | None,
) -> dict[batch.Source, list[dict[str, Any]]]:
    """Predict what the journal lacks, write its pictures, and return all documents."""
    documents = {}
    for source in sources:
        if journal is not None and (found := journal.find(source)):
            documents[source] = found
    if documents:
        messages.print(f"{len(documents)} files were done before")
    rest = [source for source in sources if source not in documents]
    outcomes = batch.predict_files(model, rest, spacing=spacing)
    by_source = itertools.groupby(outcomes, key=lambda outcome: outcome.source)
    for source, group in track(by_source, len(rest), "predicting"):
        described = []
        for outcome in group:
            described.append(batch.describe(outcome))
            if out is not None and outcome.error is None:
                batch.save_mask(outcome, out / "masks")
                if overlay:
                    batch.save_overlay(outcome, out / "overlays")
        if summary := batch.summarise(described):
            described.append(summary)
        documents[source] = described
        if journal is not None and not any("error" in d for d in described):
            journal.add(source, described)
    return documents


def _write(table: batch.Table, out: Path | None, form: str) -> None:
    if out is None:
        table.write(sys.stdout, form)
        return
    path = out / f"predictions.{form}"
    with whole_file(path) as part, part.open("w", newline="") as file:
        table.write(file, form)
    good = sum("error" not in document for document in table.documents)
    messages.print(f"{good} predictions in {escape(str(path))}", soft_wrap=True)
