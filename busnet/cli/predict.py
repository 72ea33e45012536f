"""``busnet predict``."""

from __future__ import annotations

import enum
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from busnet import batch
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
from busnet.model import DEFAULT, load
from busnet.results import NOTICE


class Format(str, enum.Enum):
    """Form of the table of results."""

    csv = "csv"
    json = "json"


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
    status 1 if some files failed; the others are done and written.
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
    table = batch.Table(loaded, millimetres)
    failed = []
    outcomes = batch.predict_files(loaded, sources, spacing=millimetres)
    for outcome in track(outcomes, len(sources), "predicting"):
        table.append(outcome)
        if outcome.prediction is None:
            failed.append(outcome)
        elif out is not None:
            batch.save_mask(outcome, out / "masks")
            if overlay:
                batch.save_overlay(outcome, out / "overlays")
    if out is None:
        batch.write_table(sys.stdout, table, form.value)
    else:
        path = out / f"predictions.{form.value}"
        with whole_file(path) as part, part.open("w", newline="") as file:
            batch.write_table(file, table, form.value)
        messages.print(
            f"{len(sources) - len(failed)} predictions in {escape(str(path))}",
            soft_wrap=True,
        )
    messages.print(f"[dim]{NOTICE}[/]")
    if failed:
        messages.print(f"[bold red]{len(failed)} files failed:[/]")
        for outcome in failed:
            messages.print(f"  {escape(str(outcome.error))}", soft_wrap=True)
        raise typer.Exit(FAILED)
