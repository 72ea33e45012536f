"""``busnet convert``."""

from __future__ import annotations

import enum
from pathlib import Path
from typing import Annotated

import typer

from busnet.cli.common import USAGE, app, check_output, fail, parse_shares, say
from busnet.images import Resize
from busnet.model_info import ModelInfo


class Interpolation(str, enum.Enum):
    """How images are resized."""

    bilinear = "bilinear"
    bicubic = "bicubic"


class Variant(str, enum.Enum):
    """Where bottlenecks stride."""

    v1 = "v1"
    v1_5 = "v1.5"


def parse_resize(text: str) -> Resize:
    """Return ``letterbox``, a number, or the two of ``HEIGHTxWIDTH``."""
    if text == "letterbox":
        return "letterbox"
    try:
        sides = [int(side) for side in text.lower().split("x")]
    except ValueError:
        sides = []
    if len(sides) == 1:
        return sides[0]
    if len(sides) == 2:
        return sides[0], sides[1]
    raise typer.BadParameter(
        f"{text!r} is not letterbox, N or HxW", param_hint="--resize"
    )


def parse_numbers(text: str, option: str) -> tuple[float, ...]:
    """Return the numbers of a list with commas."""
    try:
        return tuple(float(number) for number in text.split(","))
    except ValueError:
        raise typer.BadParameter(
            f"{text!r} is not numbers with commas", param_hint=option
        ) from None


@app.command()
def convert(
    weights: Annotated[
        Path,
        typer.Argument(
            help="State dict or checkpoint of a torchvision or timm ResNet: "
            ".safetensors, or .pth, .pt, .ckpt (PyTorch needed)."
        ),
    ],
    classes: Annotated[
        str,
        typer.Option(
            help="Names of the classes with commas, in the order of the outputs; "
            "ImageFolder sorts them."
        ),
    ],
    out: Annotated[
        Path,
        typer.Option(callback=check_output, help="The .safetensors file to write."),
    ],
    network: Annotated[
        str | None,
        typer.Option(help="Network that it must be; by default the arrays say."),
    ] = None,
    image_size: Annotated[
        int, typer.Option(help="Side of the square that the network sees, pixels.")
    ] = 224,
    resize: Annotated[
        str | None,
        typer.Option(
            metavar="N|HxW|letterbox",
            help="Size of the shorter side, or of the image, before the centre crop; "
            "or letterbox. By default image size / 0.875.",
        ),
    ] = None,
    interpolation: Annotated[
        Interpolation, typer.Option(help="How images are resized, antialiased.")
    ] = Interpolation.bilinear,
    mean: Annotated[
        str | None,
        typer.Option(
            metavar="M,...",
            help="Means, one a channel; by default ImageNet's.",
        ),
    ] = None,
    std: Annotated[
        str | None,
        typer.Option(
            metavar="S,...",
            help="Standard deviations, one a channel; by default ImageNet's.",
        ),
    ] = None,
    variant: Annotated[
        Variant | None,
        typer.Option(
            help="v1.5 if bottlenecks stride in their 3x3 convolution, as in "
            "torchvision and timm; v1 if in their first 1x1."
        ),
    ] = None,
    class_shares: Annotated[
        dict[str, float] | None,
        typer.Option(
            parser=parse_shares,
            metavar="CLASS=P,...",
            help="Class shares of the training data, such as benign=0.6,malignant=0.4, "
            "from which --prior of other commands starts; by default all the same.",
        ),
    ] = None,
) -> None:
    """Make a model of a ResNet that was trained in PyTorch.

    No code of the file is executed.
    """
    from busnet.convert import convert as write

    if out.suffix != ".safetensors":
        fail(f"{out}: a model's file ends in .safetensors", USAGE)
    info = write(
        weights,
        out,
        classes=[name.strip() for name in classes.split(",")] if classes else [],
        network=network,
        image_size=image_size,
        resize=None if resize is None else parse_resize(resize),
        interpolation=interpolation.value,
        mean=None if mean is None else parse_numbers(mean, "--mean"),
        std=None if std is None else parse_numbers(std, "--std"),
        variant=None if variant is None else variant.value,
        class_shares=class_shares,
    )
    say(f"written: {out}: {info.network.name}, {', '.join(info.classes)}")
    for line in describe(info):
        say(f"  {line}")


def describe(info: ModelInfo) -> list[str]:
    """Return what a converted file says, as lines: what was assumed among it."""
    converted = info.provenance["converted"]
    channels = info.network.channels
    return [
        f"keys: {converted['keys']}",
        f"strides: {converted['strides']}",
        f"images: {info.preprocessing}, {'grey' if channels == 1 else 'RGB'}",
        f"mean {_join(info.mean)}, std {_join(info.std)}",
        "probabilities: not calibrated",
        f"class shares that a prior starts from: {_describe_shares(info)}",
        "training data: unknown; whether an image was trained on cannot be checked",
    ]


def _describe_shares(info: ModelInfo) -> str:
    """Return the class shares that a prior starts from, in words."""
    if info.provenance["converted"]["class_shares"] == "assumed":
        return "all the same, assumed"
    return ", ".join(f"{name} {share:g}" for name, share in info.class_shares.items())


def _join(numbers: tuple[float, ...]) -> str:
    return ", ".join(f"{number:.4g}" for number in numbers)
