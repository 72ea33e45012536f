"""``busnet audit``."""

from __future__ import annotations

import csv
import sys
from pathlib import Path
from typing import Annotated

import typer

from busnet import batch
from busnet.cli.common import USAGE, app, fail, messages, track
from busnet.data import duplicates
from busnet._io import atomic_write
from busnet.images import read_image


@app.command()
def audit(
    folder: Annotated[Path, typer.Argument(help="Folder of images.")],
    threshold: Annotated[
        float, typer.Option(min=0.5, max=1.0, help="Least correlation to report.")
    ] = duplicates.THRESHOLD,
    table: Annotated[
        Path | None,
        typer.Option("--groups", help="CSV table of images and groups to write."),
    ] = None,
    pattern: Annotated[
        str | None, typer.Option("--glob", help="What file names must match.")
    ] = None,
) -> None:
    """List probable near-duplicates, which must not be divided between folds.

    On BUSI's known groups it finds 92 % of the pairs; it misses heavy crops, mirrored
    copies and frames between which the probe moved.
    """
    sources = batch.collect([folder], pattern)
    if not sources:
        fail(f"no image files in {folder}", USAGE)
    images = (
        read_image(source.path).channels(1)
        for source in track(sources, len(sources), "reading")
    )
    pairs = duplicates.near_duplicates(images, threshold=threshold)
    writer = csv.writer(sys.stdout)
    writer.writerow(("first", "second", "correlation"))
    for pair in pairs:
        names = (sources[pair.first].path, sources[pair.second].path)
        writer.writerow((*names, f"{pair.correlation:.4f}"))
    numbers = duplicates.groups(pairs, len(sources))
    if table is not None:
        with atomic_write(table) as part, part.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(("image", "group"))
            writer.writerows(
                (source.path, number)
                for source, number in zip(sources, numbers, strict=True)
            )
    copies = len(sources) - len(set(numbers))
    messages.print(
        f"{len(pairs)} pairs among {len(sources)} images, which are "
        f"{len(set(numbers))} scenes; {copies} images are copies of others",
        soft_wrap=True,
    )
