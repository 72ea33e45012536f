"""Post-training quantisation: what int8 needs to know of a model's activations."""

from __future__ import annotations

import dataclasses
import itertools
import os
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from busnet import weights
from busnet.engine.session import BATCH_SIZE, Session
from busnet.errors import ImageValueError
from busnet.images import ImageLike, read
from busnet.inference.pipeline import groups, place_all
from busnet.models import find_model

__all__ = ["Calibration", "best_step", "quantize"]

#: Bins of sizes to a factor of two, and the power of two where they begin; see
#: ``_core.Plan.observe``.
_BINS, _FIRST = 64, -20

#: Largest integers of activations that a ReLU made, and of those that have a sign.
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

    The model runs in float32 on the images. Two things are recorded of each
    convolution: the sizes of its results, for which the step of 8 bits is the one whose
    squared error, of rounding and of clipping together, is the smallest; and the mean
    of each channel of its operand, by which the bias corrects the rounding of the
    weights (Nagel et al., ICCV 2019). Weights are rounded when the model is loaded, by
    channel, to 8 bits or, on CPUs that sum products of 8 bits in 16 only, to 7.

    Parameters
    ----------
    model
        Shipped name or path of the model.
    images
        Some 300 of the kind that the model is for, never those that it is tested on;
        paths, arrays or others that :meth:`Model.predict` takes. Of a DICOM frame the
        largest tissue region is taken, where the file names them.
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
    WeightsError
        If the model's file was changed meanwhile.
    """
    session = Session(find_model(model), precision="exact")
    size, channels = session.info.image_size, session.info.network.channels
    heads = session.info.network.heads
    several = [images] if isinstance(images, (str, os.PathLike)) else images
    pictures = (
        picture.part(picture.views()[0])
        for picture in itertools.chain.from_iterable(map(read, several))
    )
    calibration = Calibration()
    for group in groups(pictures, BATCH_SIZE[session.precision]):
        with session.buffers.zeros((len(group), size, size, channels)) as batch:
            place_all(group, batch, session.info.preprocessing)
            plan = session.plan(len(group), (size, size), heads)
            calibration.add(plan.observe(batch), len(group))
    info = dataclasses.replace(
        session.info,
        provenance={
            **session.info.provenance,
            "calibration": {"images": calibration.count, "data": data},
        },
    )
    session.check_unchanged()
    weights.calibrate(session.path, path, calibration.arrays(), info)
    return calibration.count


class Calibration:
    """Statistics of a model's activations, over images.

    Attributes
    ----------
    count
        Images so far.
    """

    def __init__(self) -> None:
        self._means: dict[str, Doubles] = {}
        self._sizes: dict[str, Counts] = {}
        self._largest: dict[str, int] = {}
        self.count = 0

    def add(
        self, observed: Iterable[tuple[str, bool, Doubles, Counts]], images: int
    ) -> None:
        """Add what ``_core.Plan.observe`` returned for a batch of ``images``."""
        for layer, relu, means, sizes in observed:
            self._largest[layer] = _UNSIGNED if relu else _SIGNED
            self._means[layer] = self._means.get(layer, 0) + images * means
            self._sizes[layer] = self._sizes.get(layer, 0) + sizes
        self.count += images

    def arrays(self) -> dict[str, npt.NDArray[np.float32]]:
        """Return the arrays that a calibrated model's file holds besides."""
        if self.count == 0:
            raise ImageValueError("there is no image to calibrate with")
        arrays = {}
        for layer, sizes in self._sizes.items():
            step = best_step(sizes, self._largest[layer])
            arrays[layer + weights.OUTPUT_SCALE] = np.array([step], np.float32)
            means = self._means[layer] / self.count
            arrays[layer + weights.INPUT_MEAN] = means.astype(np.float32)
        return arrays


def best_step(sizes: Counts, largest: int) -> float:
    """Return the step whose multiples 0 to ``largest`` are the nearest to the numbers.

    Parameters
    ----------
    sizes
        Count of the numbers in each bin of sizes; see ``_core.Plan.observe``.
    largest
        The largest multiple.

    Returns
    -------
    float
        Of the steps whose largest multiple is the end of a bin, the one with the
        smallest squared error; 1 where all numbers are zero.
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
    steps = edges[first + 1 : used[-1] + 2] / largest
    errors = [_error(step, middles, sizes, largest) for step in steps]
    return float(steps[int(np.argmin(errors))])


def _error(step: float, middles: Doubles, sizes: Counts, largest: int) -> float:
    """Return the squared error of all numbers together."""
    reach = step * largest
    # Numbers below half a step become zero; the errors of others are uniform.
    rounding = np.where(middles < step / 2, middles**2, step**2 / 12)
    squares = np.where(middles <= reach, rounding, (middles - reach) ** 2)
    return float(squares @ sizes)
