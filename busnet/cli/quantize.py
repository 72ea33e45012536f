"""``busnet quantize``."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from busnet import batch
from busnet.cli.common import (
    USAGE,
    ModelOption,
    ThreadsOption,
    app,
    fail,
    messages,
    track,
    use,
)
from busnet.data import get_protocol, read_sources, recognise
from busnet.errors import DataError
from busnet.images import Picture, read_image
from busnet.model import DEFAULT, find
from busnet.model_info import ModelInfo
from busnet.weights import read_info

Readers = list[Callable[[], Picture]]


@app.command()
def quantize(
    images: Annotated[
        list[Path],
        typer.Argument(
            help="Images of the kind that the model is for, as predict takes them; "
            "with --protocol the folder or table of the data set."
        ),
    ],
    out: Annotated[Path, typer.Option(help="The .safetensors file to write.")],
    model: ModelOption = DEFAULT,
    protocol: Annotated[
        str | None,
        typer.Option(
            help="How the data set is used: the fold that the model's training held "
            "out is left out here, too."
        ),
    ] = None,
    count: Annotated[
        int, typer.Option("--count", min=1, help="Images to draw of those.")
    ] = 300,
    seed: Annotated[int, typer.Option(help="Which are drawn.")] = 0,
    threads: ThreadsOption = None,
) -> None:
    """Calibrate a model for int8: write it with the scales of its maps."""
    from busnet import quantization

    use(threads)
    path = find(model)
    if out.suffix != ".safetensors":
        fail(f"{out}: a model's file ends in .safetensors", USAGE)
    readers, data = (
        _sources(images)
        if protocol is None
        else _cases(images, protocol, read_info(path))
    )
    random.Random(seed).shuffle(readers)
    drawn = readers[:count]
    pictures = (reader() for reader in drawn)
    quantization.quantize(
        path, track(pictures, len(drawn), "calibrating"), out, data=data
    )
    messages.print(
        f"written: {escape(str(out))}, calibrated on {len(drawn)} images of {data}",
        soft_wrap=True,
    )


def _sources(paths: list[Path]) -> tuple[Readers, str]:
    def reader(path: Path) -> Callable[[], Picture]:
        return lambda: read_image(path)

    sources = batch.collect(paths)
    if not sources:
        raise DataError(f"{', '.join(map(str, paths))}: there are no images")
    return [reader(source.path) for source in sources], "your own"


def _cases(paths: list[Path], name: str, info: ModelInfo) -> tuple[Readers, str]:
    """Return the images of a protocol that are not to be tested on."""
    from busnet.evaluation.leakage import default_fold

    if len(paths) != 1:
        fail("with --protocol there is one path, that of the data set", USAGE)
    chosen = get_protocol(name)
    fold = default_fold(info, name)
    cases = [
        case
        for case in chosen.use(read_sources({recognise(paths[0]): paths[0]}))
        if fold is None or case.fold != fold
    ]
    left_out = "" if fold is None else f" without fold {fold}"
    return [case.read_image for case in cases], f"{name}{left_out}"
