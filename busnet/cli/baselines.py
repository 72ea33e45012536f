"""``busnet baselines``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from busnet.cli.common import ThreadsOption, app, split_names, use
from busnet.cli.evaluation import BootstrapOption, print_leak, print_notice
from busnet.cli.train import (
    ChannelsOption,
    DeviceOption,
    EpochsOption,
    HeadsOption,
    ImageSizeOption,
    PoolingOption,
    RecipeOption,
    SourcesOption,
    StartOption,
    check_recipe,
)
from busnet.experiments import baselines as experiment

if TYPE_CHECKING:
    from collections.abc import Sequence

    from busnet.experiments.result import Baselines

#: Figures that a table has room for.
COLUMNS = 5


def parse_seeds(text: str) -> list[int]:
    """Return the numbers of a list with commas."""
    try:
        return [int(seed) for seed in text.split(",")]
    except ValueError:
        raise typer.BadParameter(
            f"{text!r} is not whole numbers with commas", param_hint="--seeds"
        ) from None


@app.command()
def baselines(
    data: SourcesOption,
    out: Annotated[Path, typer.Option(help="Folder to write, or to go on in.")],
    networks: Annotated[
        str, typer.Option(help="Networks to train, with commas.")
    ] = "resnet18,resnet50",
    models: Annotated[
        str,
        typer.Option(
            help="Trained models of your own to compare with, with commas: names, "
            ".safetensors, or PyTorch's .pth."
        ),
    ] = "",
    classes: Annotated[
        str,
        typer.Option(
            help="Classes of .pth files with commas, in the order of their outputs."
        ),
    ] = "",
    folds: Annotated[
        int | None,
        typer.Option(help="Folds to make, 5 by default, where the data has none."),
    ] = None,
    protocol: Annotated[
        str | None,
        typer.Option(help="How the data is used; by default as its layout says."),
    ] = None,
    seeds: Annotated[
        str, typer.Option(help="Seeds of the trainings, with commas.")
    ] = "0",
    recipe: RecipeOption = "standard",
    epochs: EpochsOption = None,
    image_size: ImageSizeOption = None,
    start: StartOption = None,
    heads: HeadsOption = "class,mask",
    pooling: PoolingOption = None,
    channels: ChannelsOption = 1,
    reference: Annotated[
        str | None,
        typer.Option(help="Row that the others are compared with; the first."),
    ] = None,
    device: DeviceOption = "auto",
    jobs: Annotated[
        int, typer.Option(min=1, max=64, help="Trainings at a time, as processes.")
    ] = 1,
    bootstrap: BootstrapOption = 1000,
    speed: Annotated[
        bool, typer.Option("--speed/--no-speed", help="Time the forward passes.")
    ] = True,
    allow_leak: Annotated[
        bool,
        typer.Option(
            "--allow-leak", help="Compare models that saw the images; marked so."
        ),
    ] = False,
    threads: ThreadsOption = None,
) -> None:
    """Train networks on your data, compare them, and write a page.

    Needs the extras busnet[train,evaluate]. A comparison that was stopped goes on where
    it was when the command is given again.
    """
    check_recipe(recipe)
    use(threads)
    result = experiment.baselines(
        data,
        out,
        networks=split_names(networks),
        models=split_names(models),
        classes=split_names(classes),
        folds=folds,
        protocol=protocol,
        seeds=parse_seeds(seeds),
        recipe=recipe,
        epochs=epochs,
        image_size=image_size,
        start=start,
        heads=split_names(heads),
        pooling=pooling,
        channels=channels,
        reference=reference,
        device=device,
        jobs=jobs,
        bootstrap=bootstrap,
        speed=speed,
        allow_leak=allow_leak,
    )
    _print_result(result)
    print_notice()


def _print_result(result: Baselines) -> None:
    for name, leak in result.leaks.items():
        print_leak(f"{name}: {leak}")
    for name, notes in result.notes.items():
        print_leak("", [f"{name}: {note}" for note in notes])
    console = Console()
    title: str | None = escape(result.description)
    for figures in divide_figures(result.figures):
        table = Table("network", *figures, title=title)
        for name, evaluation in result.evaluations.items():
            cells = [str(evaluation.figures.get(figure, "")) for figure in figures]
            table.add_row(escape(name), *map(escape, cells))
        console.print(table)
        title = None
    if result.class_note:
        console.print(result.class_note, soft_wrap=True)
    for sentence in result.paired.sentences:
        console.print(escape(sentence.replace("`", "")), soft_wrap=True)


def divide_figures(names: Sequence[str]) -> list[list[str]]:
    """Return the figures of each table, so that it fits a terminal.

    Those among lesions are a table of their own where there are others.
    """
    if len(names) <= COLUMNS:
        return [[*names]]
    from busnet.evaluation.metrics import AMONG_LESIONS

    among = [name for name in names if name.endswith(AMONG_LESIONS)]
    return [[name for name in names if name not in among], among]
