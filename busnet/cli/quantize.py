"""``busnet quantize``."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Annotated

import typer

from busnet import batch
from busnet.cli.cases import read_cases
from busnet.cli.common import (
    FAILED,
    USAGE,
    GlobOption,
    PathsArgument,
    ThreadsOption,
    app,
    check_output,
    fail,
    list_failures,
    say,
    use,
)
from busnet.cli.models import OneModelOption, one_model
from busnet.data import get_protocol
from busnet.errors import DataError
from busnet.experiments.progress import track
from busnet.images import Picture
from busnet.model_info import ModelInfo
from busnet.models import DEFAULT, find_model
from busnet.weights import read_info

#: Reads one image.
Reader = Callable[[], Picture]


@app.command()
def quantize(
    images: PathsArgument,
    out: Annotated[
        Path,
        typer.Option(callback=check_output, help="The .safetensors file to write."),
    ],
    model: OneModelOption = DEFAULT,
    protocol: Annotated[
        str | None,
        typer.Option(
            help="How a data set is used, whose folder or table stands in the place of "
            "images (several as NAME=PATH): what the model's training held out is left "
            "out here, too."
        ),
    ] = None,
    count: Annotated[
        int, typer.Option("--count", min=1, help="Images to draw of those.")
    ] = 300,
    seed: Annotated[int, typer.Option(help="Which are drawn.")] = 0,
    pattern: GlobOption = None,
    threads: ThreadsOption = None,
) -> None:
    """Calibrate a model for int8: write it with the scales of its activations.

    Files that cannot be read are listed, others are drawn in their place, and the
    command ends with status 1.
    """
    from busnet import quantization

    use(threads)
    path = find_model(one_model(model, "quantize"))
    if out.suffix != ".safetensors":
        fail(f"{out}: a model's file ends in .safetensors", USAGE)
    readers, data = (
        _files(images, pattern)
        if protocol is None
        else _cases(images, protocol, read_info(path))
    )
    random.Random(seed).shuffle(readers)
    failures: list[str] = []
    pictures = _read(readers, count, failures)
    total = min(count, len(readers))
    used = quantization.quantize(
        path, track(pictures, total, "calibrating"), out, data=data
    )
    say(f"written: {out}, calibrated on {used} images of {data}")
    list_failures("files failed", failures)
    if failures:
        raise typer.Exit(FAILED)


def _read(
    readers: Iterable[Reader], count: int, failures: list[str]
) -> Iterator[Picture]:
    """Yield images until there are enough; those that cannot be read are noted."""
    for reader in readers:
        if count == 0:
            return
        try:
            picture = reader()
        except Exception as error:
            failures.append(str(error) or type(error).__name__)
        else:
            count -= 1
            yield picture


def _files(paths: list[Path], pattern: str | None) -> tuple[list[Reader], str]:
    """Return the readers of image files, of clips those of their first frames."""

    def reader(source: batch.Source) -> Reader:
        return lambda: batch.read_first(source)

    selection = batch.collect(paths, pattern)
    if summary := selection.summary():
        say(summary)
    if not selection.sources:
        raise DataError(f"{', '.join(map(str, paths))}: there are no images")
    return [reader(source) for source in selection.sources], "your own"


def _cases(paths: list[Path], name: str, info: ModelInfo) -> tuple[list[Reader], str]:
    """Return the images of a protocol that are not held out for tests.

    Raises
    ------
    DataError
        If training held out a part of a source of another name, which may be this one.
    """
    from busnet.evaluation.leakage import default_fold, trained_sources

    protocol = get_protocol(name)
    used = protocol.use(read_cases([str(path) for path in paths]))
    sources = {case.source for case in used}
    fold = default_fold(info, name, sources)
    if fold is None:
        divisions = {protocol.division(source) for source in sources} - {None}
        for seen in trained_sources(info.provenance):
            if seen.division in divisions and seen.source not in sources:
                raise DataError(
                    f"the model's training held out fold {seen.fold} of "
                    f"{seen.source!r}, but the images are of "
                    f"{', '.join(map(repr, sorted(sources)))}; if they are the same, "
                    f"name them {seen.source}=PATH, else calibrate without --protocol"
                )
        fold = protocol.only_fold
    test = [] if fold is None else protocol.test_cases(used, fold)
    held_out = {id(case) for case in test}
    readers = [case.read_image for case in used if id(case) not in held_out]
    return readers, name if fold is None else f"{name} without fold {fold}"
