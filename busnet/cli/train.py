"""``busnet train``."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.progress import Progress

from busnet.cli.cases import printable
from busnet.cli.common import ThreadsOption, app, messages, progress, use
from busnet.data import Fold, parse_sources
from busnet.engine.threads import get_threads
from busnet.errors import requires_extra
from busnet.networks import Network, get_network

if TYPE_CHECKING:
    from busnet.training.recipe import Recipe

SourcesOption = Annotated[
    list[str],
    typer.Option(
        "--data",
        help="NAME=PATH of a source's folder or table; once for each source. Of a "
        "single one the path is enough.",
    ),
]


NetworkOption = Annotated[
    str, typer.Option("--network", help="Row of the table to train.")
]
OutOption = Annotated[
    Path | None, typer.Option(help="Weights file to write; by default in --work.")
]
ProtocolOption = Annotated[
    str | None,
    typer.Option(help="How the data is used; by default as its layout says."),
]
FoldOption = Annotated[
    int | None, typer.Option(help="Fold that is held out; without it none is.")
]
LeaveOutOption = Annotated[
    str | None,
    typer.Option(help="Source that is held out as a whole (protocol hospitals)."),
]
StartOption = Annotated[
    Path | None,
    typer.Option(help="Weights file or folder of ImageNet weights to start from."),
]
RecipeOption = Annotated[
    str,
    typer.Option(
        help="standard: for images of other hospitals, too; release: the same in "
        "large batches, for a GPU; plain: without what other hospitals take."
    ),
]
EpochsOption = Annotated[
    int | None, typer.Option(min=1, help="Epochs instead of the recipe's.")
]
FrozenOption = Annotated[
    int,
    typer.Option(
        min=0, max=4, help="Stages to keep as they start, the stem with them."
    ),
]
SeedOption = Annotated[int, typer.Option(min=0, help="Seed of everything random.")]
HeadsOption = Annotated[str, typer.Option(help="class,mask or one of them.")]
ShortcutsOption = Annotated[
    bool | None,
    typer.Option("--stage-shortcuts/--no-stage-shortcuts", help="As the row has."),
]
PoolingOption = Annotated[
    str | None,
    typer.Option(
        help="What the class head looks at: mean, or lesion as well; as the row has "
        "where not given."
    ),
]
ChannelsOption = Annotated[int, typer.Option(min=1, max=3, help="1: grey, 3: RGB.")]
WorkOption = Annotated[
    Path, typer.Option(help="Folder for checkpoints and pre-trained weights.")
]
AllowLeakOption = Annotated[
    bool,
    typer.Option("--allow-leak", help="Train although test images leak; marked so."),
]
EightBitOption = Annotated[
    bool, typer.Option("--eight-bit", help="Store weights in 8 bits.")
]
DeviceOption = Annotated[
    str,
    typer.Option(
        help="PyTorch device to train on: cpu, cuda or cuda:1; auto takes a CUDA GPU "
        "if there is one."
    ),
]


@app.command()
def train(
    name: NetworkOption,
    data: SourcesOption,
    out: OutOption = None,
    protocol: ProtocolOption = None,
    fold: FoldOption = None,
    leave_out: LeaveOutOption = None,
    start: StartOption = None,
    recipe: RecipeOption = "standard",
    epochs: EpochsOption = None,
    frozen: FrozenOption = 0,
    seed: SeedOption = 0,
    heads: HeadsOption = "class,mask",
    shortcuts: ShortcutsOption = None,
    pooling: PoolingOption = None,
    channels: ChannelsOption = 1,
    work: WorkOption = Path("runs"),
    allow_leak: AllowLeakOption = False,
    eight_bit: EightBitOption = False,
    device: DeviceOption = "auto",
    threads: ThreadsOption = None,
) -> None:
    """Train a network (needs the extra busnet[train]).

    A training that was stopped goes on where it was when it is started again.
    """
    with requires_extra("train"):
        import torch

        from busnet.training import run as training
    if fold is not None and leave_out is not None:
        raise typer.BadParameter(
            "a fold and a whole source cannot both be held out", param_hint="--fold"
        )
    if leave_out is not None and protocol is None:
        protocol = "hospitals"
    held_out = fold if fold is not None else leave_out
    chosen = _recipe(recipe, epochs, seed=seed, frozen=frozen)
    use(threads)
    torch.set_num_threads(get_threads())
    row = _row(name, channels, heads, pooling, shortcuts)
    sources = parse_sources(data)
    tag = _tag(training.file_name(row), [*sources], protocol, held_out, chosen)
    if recipe != "standard":
        tag += f"-{recipe}"
    target = out if out is not None else work / f"{tag}.safetensors"
    with progress() as bar:
        job = training.Job(row, sources, chosen, protocol, held_out, start, device)
        info = training.run(
            job,
            target,
            checkpoint=work / f"{tag}.ckpt",
            report=_reporter(bar, "training"),
            log=_print_line,
            warn=lambda line: _print_line(line, "[yellow]warning:[/] "),
            allow_leak=allow_leak,
            eight_bit=eight_bit,
        )
    if info.provenance["leaks"]:
        messages.print(
            f"[bold red]LEAKY:[/] {info.provenance['leaks']} groups stand on both "
            f"sides of the split; the weights file says so"
        )
    messages.print(f"weights in {escape(str(target))}", soft_wrap=True)


def _recipe(name: str, epochs: int | None, *, seed: int, frozen: int) -> Recipe:
    """Return the recipe that the options describe."""
    from busnet.training.recipe import RECIPES

    if name not in RECIPES:
        raise typer.BadParameter(
            f"is not one of {', '.join(RECIPES)}", param_hint="--recipe"
        )
    recipe = dataclasses.replace(RECIPES[name], seed=seed, frozen=frozen)
    return recipe if epochs is None else recipe.shortened(epochs)


def _row(
    name: str, channels: int, heads: str, pooling: str | None, shortcuts: bool | None
) -> Network:
    """Return the network that the options describe."""
    changes: dict[str, Any] = {"channels": channels, "heads": heads.split(",")}
    if pooling is not None:
        changes["pooling"] = pooling
    if shortcuts is not None:
        changes["stage_shortcuts"] = shortcuts
    return get_network(name, **changes)


def _print_line(line: str, prefix: str = "") -> None:
    """Print a line of messages, names of files in it escaped."""
    messages.print(f"{prefix}{printable(line)}", highlight=False, soft_wrap=True)


def _tag(
    network: str, sources: list[str], protocol: str | None, fold: Fold, recipe: Recipe
) -> str:
    """Return the name of a training's files, without options that have defaults."""
    if protocol is None:
        protocol = "-".join(sources)
    held_out = f"fold{fold}" if isinstance(fold, int) else f"without-{fold}"
    parts = [network, protocol, "all" if fold is None else held_out]
    parts.append(f"seed{recipe.seed}")
    if recipe.frozen:
        parts.append(f"frozen{recipe.frozen}")
    return "-".join(parts)


def _reporter(bar: Progress, what: str) -> Callable[[Any], None]:
    """Return what shows a training's progress, a line for each epoch."""
    task = bar.add_task(what, total=None)

    def report(step: Any) -> None:
        bar.update(task, total=step.steps, completed=step.step)
        if step.validation is not None:
            figures = ", ".join(f"{k} {v:.3f}" for k, v in step.validation.items())
            messages.print(
                f"{what}: step {step.step}/{step.steps}, loss {step.loss:.3f}, "
                f"validation {figures or 'none'}",
                highlight=False,
            )

    return report
