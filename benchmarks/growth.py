"""How time grows with pixels and files: at 1, 10 and 100 times today's sizes.

    python benchmarks/growth.py [--factors 1 10 100] [--json FILE] [NAME ...]

The last column is the exponent of the growth between the first and the last size: 1 is
proportional, 2 quadratic. Only the audit may be above 1.2: it compares every image with
every other. Times are of this process on the CPU, the best of some repetitions.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
from common import cpu_name

#: Prepares a size, and returns what is timed.
Preparation = Callable[[int, Path], Callable[[], object]]

#: Exponent from which a growth is marked.
STEEP = 1.2


def shape_of(pixels: int) -> tuple[int, int]:
    """Return height and width, 3 to 4, of an image with about this number of pixels."""
    height = round(math.sqrt(pixels * 3 / 4))
    return height, round(height * 4 / 3)


def disc(pixels: int, shift: float = 0.0) -> np.ndarray:
    """Return a mask with a disc that covers a tenth of it."""
    height, width = shape_of(pixels)
    y, x = np.ogrid[:height, :width]
    centre = width * (0.5 + shift)
    return (y - height / 2) ** 2 + (x - centre) ** 2 < 0.1 * pixels / math.pi


def time_outline(pixels: int, folder: Path) -> Callable[[], object]:
    """Outline a disc, as wide as an overlay of the size has it."""
    from busnet.rendering import outline

    mask = disc(pixels)
    return lambda: outline(mask, max(1, round(max(mask.shape) / 200)))


def time_overlay(pixels: int, folder: Path) -> Callable[[], object]:
    """Outline, draw and write an overlay of noise, which compresses badly."""
    from busnet.batch.png import save_png
    from busnet.rendering import draw_compact

    mask = disc(pixels)
    image = np.random.default_rng(0).random(mask.shape, np.float32) * np.float32(0.9)
    return lambda: save_png(folder / "overlay.png", draw_compact(image, mask))


def time_lesions(pixels: int, folder: Path) -> Callable[[], object]:
    """Measure the components of noise: one for about thirteen pixels."""
    from busnet.lesions import find_lesions

    probability = np.random.default_rng(0).random(shape_of(pixels), np.float32)
    mask = probability < 0.2
    return lambda: find_lesions(mask, probability)


def time_distances(pixels: int, folder: Path) -> Callable[[], object]:
    """Compare two discs: Dice, HD95 and ASSD."""
    from busnet.evaluation.overlap import compare_masks

    truth, predicted = disc(pixels), disc(pixels, 0.05)
    return lambda: compare_masks(truth, predicted)


def documents(count: int) -> list[dict]:
    """Return documents of predictions."""
    lesion = {
        "box": [10, 20, 110, 170],
        "area_px": 12000,
        "centre_px": [60.0, 95.0],
        "axes_px": [150.0, 100.0],
        "circularity": 0.9,
        "probability": 0.8,
    }
    return [
        {
            "file": f"scans/{i:06}.png",
            "height": 480,
            "width": 640,
            "label": "benign",
            "probabilities": {"normal": 0.1, "benign": 0.7, "malignant": 0.2},
            "abstains": False,
            "exceeds": {},
            "lesions": [lesion],
            "consistent": True,
            "mask": f"masks/{i:06}_mask.png",
            "overlay": f"overlays/{i:06}_overlay.png",
        }
        for i in range(count)
    ]


def table_of(count: int):
    """Return a table of predictions."""
    from busnet.batch.table import Table

    info = SimpleNamespace(
        classes=("normal", "benign", "malignant"),
        network=SimpleNamespace(name="resnet18"),
        provenance={},
    )
    return Table(info, documents(count))


def time_gallery(count: int, folder: Path) -> Callable[[], object]:
    """Write the page of overlays."""
    from busnet.batch.gallery import write_gallery

    table = table_of(count)
    return lambda: write_gallery(folder / "gallery.html", table)


def time_tables(count: int, folder: Path) -> Callable[[], object]:
    """Write predictions as CSV and JSON."""
    table = table_of(count)

    def write() -> None:
        for form in ("csv", "json"):
            with (folder / f"predictions.{form}").open("w") as file:
                table.write(file, form)

    return write


def time_journal(count: int, folder: Path) -> Callable[[], object]:
    """Note files in the journal, stop, and resume."""
    from busnet.batch import Source
    from busnet.batch.journal import Journal

    written = documents(count)
    for document in written:
        del document["mask"], document["overlay"]
    sources = [Source(folder / f"{i:06}.png", f"{i:06}") for i in range(count)]
    for source in sources:
        source.path.touch()

    def run() -> None:
        journal = Journal(folder, {})
        for source, document in zip(sources, written, strict=True):
            journal.begin(source)
            journal.add(source, [document])
        journal.close(finished=False)
        again = Journal(folder, {})
        assert all(again.find(source) for source in sources)
        again.close(finished=True)

    return run


def time_collect(count: int, folder: Path) -> Callable[[], object]:
    """Find files in a folder, and look up each by its name."""
    from busnet.batch import collect

    paths = [folder / f"{i:06}.png" for i in range(count)]
    for path in paths:
        path.touch()

    def run() -> None:
        assert len(collect([folder]).sources) == len(collect(paths).sources) == count

    return run


def time_audit(count: int, folder: Path) -> Callable[[], object]:
    """Compare each image with every other."""
    from busnet.data.duplicates import near_duplicates

    def images():
        generator = np.random.default_rng(0)
        for _ in range(count):
            yield generator.random((96, 128), np.float32)

    return lambda: near_duplicates(images())


def time_bootstrap(count: int, folder: Path) -> Callable[[], object]:
    """Compute the intervals of all figures, 100 draws."""
    from busnet.data import CLASSES
    from busnet.evaluation.intervals import intervals
    from busnet.evaluation.scores import CaseScore, Scores

    generator = np.random.default_rng(0)
    scores = Scores(
        CaseScore(
            name=str(i),
            group=str(i // 2),
            fold=0,
            label=CLASSES[i % 3],
            probabilities=tuple(generator.dirichlet((1, 1, 1)).tolist()),
            lesion=i % 3 > 0,
            predicted=True,
            area=0.05 * (i % 3 > 0),
            dice=float(generator.random()),
            iou=float(generator.random()),
        )
        for i in range(count)
    )
    return lambda: intervals(scores, count=100)


#: What is timed: today's size, the unit of sizes, and how it is prepared.
TIMED: dict[str, tuple[int, str, Preparation]] = {
    "outline": (480 * 640, "pixels", time_outline),
    "overlay": (480 * 640, "pixels", time_overlay),
    "lesions": (480 * 640, "pixels", time_lesions),
    "distances": (480 * 640, "pixels", time_distances),
    "gallery": (1000, "files", time_gallery),
    "tables": (1000, "files", time_tables),
    "journal": (1000, "files", time_journal),
    "collect": (1000, "files", time_collect),
    "audit": (50, "images", time_audit),
    "bootstrap": (100, "cases", time_bootstrap),
}


def seconds_of(function: Callable[[], object]) -> float:
    """Return the shortest CPU time of a call, of up to five within two seconds."""
    durations: list[float] = []
    while len(durations) < 5 and sum(durations) < 2:
        start = time.process_time()
        function()
        durations.append(time.process_time() - start)
    return min(durations)


def main() -> None:
    """Time what is named, or everything, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(TIMED))
    parser.add_argument("--factors", type=int, nargs="+", default=[1, 10, 100])
    parser.add_argument("--json", type=Path, help="file to write")
    options = parser.parse_args()
    unknown = set(options.names) - set(TIMED)
    if unknown:
        parser.error(f"unknown: {', '.join(sorted(unknown))}")
    print(f"{cpu_name()}, {os.cpu_count()} cores, seconds")
    headings = [f"x{factor}" for factor in options.factors]
    print(f"| what | size | {' | '.join(headings)} | exponent |")
    print(f"|---|---|{'---|' * len(headings)}---|")
    results = {}
    for name in options.names or TIMED:
        size, unit, prepare = TIMED[name]
        durations = []
        for factor in options.factors:
            with tempfile.TemporaryDirectory() as folder:
                durations.append(seconds_of(prepare(factor * size, Path(folder))))
        span = math.log(options.factors[-1] / options.factors[0]) or 1.0
        exponent = math.log(max(durations[-1], 1e-9) / max(durations[0], 1e-9)) / span
        mark = " (steep)" if exponent > STEEP else ""
        cells = " | ".join(f"{seconds:.4g}" for seconds in durations)
        print(
            f"| {name} | {size} {unit} | {cells} | {exponent:.2f}{mark} |", flush=True
        )
        results[name] = {"size": size, "unit": unit, "seconds": durations}
    if options.json:
        options.json.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
