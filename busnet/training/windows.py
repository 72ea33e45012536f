"""Windows: which part of an image a draw shows, the whole or a crop.

**Lesion-free crops** lie in one of the four strips around the lesion: above, below, to
the left and to the right of it.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from busnet.data import NORMAL_INDEX
from busnet.training.examples import Examples

__all__ = ["Flags", "Floats", "Integers", "Windows"]

#: How far the sides of a lesion-free window may differ, long to short.
MAX_ASPECT = 2.0

#: Share of a lesion's height and width that a crop shows at least.
MIN_IN_VIEW = 0.75

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]


class Windows:
    """Draws windows of examples, in shares of the square's side.

    Parameters
    ----------
    examples
        The examples; the pixels are not used.
    min_crop
        Smallest side of a crop, as a share of the image's shorter side.
    margin
        Distance that a lesion-free crop keeps from the lesion, as a share of the
        image's longer side; None where there are no such crops.

    Attributes
    ----------
    has_room
        Whether an example has room for a lesion-free crop, (N,).
    """

    def __init__(
        self, examples: Examples, *, min_crop: float, margin: float | None
    ) -> None:
        self._examples = examples
        self._min_crop = min_crop
        self._strips = np.zeros((len(examples), 4, 4))
        if margin is not None:
            self._strips = _lesion_free_strips(examples, min_crop, margin)
        self.has_room: Flags = np.asarray((self._strips[..., 2] > 0).any(1))

    def draw(
        self,
        rng: np.random.Generator,
        index: Integers,
        free: Flags,
        cropped: Flags,
    ) -> Floats:
        """Return what each draw sees: the whole image, or a crop of it."""
        boxes = self._examples.frames[index].astype(np.float64)
        boxes[free] = self._lesion_free_windows(rng, index[free])
        boxes[cropped] = self._crops(rng, index[cropped])
        centre = (boxes[:, :2] + boxes[:, 2:]) / 2
        return np.concatenate((centre, boxes[:, 2:] - boxes[:, :2]), 1)

    def _lesion_free_windows(self, rng: np.random.Generator, index: Integers) -> Floats:
        """Return boxes beside the lesion: in one of the four strips around it."""
        if not index.size:
            return np.zeros((0, 4))
        strips = self._strips[index]
        areas = strips[..., 2] * strips[..., 3]
        bounds = np.cumsum(areas, 1)
        pick = (rng.random(len(index))[:, None] * bounds[:, -1:] >= bounds).sum(1)
        strip = strips[np.arange(len(index)), np.minimum(pick, 3)]
        low = _min_sides(self._examples.frames[index], self._min_crop)
        high, wide = (
            low + rng.random(len(index)) * np.maximum(strip[:, i] - low, 0)
            for i in (2, 3)
        )
        high, wide = (
            np.minimum(high, wide * MAX_ASPECT),
            np.minimum(wide, high * MAX_ASPECT),
        )
        top = strip[:, 0] + rng.random(len(index)) * (strip[:, 2] - high)
        left = strip[:, 1] + rng.random(len(index)) * (strip[:, 3] - wide)
        return np.stack((top, left, top + high, left + wide), 1)

    def _crops(self, rng: np.random.Generator, index: Integers) -> Floats:
        """Return boxes with the lesion in view, as large as lesion-free ones."""
        frames = self._examples.frames[index].astype(np.float64)
        lesions = self._examples.lesions[index].astype(np.float64)
        sides = self._crop_sides(rng, index)
        whole = frames[:, 2:] - frames[:, :2]
        sides = np.maximum(sides, MIN_IN_VIEW * (lesions[:, 2:] - lesions[:, :2]))
        # A lesion that nobody outlined may be anywhere.
        somewhere = ~self._examples.has_lesion[index]
        hidden = somewhere & (self._examples.labels[index] != NORMAL_INDEX)
        sides[hidden] = whole[hidden]
        sides = np.minimum(sides, whole)
        first = np.minimum(lesions[:, :2], lesions[:, 2:] - sides)
        last = np.maximum(lesions[:, :2], lesions[:, 2:] - sides)
        first[somewhere], last[somewhere] = 0, 1
        lowest, highest = frames[:, :2], frames[:, 2:] - sides
        first, last = (np.clip(end, lowest, highest) for end in (first, last))
        corner = first + rng.random(first.shape) * (last - first)
        return np.concatenate((corner, corner + sides), 1)

    def _crop_sides(self, rng: np.random.Generator, index: Integers) -> Floats:
        """Return heights and widths of crops, (N, 2): half of them a lesion-free one's.

        The others are anything from the smallest side to the whole.
        """
        frames = self._examples.frames[index].astype(np.float64)
        low = _min_sides(frames, self._min_crop)[:, None]
        sides = low + rng.random((len(index), 2)) * (
            frames[:, 2:] - frames[:, :2] - low
        )
        alike = rng.random(len(index)) < 0.5
        sources = self._examples.sources
        for source in np.unique(sources[index]):
            pool = np.flatnonzero(self.has_room & (sources == source))
            here = np.flatnonzero(alike & (sources[index] == source))
            if pool.size and here.size:
                boxes = self._lesion_free_windows(rng, rng.choice(pool, here.size))
                sides[here] = boxes[:, 2:] - boxes[:, :2]
        return sides


def _min_sides(frames: npt.NDArray[np.floating], share: float) -> Floats:
    """Return the smallest side of a crop in each frame, (N,)."""
    return np.asarray((frames[:, 2:] - frames[:, :2]).min(1) * share, np.float64)


def _lesion_free_strips(examples: Examples, min_crop: float, margin: float) -> Floats:
    """Return top, left, height and width of what lies above, below, left and right.

    (N, 4, 4); zeros where a strip is too narrow, or the lesion is not known.
    """
    frames = examples.frames.astype(np.float64)
    lesions = examples.lesions.astype(np.float64)
    distance = margin * (frames[:, 2:] - frames[:, :2]).max(1)
    top, left, bottom, right = frames.T
    high, wide = bottom - top, right - left
    above, before = lesions[:, 0] - distance - top, lesions[:, 1] - distance - left
    under, behind = lesions[:, 2] + distance, lesions[:, 3] + distance
    strips = np.stack(
        (
            np.stack((top, left, above, wide), 1),
            np.stack((under, left, bottom - under, wide), 1),
            np.stack((top, left, high, before), 1),
            np.stack((top, behind, high, right - behind), 1),
        ),
        1,
    )
    low = _min_sides(frames, min_crop)[:, None]
    usable = (strips[..., 2:] >= low[..., None]).all(2)
    usable &= (examples.masked & examples.has_lesion)[:, None]
    strips[~usable] = 0
    return np.asarray(strips)
