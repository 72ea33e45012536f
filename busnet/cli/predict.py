"""``busnet predict``."""

from __future__ import annotations

import enum
import io
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated

import typer

from busnet import batch
from busnet.batch.outputs import Outputs
from busnet.batch.predict import MAX_JOBS
from busnet.batch.run import Recorded, Settings, Work, predict_into, settings_of
from busnet.batch.table import Table
from busnet.cli.common import (
    FAILED,
    USAGE,
    GlobOption,
    PathsArgument,
    Precision,
    PrecisionOption,
    PriorOption,
    SpacingOption,
    ThreadsOption,
    ValueRangeOption,
    app,
    fail,
    list_failures,
    parse_spacing,
    say,
    use,
)
from busnet.cli.models import ModelOption, load_models
from busnet.experiments.progress import messages, track
from busnet.inference import Options
from busnet.inference.predictor import Predictor
from busnet.models import DEFAULT
from busnet.results import NOTICE


class Format(str, enum.Enum):
    """Form of the table of results."""

    csv = "csv"
    json = "json"
    jsonl = "jsonl"


@app.command()
def predict(
    paths: PathsArgument,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder for the table, masks/ and other outputs."),
    ] = None,
    form: Annotated[
        Format, typer.Option("--format", help="Form of the table.")
    ] = Format.csv,
    overlay: Annotated[
        bool, typer.Option("--overlay", help="Draw outlines (needs --out).")
    ] = False,
    gallery: Annotated[
        bool,
        typer.Option("--gallery", help="Overlays and an HTML page of them."),
    ] = False,
    nifti: Annotated[
        bool, typer.Option("--nifti", help="Masks as NIfTI too (extra 'nifti').")
    ] = False,
    dicom_seg: Annotated[
        bool,
        typer.Option(
            "--dicom-seg", help="DICOM segmentations of DICOM files (extra 'dicom')."
        ),
    ] = False,
    pattern: GlobOption = None,
    spacing: SpacingOption = None,
    value_range: ValueRangeOption = None,
    prior: PriorOption = None,
    crop: Annotated[
        bool,
        typer.Option(help="Look at the tissue regions alone that DICOM files name."),
    ] = True,
    jobs: Annotated[
        int,
        typer.Option(
            min=1, max=MAX_JOBS, help="Threads that read, and that write, files."
        ),
    ] = 2,
    scheduler: Annotated[
        str | None,
        typer.Option(
            help="Address of a Dask scheduler whose workers do it (extra 'dask'); "
            "they must share the files and --out."
        ),
    ] = None,
    model: ModelOption = DEFAULT,
    precision: PrecisionOption = Precision.f32,
    threads: ThreadsOption = None,
) -> None:
    """Predict class and lesions of images.

    The table goes to standard output, or into --out together with the masks. Ends with
    status 1 if some files failed; the others are done and written. A run into --out
    that was stopped goes on where it was when it is started again; one that has ended
    is replaced.
    """
    needs_out = {
        "--overlay": overlay,
        "--gallery": gallery,
        "--nifti": nifti,
        "--dicom-seg": dicom_seg,
    }
    for option, present in needs_out.items():
        if present and out is None:
            raise typer.BadParameter("needs --out", param_hint=option)
    sides = parse_spacing(spacing)
    use(threads)
    selection = batch.collect(paths, pattern, output=out)
    if not selection.sources:
        skipped = f" ({selection.summary()})" if selection.skipped else ""
        fail(f"no image files in {', '.join(map(str, paths))}{skipped}", USAGE)
    loaded = load_models(model, precision=precision.value)
    options = Options(spacing=sides, crop=crop, prior=prior)
    outputs = Outputs(
        out, loaded.info, overlay=overlay or gallery, nifti=nifti, dicom_seg=dicom_seg
    )
    work = _work(loaded, options, outputs, value_range, jobs, scheduler)
    if out is None:
        every = list(
            track(work(selection.sources), len(selection.sources), "predicting")
        )
        table = Table(loaded.info, (d for _, documents in every for d in documents))
        _print(table, form.value)
    else:
        settings = settings_of(
            loaded,
            spacing=sides,
            value_range=value_range,
            prior=prior,
            crop=crop,
            outputs=outputs.kinds(),
        )
        table = _predict_into(out, selection, work, outputs, settings, form, gallery)
    _report(selection, table, dicom_seg=dicom_seg)


def _work(
    model: Predictor,
    options: Options,
    outputs: Outputs,
    value_range: tuple[float, float] | None,
    jobs: int,
    scheduler: str | None,
) -> Work:
    """Return what predicts and records sources: this process, or a cluster."""
    if scheduler is None:

        def predict_here(sources: Iterable[batch.Source]) -> Iterable[Recorded]:
            outcomes = batch.predict_files(
                model, sources, options=options, value_range=value_range, jobs=jobs
            )
            return batch.record_all(outcomes, outputs.record, outputs.finish, jobs=jobs)

        return predict_here

    from busnet.batch import dask

    client = dask.connect(scheduler)

    def predict_on_cluster(sources: Iterable[batch.Source]) -> Iterator[Recorded]:
        yield from dask.recorded(
            client, model, sources, options, outputs, value_range=value_range
        )

    return predict_on_cluster


def _predict_into(
    out: Path,
    selection: batch.Selection,
    work: Work,
    outputs: Outputs,
    settings: Settings,
    form: Format,
    gallery: bool,
) -> Table:
    try:
        table = predict_into(
            out,
            selection.sources,
            work,
            outputs,
            settings,
            form=form.value,
            gallery=gallery,
            say=say,
            track=lambda items, total: track(items, total, "predicting"),
        )
    except KeyboardInterrupt:
        say("interrupted; the same command goes on where it was")
        raise
    count = len(table.documents) - len(table.errors())
    say(f"{count} predictions in {out / f'predictions.{form.value}'}")
    return table


def _print(table: Table, form: str) -> None:
    """Write the table to standard output, in UTF-8 whatever the terminal's encoding."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8", newline="")
    table.write(sys.stdout, form)
    sys.stdout.flush()


def _report(selection: batch.Selection, table: Table, *, dicom_seg: bool) -> None:
    """Say what was skipped, what failed, and what has no output; set the status."""
    if summary := selection.with_skipped(table.skipped).summary():
        say(summary)
    if dicom_seg and (count := table.without("dicom_seg")):
        say(f"{count} predictions are not of DICOM files and have no segmentation")
    messages.print(f"[dim]{NOTICE}[/]")
    list_failures("files failed", table.errors())
    list_failures("outputs could not be written", table.unwritten())
    if table.errors() or table.unwritten() or selection.unreadable:
        raise typer.Exit(FAILED)
