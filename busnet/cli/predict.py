"""``busnet predict``."""

from __future__ import annotations

import contextlib
import dataclasses
import enum
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape

from busnet import batch
from busnet._io import atomic_write, remove_partial_files
from busnet.batch.gallery import write_gallery
from busnet.batch.journal import Journal
from busnet.batch.outputs import Outputs
from busnet.batch.table import Table
from busnet.cli.common import (
    FAILED,
    USAGE,
    ModelOption,
    Precision,
    PrecisionOption,
    ThreadsOption,
    app,
    fail,
    messages,
    track,
    use,
)
from busnet.inference import Options
from busnet.model import DEFAULT, Model, load
from busnet.results import NOTICE
from busnet.version import __version__

Documents = list[dict[str, Any]]

#: A source with the documents of its frames.
Recorded = tuple[batch.Source, Documents]

#: What computes and records sources, here or on a cluster.
Work = Callable[[Sequence[batch.Source]], Iterable[Recorded]]


class Format(str, enum.Enum):
    """Form of the table of results."""

    csv = "csv"
    json = "json"
    jsonl = "jsonl"


@app.command()
def predict(
    paths: Annotated[
        list[Path],
        typer.Argument(
            help="Image files, folders, quoted patterns, and manifests: a .csv with a "
            "column 'image' or a .txt with a path a line."
        ),
    ],
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
            "--dicom-seg",
            help="DICOM segmentations of DICOM files of one frame (extra 'dicom').",
        ),
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
    crop: Annotated[
        bool,
        typer.Option(help="Look at the tissue regions alone that DICOM files name."),
    ] = True,
    jobs: Annotated[
        int,
        typer.Option(min=1, max=64, help="Threads that read, and that write, files."),
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
    that was stopped goes on where it was when it is started again.
    """
    wanted = {
        "--overlay": overlay,
        "--gallery": gallery,
        "--nifti": nifti,
        "--dicom-seg": dicom_seg,
    }
    for name, given in wanted.items():
        if given and out is None:
            raise typer.BadParameter("needs --out", param_hint=name)
    if spacing is not None and not 0 < spacing < 1000:
        raise typer.BadParameter("is not in 0..1000", param_hint="--spacing")
    use(threads)
    sources = batch.collect(paths, pattern)
    if not sources:
        fail(f"no image files in {', '.join(map(str, paths))}", USAGE)
    loaded = load(model, precision=precision.value)
    options = Options((spacing, spacing) if spacing is not None else None, crop)
    outputs = Outputs(
        out, loaded.info, overlay=overlay or gallery, nifti=nifti, dicom_seg=dicom_seg
    )
    settings = {
        "busnet": __version__,
        "model": model,
        "provenance": dict(loaded.info.provenance),
        "precision": precision.value,
        "spacing": spacing,
        "crop": crop,
        "outputs": outputs.kinds(),
    }
    work = _work(loaded, options, outputs, jobs, scheduler)
    with _journal(out, settings) as journal:
        documents = _predict_all(sources, work, journal)
        table = Table(loaded.info)
        for source in sources:
            for document in documents[source]:
                table.append(document)
        if gallery and out is not None:
            write_gallery(out / "gallery.html", table)
        _write(table, out, form.value)
    messages.print(f"[dim]{NOTICE}[/]")
    failed = [d["error"] for d in table.documents if "error" in d]
    if failed:
        messages.print(f"[bold red]{len(failed)} files failed:[/]")
        for error in failed:
            messages.print(f"  {escape(error)}", soft_wrap=True)
        raise typer.Exit(FAILED)


def _work(
    model: Model,
    options: Options,
    outputs: Outputs,
    jobs: int,
    scheduler: str | None,
) -> Work:
    """Return what predicts and records sources: this process, or a cluster."""
    if scheduler is None:

        def here(sources: Sequence[batch.Source]) -> Iterator[Recorded]:
            found = batch.predict_files(model, sources, options=options, jobs=jobs)
            return batch.record_all(found, outputs.record, jobs=jobs)

        return here

    from busnet.batch import dask as distributed

    client = distributed.connect(scheduler)

    def there(sources: Sequence[batch.Source]) -> Iterator[Recorded]:
        # Workers may run in other folders.
        absolute = {s: dataclasses.replace(s, path=s.path.absolute()) for s in sources}
        found = distributed.recorded(client, model, absolute.values(), options, outputs)
        for source, (_, documents) in zip(sources, found, strict=True):
            yield source, [{**d, "file": str(source.path)} for d in documents]

    return there


@contextlib.contextmanager
def _journal(out: Path | None, settings: Mapping[str, Any]) -> Iterator[Journal | None]:
    """Open the journal of an output folder; it goes when the block succeeds."""
    if out is None:
        yield None
        return
    remove_partial_files(out)
    journal = Journal(out, settings)
    finished = False
    try:
        yield journal
        finished = True
    except KeyboardInterrupt:
        messages.print("interrupted; the same command goes on where it was")
        raise
    finally:
        journal.close(finished=finished)


def _predict_all(
    sources: Sequence[batch.Source], work: Work, journal: Journal | None
) -> dict[batch.Source, Documents]:
    """Predict what the journal lacks, and return the documents of all sources."""
    documents = {}
    for source in sources:
        if journal is not None and (found := journal.find(source)):
            documents[source] = found
    if documents:
        messages.print(f"{len(documents)} files were done before")
    rest = [source for source in sources if source not in documents]
    for source, described in track(work(rest), len(rest), "predicting"):
        documents[source] = described
        if journal is not None and not any("error" in d for d in described):
            journal.add(source, described)
    return documents


def _write(table: Table, out: Path | None, form: str) -> None:
    if out is None:
        table.write(sys.stdout, form)
        return
    path = out / f"predictions.{form}"
    with atomic_write(path) as part, part.open("w", newline="") as file:
        table.write(file, form)
    good = sum("error" not in document for document in table.documents)
    messages.print(f"{good} predictions in {escape(str(path))}", soft_wrap=True)
