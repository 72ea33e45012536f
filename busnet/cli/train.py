"""``busnet train``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from busnet.cli.common import ThreadsOption, app, check_output, split_names, use
from busnet.errors import requires_extra
from busnet.experiments import train as experiment

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
    Path | None,
    typer.Option(
        callback=check_output, help="Weights file to write; by default in --work."
    ),
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
    str | None,
    typer.Option(
        help="Where the weights start: a shipped model's name, a file of busnet's, of "
        "torchvision's or timm's weights, torchvision (its ImageNet weights), or a "
        "folder of partial ImageNet weights."
    ),
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
ImageSizeOption = Annotated[
    int | None,
    typer.Option(
        min=64, max=4096, help="Image size of the model instead of the recipe's."
    ),
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
    image_size: ImageSizeOption = None,
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

    A training that was stopped goes on where it was when it is started again, and one
    that is finished is not done again.
    """
    check_recipe(recipe)
    if fold is not None and leave_out is not None:
        raise typer.BadParameter(
            "a fold and a whole source cannot both be held out", param_hint="--fold"
        )
    use(threads)
    experiment.train(
        data,
        network=name,
        fold=fold if fold is not None else leave_out,
        protocol=protocol,
        start=start,
        recipe=recipe,
        epochs=epochs,
        image_size=image_size,
        frozen=frozen,
        seed=seed,
        heads=split_names(heads),
        stage_shortcuts=shortcuts,
        pooling=pooling,
        channels=channels,
        out=out,
        work=work,
        allow_leak=allow_leak,
        eight_bit=eight_bit,
        device=device,
    )


def check_recipe(name: str) -> None:
    """Leave where there is no recipe of this name."""
    with requires_extra("train"):
        from busnet.training.recipe import RECIPES
    if name not in RECIPES:
        raise typer.BadParameter(
            f"is not one of {', '.join(RECIPES)}", param_hint="--recipe"
        )
