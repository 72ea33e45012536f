"""Post-training quantisation: what int8 needs to know of a model's maps."""

from __future__ import annotations

import dataclasses
import itertools
import os
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from busnet import weights
from busnet.errors import ImageValueError
from busnet.images import ImageLike, iterate
from busnet.inference import forward
from busnet.model import load

__all__ = ["Calibration", "best_step", "quantize"]

#: Bins of sizes to a factor of two, and the power of two where they begin; see
#: ``_core.Plan.observe``.
_BINS, _FIRST = 64, -20

#: Largest integers of a map that a ReLU made and of one that has a sign.
_UNSIGNED, _SIGNED = 255, 127

Doubles = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]


def quantize(
    model: str | os.PathLike[str],
    images: Iterable[ImageLike],
    path: str | os.PathLike[str],
    *,
    data: str = "",
) -> int:
    """Calibrate a model for ``precision="int8"`` and write it, whole or not at all.

    The model runs in float32 on the images. Of each convolution it is noted how large
    its results are, and the step of 8 bits is the one with the least squared error over
    them, of rounding and of cutting off together; and which mean each channel of its
    operand has, by which the bias makes up for the rounding of the weights (Nagel et
    al., ICCV 2019). Weights are rounded when the model is loaded, by channel, to 8 bits
    or, on CPUs that sum products of 8 bits in 16 only, to 7.

    Parameters
    ----------
    model
        Shipped name or path of the model.
    images
        Some 300 of the kind that the model is for, never those that it is tested on;
        paths, arrays or others that :meth:`Model.predict` takes.
    path
        The file to write: the model's own arrays as they are, and the calibration.
    data
        Where the images are from, for the file's provenance.

    Returns
    -------
    int
        How many images there were.

    Raises
    ------
    ImageTypeError, ImageValueError, ImageFileError
        If an image cannot be used, or there is none.
    """
    loaded = load(model, exact=True)
    calibration = Calibration()

    def observe(batch: Any, *, outputs: Sequence[str], lane: int | None) -> Any:
        plan = loaded.plan(len(batch), batch.shape[1:3], outputs, lane=lane)
        return plan.observe(batch)

    heads = loaded.info.network.heads
    several = [images] if isinstance(images, str) else images
    pictures = itertools.chain.from_iterable(map(iterate, several))
    for boxes, seen in forward(
        loaded.info, observe, pictures, heads, lambda boxes, seen: (boxes, seen)
    ):
        calibration.add(seen, len(boxes))
    info = dataclasses.replace(
        loaded.info,
        provenance={
            **loaded.info.provenance,
            "calibration": {"images": calibration.count, "data": data},
        },
    )
    weights.calibrate(loaded.path, path, calibration.arrays(), info)
    return calibration.count


class Calibration:
    """What a model's maps hold, over images.

    Attributes
    ----------
    count
        Images so far.
    """

    def __init__(self) -> None:
        self._means: dict[str, Doubles] = {}
        self._sizes: dict[str, Counts] = {}
        self._most: dict[str, int] = {}
        self.count = 0

    def add(
        self, seen: Iterable[tuple[str, bool, Doubles, Counts]], images: int
    ) -> None:
        """Add what ``_core.Plan.observe`` has seen of so many images."""
        for layer, relu, means, sizes in seen:
            self._most[layer] = _UNSIGNED if relu else _SIGNED
            self._means[layer] = self._means.get(layer, 0) + images * means
            self._sizes[layer] = self._sizes.get(layer, 0) + sizes
        self.count += images

    def arrays(self) -> dict[str, npt.NDArray[np.float32]]:
        """Return the arrays that a calibrated model's file holds besides."""
        if self.count == 0:
            raise ImageValueError("there is no image to calibrate with")
        arrays = {}
        for layer, sizes in self._sizes.items():
            step = best_step(sizes, self._most[layer])
            arrays[layer + weights.OUTPUT_SCALE] = np.array([step], np.float32)
            means = self._means[layer] / self.count
            arrays[layer + weights.INPUT_MEAN] = means.astype(np.float32)
        return arrays


def best_step(sizes: Counts, most: int) -> float:
    """Return the step whose multiples 0 to ``most`` are the nearest to the numbers.

    Parameters
    ----------
    sizes
        How many numbers are of the size of each bin; see ``_core.Plan.observe``.
    most
        Number of steps.

    Returns
    -------
    float
        Of the steps that reach to the end of a bin the one with the least squared
        error; 1 where all numbers are zero.
    """
    edges = np.exp2(_FIRST + np.arange(len(sizes) + 1) / _BINS)
    # A bin's mean, its numbers taken to be spread evenly; the first one's are zeros.
    middles = (edges[1:] + edges[:-1]) / 2
    middles[0] = 0
    used = np.flatnonzero(sizes[1:]) + 1
    if not len(used):
        return 1.0
    # Smaller reaches than an eighth of the largest number are never better.
    first = max(used[-1] - 3 * _BINS, 0)
    steps = edges[first + 1 : used[-1] + 2] / most
    errors = [_error(step, middles, sizes, most) for step in steps]
    return float(steps[int(np.argmin(errors))])


def _error(step: float, middles: Doubles, sizes: Counts, most: int) -> float:
    """Return the squared error of all numbers together."""
    reach = step * most
    # Numbers below half a step become zero, others are as far off as chance has it.
    rounding = np.where(middles < step / 2, middles**2, step**2 / 12)
    squares = np.where(middles <= reach, rounding, (middles - reach) ** 2)
    return float(squares @ sizes)
