"""Probable near-duplicates among images: copies, also cropped and rescaled ones.

Each image is shrunk to a thumbnail and correlated with every other's: whole against
whole, and whole against crops of the other that lack a margin. On BUSI's 780 images,
whose duplicate groups are known (Pawlowska et al., Data in Brief 48:109247, 2023), the
threshold of 0.93 finds 244 of the 264 pairs of duplicates, and 97 % of the pairs that
it reports are duplicates. The threshold was chosen on these images, so expect less on
others; it misses heavy crops, mirrored copies, and frames of one scene between which
the probe moved.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image

__all__ = ["THRESHOLD", "Pair", "groups", "near_duplicates"]

#: Correlation from which two images probably show the same scene.
THRESHOLD = 0.93

#: Side of a thumbnail, and what crops lack at their margins, as shares of a side.
SIDE = 32
MARGINS = (0.08, 0.16)

#: Thumbnails that are correlated with all others at a time.
_BLOCK = 512

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
        The most alike first.
    """
    thumbnails = np.stack([_thumbnails(image) for image in images])
    whole, count = thumbnails[:, 0], len(thumbnails)
    pairs = []
    for start in range(0, count, _BLOCK):
        block = slice(start, min(start + _BLOCK, count))
        best = np.full((block.stop - start, count), -1, np.float32)
        for crop in range(thumbnails.shape[1]):
            np.maximum(best, whole[block] @ thumbnails[:, crop].T, out=best)
            np.maximum(best, thumbnails[block, crop] @ whole.T, out=best)
        for i, j in np.argwhere(best >= threshold):
            if start + i < j:
                pairs.append(Pair(int(start + i), int(j), float(best[i, j])))
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
        for top, left, bottom, right in _crops()
    ]
    stacked = np.stack(rows)
    stacked = stacked - stacked.mean(1, keepdims=True)
    length = np.maximum(np.linalg.norm(stacked, axis=1, keepdims=True), 1e-6)
    return np.asarray(stacked / length, np.float32)
