"""``busnet train``."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.progress import Progress

from busnet.cli.common import DataOption, ThreadsOption, app, messages, progress, use
from busnet.errors import MissingExtraError
from busnet.networks import get_network
from busnet.engine.threads import get_threads


@app.command()
def train(
    name: Annotated[str, typer.Option("--network", help="Row of the table to train.")],
    data: DataOption,
    out: Annotated[
        Path | None,
        typer.Option(help="Weights file to write; by default in --work."),
    ] = None,
    protocol: Annotated[
        str, typer.Option(help="How the data set is used.")
    ] = "busi-group5",
    fold: Annotated[
        int | None,
        typer.Option(help="Fold that is held out; without it none is."),
    ] = None,
    start: Annotated[
        Path | None,
        typer.Option(help="Weights file or folder of ImageNet weights to start from."),
    ] = None,
    pretrain: Annotated[
        Path | None,
        typer.Option(help="BUS-BRA's folder, to train on it first."),
    ] = None,
    recipe: Annotated[str, typer.Option(help="finetune or pretrain.")] = "finetune",
    epochs: Annotated[
        int | None, typer.Option(min=1, help="Epochs instead of the recipe's.")
    ] = None,
    frozen: Annotated[
        int,
        typer.Option(
            min=0, max=4, help="Stages to keep as they start, the stem with them."
        ),
    ] = 0,
    seed: Annotated[int, typer.Option(min=0, help="Seed of everything random.")] = 0,
    heads: Annotated[
        str, typer.Option(help="class,mask or one of them.")
    ] = "class,mask",
    shortcuts: Annotated[
        bool | None,
        typer.Option("--stage-shortcuts/--no-stage-shortcuts", help="As the row has."),
    ] = None,
    channels: Annotated[int, typer.Option(min=1, max=3, help="1: grey, 3: RGB.")] = 1,
    work: Annotated[
        Path, typer.Option(help="Folder for checkpoints and pre-trained weights.")
    ] = Path("runs"),
    allow_leak: Annotated[
        bool,
        typer.Option(
            "--allow-leak", help="Train although test images leak; marked so."
        ),
    ] = False,
    eight_bit: Annotated[
        bool, typer.Option("--eight-bit", help="Store weights in 8 bits.")
    ] = False,
    device: Annotated[
        str,
        typer.Option(
            help="PyTorch device to train on: cpu, cuda or cuda:1; auto takes a CUDA "
            "GPU if there is one."
        ),
    ] = "auto",
    threads: ThreadsOption = None,
) -> None:
    """Train a network (needs the extra busnet[train]).

    A training that was stopped goes on where it was when it is started again.
    """
    try:
        import torch

        from busnet.training import run as training
        from busnet.training.recipe import RECIPES
    except ImportError as error:
        raise MissingExtraError(
            f"training needs the extra: pip install 'busnet[train]' ({error})"
        ) from None
    if recipe not in RECIPES:
        raise typer.BadParameter(
            f"is none of {', '.join(RECIPES)}", param_hint="--recipe"
        )
    use(threads)
    torch.set_num_threads(get_threads())
    changes: dict[str, Any] = {"channels": channels, "heads": heads.split(",")}
    if shortcuts is not None:
        changes["stage_shortcuts"] = shortcuts
    row = get_network(name, **changes)
    chosen = dataclasses.replace(RECIPES[recipe], seed=seed, frozen=frozen)
    if epochs is not None:
        chosen = chosen.shortened(epochs)
    held = f"fold{fold}" if fold is not None else "all"
    tag = f"{training.file_name(row)}-{protocol}-{held}-seed{seed}"
    if frozen:
        tag += f"-frozen{frozen}"
    target = out if out is not None else work / f"{tag}.safetensors"
    with progress() as bar:
        if pretrain is not None:
            start = training.pretrain(
                row,
                pretrain,
                start,
                work,
                _reporter(bar, "pre-training"),
                device=device,
            )
        job = training.Job(row, data, protocol, fold, chosen, start, device)
        info = training.run(
            job,
            target,
            checkpoint=work / f"{tag}.ckpt",
            report=_reporter(bar, "training"),
            allow_leak=allow_leak,
            eight_bit=eight_bit,
        )
    if info.provenance["leaks"]:
        messages.print(
            f"[bold red]LEAKY:[/] {info.provenance['leaks']} groups stand on both "
            f"sides of the split; the weights file says so"
        )
    messages.print(f"weights in {escape(str(target))}", soft_wrap=True)


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
