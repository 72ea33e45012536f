"""Probable near-duplicates among images: copies, also cropped and rescaled ones.

Each image is shrunk to a thumbnail and correlated with every other's: whole against
whole, and whole against crops of the other that lack a margin. On BUSI's 780 images,
whose duplicate groups are known (Pawlowska et al., Data in Brief 48:109247, 2023), the
threshold of 0.93 finds 244 of the 264 pairs of duplicates, and 97 % of the pairs that
it reports are duplicates. The threshold was chosen on these images, so expect less on
others; it misses heavy crops, mirrored copies, and frames of one scene between which
the probe moved.

Time grows with the square of the number of images: on one core, 1,000 images take 3 s,
10,000 take 5 minutes. Memory does not: thumbnails are in a temporary file, 35 kB an
image.
"""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image

from busnet.errors import DataError

__all__ = ["MAX_PAIRS", "THRESHOLD", "Pair", "groups", "near_duplicates"]

#: Correlation from which two images probably show the same scene.
THRESHOLD = 0.93

#: Side of a thumbnail, and what crops lack at their margins, as shares of a side.
SIDE = 32
MARGINS = (0.08, 0.16)

#: Images whose thumbnails are correlated with as many others at a time.
_BLOCK = 256

#: Number of pairs above which the search ends.
MAX_PAIRS = 1_000_000

FloatArray = npt.NDArray[np.float32]


@dataclasses.dataclass(frozen=True)
class Pair:
    """Two images, by index, and their correlation; the first index is the lower."""

    first: int
    second: int
    correlation: float


def near_duplicates(
    images: Iterable[FloatArray], *, threshold: float = THRESHOLD
) -> list[Pair]:
    """Find pairs of grey images (H, W) that correlate at least by ``threshold``.

    Returns
    -------
    list of Pair
        Pairs of the highest correlation first.

    Raises
    ------
    DataError
        If there are more than :data:`MAX_PAIRS` pairs.
    """
    with tempfile.TemporaryFile(prefix="busnet-") as file:
        count = 0
        for image in images:
            file.write(_thumbnails(image).astype(np.float16).tobytes())
            count += 1
        file.flush()
        if not count:
            return []
        shape = (count, len(_CROPS), SIDE * SIDE)
        stored: npt.NDArray[np.float16] = np.memmap(
            file, np.float16, mode="r", shape=shape
        )
        return _pairs(stored, threshold)


def _pairs(stored: npt.NDArray[np.float16], threshold: float) -> list[Pair]:
    """Correlate thumbnails (images, crops, pixels), a block with a block at a time."""
    pairs: list[Pair] = []
    starts = range(0, len(stored), _BLOCK)
    for first in starts:
        rows = stored[first : first + _BLOCK].astype(np.float32)
        for second in starts[first // _BLOCK :]:
            columns = stored[second : second + _BLOCK].astype(np.float32)
            best = np.full((len(rows), len(columns)), -1, np.float32)
            for crop in range(stored.shape[1]):
                np.maximum(best, rows[:, 0] @ columns[:, crop].T, out=best)
                np.maximum(best, rows[:, crop] @ columns[:, 0].T, out=best)
            for i, j in np.argwhere(best >= threshold).tolist():
                if first + i < second + j:
                    pairs.append(Pair(first + i, second + j, float(best[i, j])))
            if len(pairs) > MAX_PAIRS:
                raise DataError(
                    f"there are more than {MAX_PAIRS:,} pairs of near-duplicates: most "
                    f"images are copies of others, or the threshold is too low"
                )
    return sorted(pairs, key=lambda pair: -pair.correlation)


def groups(pairs: Sequence[Pair], count: int) -> list[int]:
    """Return the number of each image's group, from 0 upwards, as the pairs join."""
    parent = list(range(count))

    def root(i: int) -> int:
        while parent[i] != i:
            i = parent[i]
        return i

    for pair in pairs:
        a, b = sorted((root(pair.first), root(pair.second)))
        parent[b] = a
    numbers: dict[int, int] = {}
    return [numbers.setdefault(root(i), len(numbers)) for i in range(count)]


def _crops() -> Iterator[tuple[float, float, float, float]]:
    """Yield (top, left, bottom, right) in shares of the sides, the whole first."""
    yield 0.0, 0.0, 1.0, 1.0
    for m in MARGINS:
        yield m, 0.0, 1.0, 1.0
        yield 0.0, m, 1.0, 1.0
        yield 0.0, 0.0, 1 - m, 1.0
        yield 0.0, 0.0, 1.0, 1 - m
        yield m, 0.0, 1 - m, 1.0
        yield 0.0, m, 1.0, 1 - m
        yield m, m, 1 - m, 1 - m
        yield m / 2, m / 2, 1 - m / 2, 1 - m / 2


_CROPS = tuple(_crops())


def _thumbnails(image: FloatArray) -> FloatArray:
    """Return standardised thumbnails of the image and its crops, (crops, pixels)."""
    height, width = image.shape
    source = Image.fromarray(np.ascontiguousarray(image, np.float32))
    rows = [
        np.asarray(
            source.resize(
                (SIDE, SIDE),
                Image.Resampling.BOX,
                box=(left * width, top * height, right * width, bottom * height),
            )
        ).ravel()
        for top, left, bottom, right in _CROPS
    ]
    stacked = np.stack(rows)
    stacked = stacked - stacked.mean(1, keepdims=True)
    length = np.maximum(np.linalg.norm(stacked, axis=1, keepdims=True), 1e-6)
    return np.asarray(stacked / length, np.float32)
