"""``busnet info``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from busnet import _core
from busnet.cli.common import Precision, PrecisionOption, app
from busnet.cli.models import split_models
from busnet.engine import cache
from busnet.engine.threads import get_threads
from busnet.errors import BusnetError
from busnet.model import Model, load
from busnet.models import DEFAULT, find_model, shipped
from busnet.models.plugins import Plugin, list_plugins
from busnet.networks import NETWORKS, Counter, build, get_network
from busnet.results import NOTICE
from busnet.version import __version__
from busnet.weights import read_info


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
        typer.Option(
            "--model", help="Print what this model is, or several with commas between."
        ),
    ] = None,
    plan: Annotated[
        bool,
        typer.Option("--plan", help="Print what computes each layer of the model."),
    ] = False,
    precision: PrecisionOption = Precision.f32,
) -> None:
    """Tell about the engine, the networks and the shipped models."""
    console = Console()
    if name is not None:
        _print_network(console, name, size)
    elif plan:
        for member in split_models(model or DEFAULT):
            _print_plan(console, load(member, precision=precision.value))
    elif model is not None:
        for member in split_models(model):
            _print_model(console, load(member))
    else:
        _print_engine(console)


def _print_engine(console: Console) -> None:
    engine = _core.engine()
    console.print(f"busnet {__version__}")
    supported = [kind for kind in ("bf16", "int8") if engine[kind]]
    console.print(
        f"oneDNN {engine['version']}, instruction set {engine['isa']} "
        f"({', '.join(supported) or 'neither bf16 nor int8'}), {get_threads()} threads",
        highlight=False,
    )
    console.print(f"networks: {', '.join(NETWORKS)}", soft_wrap=True)
    for name, path in shipped().items():
        default = " (default)" if name == DEFAULT else ""
        console.print(f"model {name}{default}: {_describe(path)}", soft_wrap=True)
    for plugin in list_plugins():
        console.print(escape(_describe_plugin(plugin)), soft_wrap=True)
    folder = cache.folder()
    console.print(
        "packed weights are not cached"
        if folder is None
        else f"packed weights: {folder}, {cache.size() / 1e6:.0f} MB",
        soft_wrap=True,
        highlight=False,
    )
    console.print(NOTICE, style="dim")


def _describe(path: Path) -> str:
    model = read_info(path)
    data = model.provenance.get("data", "unknown data")
    size = path.stat().st_size / 1e6
    return (
        f"{', '.join(model.classes)}; {model.image_size} px; trained on {data}, "
        f"{size:.1f} MB"
    )


def _describe_plugin(plugin: Plugin) -> str:
    """Return what a plug-in's model is, or why it cannot be used."""
    try:
        what = _describe(find_model(plugin.name))
    except BusnetError as error:
        what = f"cannot be used: {error}"
    return f"model {plugin.name} (package {plugin.package}): {what}"


def _print_network(console: Console, name: str, size: int) -> None:
    counter = Counter(size, size)
    row = get_network(name)
    build(row, counter)
    table = Table("layer", "operator", "channels", "size", "parameters", "MACs")
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
    decoder = [x for x in counter.layers if x.name.startswith("decoder.")]
    parameters, macs = (
        sum(getattr(layer, field) for layer in decoder)
        for field in ("parameters", "macs")
    )
    console.print(
        f"{name}, {row.channels} channels, 1000 classes, {size} x {size}: "
        f"{counter.parameters - parameters:,} parameters, "
        f"{(counter.macs - macs) / 1e9:.3f} GMACs; the mask decoder adds "
        f"{parameters:,} and {macs / 1e9:.3f}",
        soft_wrap=True,
    )


def _print_model(console: Console, model: Model) -> None:
    console.print(model.info.network, model.info.classes)
    table = Table("field", "value", show_header=False)
    for key, value in _flatten(
        {
            "image size": model.info.image_size,
            "images": str(model.info.preprocessing),
            "temperature": model.info.temperature,
            "mask threshold": model.info.mask_threshold,
            "lesion peak": model.info.lesion_peak,
            "abstains below": model.info.abstain_below,
            "operating points": dict(model.info.operating_points),
            **model.info.provenance,
        }
    ):
        table.add_row(key, escape(str(value)))
    console.print(table)


def _print_plan(console: Console, model: Model) -> None:
    """Print each step with its kernel and the shortest of its times."""
    size, channels = model.info.image_size, model.info.network.channels
    plan = model.session.plan(1, (size, size), model.info.network.heads)
    image = np.zeros((1, size, size, channels), np.float32)
    times = np.min([plan.time(image) for _ in range(10)], axis=0)
    table = Table("layer", "kernel", "us", "%")
    for (layer, kernel), seconds in zip(plan.steps, times, strict=True):
        share = 100 * seconds / times.sum()
        table.add_row(layer, kernel, f"{1e6 * seconds:.0f}", f"{share:.1f}")
    console.print(table)
    console.print(
        f"{model}, one image, {get_threads()} threads: {1e3 * times.sum():.1f} ms, "
        f"arena {plan.arena_size / 1e6:.1f} MB",
        soft_wrap=True,
        highlight=False,
    )


def _flatten(
    document: Mapping[str, Any], prefix: str = ""
) -> Iterable[tuple[str, Any]]:
    for key, value in document.items():
        if isinstance(value, dict):
            yield from _flatten(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
