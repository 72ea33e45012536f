"""Speed of several models on this machine, measured alternately."""

from __future__ import annotations

import dataclasses
import os
import platform
import random
import statistics
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from busnet.data import Case
from busnet.errors import BusnetError, ImageError, ModelError, WeightsError
from busnet.images import Picture
from busnet.model import Model, load, load_temporary
from busnet.quantization import quantize

__all__ = ["Timing", "cpu_name", "measure_speed"]

#: Images by which a model is calibrated that only its time is wanted of.
CALIBRATION = 8


@dataclasses.dataclass(frozen=True)
class Timing:
    """Milliseconds of a forward pass of one image: the shortest, and the median."""

    minimum: float
    median: float

    def __str__(self) -> str:
        """Return both with one decimal."""
        return f"{self.minimum:.1f} / {self.median:.1f}"


def cpu_name() -> str:
    """Return the CPU's name as the system gives it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.split(":", 1)[1] for line in lines if line.startswith("model name")]
    return names[0].strip() if names else platform.processor() or platform.machine()


def measure_speed(
    models: Mapping[str, Path], cases: Sequence[Case], *, rounds: int = 20
) -> dict[str, dict[str, Timing]]:
    """Time forward passes of one image, all models alternating.

    Parameters
    ----------
    models
        Weights files by the name of the row.
    cases
        Images by which models that are not calibrated for int8 are calibrated for the
        timing alone; the calibrated weights are not kept.
    rounds
        How often each model runs.

    Returns
    -------
    dict
        By row, by precision (``"f32"``, ``"int8"`` where the CPU has it): the time.
    """
    loaded: dict[tuple[str, str], Model] = {}
    for name, path in models.items():
        loaded[name, "f32"] = load(path)
        try:
            loaded[name, "int8"] = _load_int8(path, cases)
        except (ModelError, ImageError, OSError):
            continue  # a CPU without int8, or a disk without room
    durations = _alternate(loaded.values(), rounds)
    times: dict[str, dict[str, Timing]] = {name: {} for name in models}
    for (name, precision), seconds in zip(loaded, durations, strict=True):
        times[name][precision] = Timing(
            1e3 * min(seconds), 1e3 * statistics.median(seconds)
        )
    return times


def _alternate(models: Iterable[Model], rounds: int) -> list[list[float]]:
    """Return the seconds of each model's runs, the first ones left out."""
    calls = []
    for model in models:
        size, channels = model.info.image_size, model.info.network.channels
        image = np.random.default_rng(0).random((1, size, size, channels), np.float32)
        calls.append((model, image))
    durations: list[list[float]] = [[] for _ in calls]
    for number in range(rounds + 2):
        for seconds, (model, image) in zip(durations, calls, strict=True):
            start = time.perf_counter()
            model.run(image)
            if number >= 2:
                seconds.append(time.perf_counter() - start)
    return durations


def _load_int8(path: Path, cases: Sequence[Case]) -> Model:
    """Load a model in int8, calibrated for the timing where it is not."""
    try:
        return load(path, precision="int8")
    except WeightsError:
        pass
    chosen = random.Random(0).sample(list(cases), len(cases))
    pictures: list[Picture] = []
    for case in chosen:
        if len(pictures) == CALIBRATION:
            break
        try:
            pictures.append(case.read_image())
        except BusnetError:
            continue

    def write(target: Path) -> None:
        quantize(os.fspath(path), pictures, target, data="for timing")

    return load_temporary(write, precision="int8")
