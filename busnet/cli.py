"""The command line: ``busnet predict``, ``info``, ``train``."""

from __future__ import annotations

import enum
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, NoReturn, TypeVar

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Table as RichTable

from busnet import __version__, _core, batch
from busnet.errors import BusnetError
from busnet.files import whole_file
from busnet.model import DEFAULT, Model, load, shipped
from busnet.networks import NETWORKS, Counter, build, network
from busnet.results import NOTICE
from busnet.threads import get_threads, set_threads
from busnet.weights import ModelInfo, read_info

T = TypeVar("T")

FAILED, USAGE = 1, 2

app = typer.Typer(
    help=f"Breast-ultrasound classification and segmentation on CPU. {NOTICE}",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
#: Results go to standard output, everything that is said about them to this.
messages = Console(stderr=True)

ModelOption = Annotated[
    str, typer.Option("--model", help="Shipped model or path to a .safetensors file.")
]
ThreadsOption = Annotated[
    int | None, typer.Option("--threads", min=1, max=1024, help="Threads to use.")
]


class Format(str, enum.Enum):
    """Form of the table of results."""

    csv = "csv"
    json = "json"


def main() -> None:
    """Run the command line; what it cannot do ends with status 1 or 2."""
    try:
        app()
    except BusnetError as error:
        fail(str(error))
    except (OSError, MemoryError) as error:
        fail(f"{type(error).__name__}: {error}")


def fail(message: str, status: int = FAILED) -> NoReturn:
    """Say what went wrong and leave."""
    messages.print(f"[bold red]error:[/] {escape(message)}", soft_wrap=True)
    sys.exit(status)


def track(items: Iterable[T], total: int, what: str) -> Iterable[T]:
    """Pass items on under a progress bar on standard error."""
    with progress() as bar:
        task = bar.add_task(what, total=total)
        for item in items:
            bar.advance(task)
            yield item


def progress() -> Progress:
    """Return a progress bar on standard error; none where that is no terminal."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=messages,
        disable=not messages.is_terminal,
    )


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


@app.command()
def info(
    name: Annotated[
        str | None,
        typer.Option("--network", help="Print this network's layers and counts."),
    ] = None,
    size: Annotated[
        int, typer.Option(min=32, max=4096, help="Side of the image for --network.")
    ] = 224,
    model: Annotated[
        str | None,
        typer.Option("--model", help="Print what this model is."),
    ] = None,
) -> None:
    """Tell about the engine, the networks and the shipped models."""
    console = Console()
    if name is not None:
        _print_network(console, name, size)
    elif model is not None:
        _print_model(console, load(model))
    else:
        _print_engine(console)


def use(threads: int | None) -> None:
    """Set the number of threads if one is given."""
    if threads is not None:
        set_threads(threads)


def _print_engine(console: Console) -> None:
    engine = _core.engine()
    console.print(f"busnet {__version__}")
    console.print(
        f"oneDNN {engine['version']}, instruction set {engine['isa']}, "
        f"{get_threads()} threads",
        highlight=False,
    )
    console.print(f"networks: {', '.join(NETWORKS)}", soft_wrap=True)
    for name, path in shipped().items():
        default = " (default)" if name == DEFAULT else ""
        described = _describe(read_info(path))
        size = path.stat().st_size / 1e6
        console.print(
            f"model {name}{default}: {described}, {size:.1f} MB", soft_wrap=True
        )
    console.print(NOTICE, style="dim")


def _describe(model: ModelInfo) -> str:
    data = model.provenance.get("data", "unknown data")
    return f"{', '.join(model.classes)}; {model.image_size} px; trained on {data}"


def _print_network(console: Console, name: str, size: int) -> None:
    counter = Counter(size, size)
    row = network(name)
    build(row, counter)
    table = RichTable("layer", "operator", "channels", "size", "parameters", "MACs")
    for column in table.columns[2:]:
        column.justify = "right"
    for layer in counter.layers:
        channels, height, width = layer.shape
        table.add_row(
            layer.name,
            layer.operator,
            str(channels),
            f"{height} x {width}",
            f"{layer.parameters:,}" if layer.parameters else "",
            f"{layer.macs:,}" if layer.macs else "",
        )
    console.print(table)
    console.print(
        f"{name}, {row.channels} channels, 1000 classes, {size} x {size}: "
        f"{counter.parameters:,} parameters, {counter.macs / 1e9:.3f} GMACs",
        soft_wrap=True,
    )


def _print_model(console: Console, model: Model) -> None:
    console.print(model.info.network, model.info.classes)
    table = RichTable("field", "value", show_header=False)
    for key, value in _flatten(
        {
            "image size": model.info.image_size,
            "temperature": model.info.temperature,
            "mask threshold": model.info.mask_threshold,
            "operating points": dict(model.info.operating_points),
            **model.info.provenance,
        }
    ):
        table.add_row(key, escape(str(value)))
    console.print(table)


def _flatten(document: dict[str, Any], prefix: str = "") -> Iterable[tuple[str, Any]]:
    for key, value in document.items():
        if isinstance(value, dict):
            yield from _flatten(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
