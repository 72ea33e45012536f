"""Weights files: safetensors whose metadata holds all that a model is.

Arrays have torchvision's state-dict names. A convolution or linear weight may be stored
as 8-bit integers with a float scale for each output channel, in an array of the same
name with ``.scale`` behind it; everything else is float32 or float16. What the model is
stands as JSON under the metadata key ``busnet``.
"""

from __future__ import annotations

import dataclasses
import json
import math
import os
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from busnet import _core
from busnet._io import atomic_write
from busnet.engine import cache
from busnet.errors import MissingWeightsError, UnknownNetworkError, WeightsError
from busnet.networks import Counter, Network, build, network

__all__ = ["ModelInfo", "calibrate", "load", "read_arrays", "read_info", "save"]

FORMAT = 1
KEY = "busnet"
SCALE = ".scale"

#: What a convolution has besides where the model was calibrated for int8, in float32:
#: the real number that a step of its result stands for, (1,), and the mean of each
#: channel of its operand, (channels,).
OUTPUT_SCALE, INPUT_MEAN = ".output_scale", ".input_mean"

#: What the metadata must say; everything else has a default.
_REQUIRED = frozenset(("network", "classes", "image_size", "mean", "std"))

#: Bytes read from the mapped file before it is mapped anew, so that what was read does
#: not stay in memory beside what was made of it.
_WINDOW = 32 << 20

Arrays = Mapping[str, npt.NDArray[Any]]


@dataclasses.dataclass(frozen=True)
class ModelInfo:
    """What a weights file says of its model.

    Attributes
    ----------
    network
        The row that the arrays fit.
    classes
        Names of the classes, in the order of the logits.
    image_size
        Side of the square that images are letterboxed to, pixels.
    mean, std
        What the network normalises intensities in 0..1 by, one number a channel.
    temperature
        What class logits are divided by before the softmax (Guo et al., ICML 2017).
    mask_threshold
        Probability from which a pixel belongs to a lesion.
    lesion_peak
        Probability that a lesion reaches somewhere: connected components of the mask
        that nowhere do are left out (hysteresis thresholding; Canny, 1986).
    operating_points
        Thresholds on the malignancy score by name, such as ``"sensitivity 0.90"``.
    abstain_below
        Probability of the most probable class below which the model abstains.
    provenance
        Where the weights came from: data, split, seed, recipe, version.
    """

    network: Network
    classes: tuple[str, ...]
    image_size: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    temperature: float = 1.0
    mask_threshold: float = 0.5
    lesion_peak: float = 0.0
    operating_points: Mapping[str, float] = dataclasses.field(default_factory=dict)
    abstain_below: float = 0.0
    provenance: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse what no model can be."""
        if len(self.classes) < 1 or len(set(self.classes)) != len(self.classes):
            raise WeightsError(f"classes {self.classes} are empty or not distinct")
        if not 32 <= self.image_size <= 4096:
            raise WeightsError(f"image size {self.image_size} is not in 32..4096")
        for name, numbers in (("mean", self.mean), ("std", self.std)):
            if len(numbers) != self.network.channels:
                raise WeightsError(
                    f"{name} has {len(numbers)} numbers, the network takes "
                    f"{self.network.channels} channels"
                )
        if not all(map(math.isfinite, self.mean)):
            raise WeightsError(f"mean {self.mean} is not finite")
        if not all(0 < s < math.inf for s in self.std):
            raise WeightsError(f"std {self.std} is not positive and finite")
        if not 0 < self.temperature < math.inf:
            raise WeightsError(f"temperature {self.temperature} is not positive")
        if not 0 < self.mask_threshold < 1:
            raise WeightsError(f"mask threshold {self.mask_threshold} is not in 0..1")
        for name, point in {
            **self.operating_points,
            "abstain": self.abstain_below,
            "lesion peak": self.lesion_peak,
        }.items():
            if not 0 <= point <= 1:
                raise WeightsError(f"{name}: the threshold {point} is not in 0..1")

    def to_json(self) -> str:
        """Return the text that the file's metadata holds."""
        document = dataclasses.asdict(self)
        row = document.pop("network")
        return json.dumps(
            {"format": FORMAT, "network": row, **document}, sort_keys=True
        )

    @classmethod
    def from_json(cls, text: str) -> ModelInfo:
        """Read what :meth:`to_json` wrote.

        Raises
        ------
        WeightsError
            If a field is missing, unknown, or of another type.
        UnknownNetworkError
            If the network's name is unknown.
        """
        try:
            document = json.loads(text)
        except ValueError as error:
            raise WeightsError(f"the metadata is no JSON: {error}") from None
        if not isinstance(document, dict) or document.get("format") != FORMAT:
            raise WeightsError(f"the metadata is not of format {FORMAT}")
        fields = {field.name for field in dataclasses.fields(cls)} | {"format"}
        odd = (set(document) - fields) | (_REQUIRED - set(document))
        if odd:
            raise WeightsError(
                f"the metadata has unknown or lacks fields: {', '.join(sorted(odd))}"
            )
        try:
            row = dict(document["network"])
            return cls(
                network=_network(row),
                classes=tuple(_strings(document["classes"])),
                image_size=int(document["image_size"]),
                mean=tuple(float(x) for x in document["mean"]),
                std=tuple(float(x) for x in document["std"]),
                temperature=float(document.get("temperature", 1.0)),
                mask_threshold=float(document.get("mask_threshold", 0.5)),
                lesion_peak=float(document.get("lesion_peak", 0.0)),
                operating_points={
                    str(k): float(v)
                    for k, v in document.get("operating_points", {}).items()
                },
                abstain_below=float(document.get("abstain_below", 0.0)),
                provenance=dict(document.get("provenance", {})),
            )
        except (WeightsError, UnknownNetworkError):
            raise
        except (TypeError, ValueError, AttributeError, KeyError) as error:
            raise WeightsError(
                f"the metadata has a field of a wrong type: {error}"
            ) from None


def _strings(values: Any) -> list[str]:
    if not isinstance(values, list) or not all(isinstance(v, str) for v in values):
        raise WeightsError(f"classes must be a list of names, not {values!r}")
    return values


def _network(row: dict[str, Any]) -> Network:
    """Make a row of the table with the changes that the metadata states."""
    name = row.pop("name")
    if not isinstance(name, str):
        raise WeightsError(f"the network's name is {name!r}")
    made = network(name)
    depths = tuple(int(depth) for depth in row.pop("depths", made.depths))
    block = row.pop("block", made.block)
    if depths != made.depths or block != made.block:
        raise WeightsError(
            f"{name} has {made.block} blocks {made.depths}, not {block} {depths}"
        )
    return network(name, **row)


def _graph_arrays(info: ModelInfo) -> dict[str, tuple[int, ...]]:
    counter = Counter()
    build(info.network, counter, classes=len(info.classes))
    return counter.arrays


def _calibration_arrays(info: ModelInfo) -> dict[str, tuple[int, ...]]:
    arrays: dict[str, tuple[int, ...]] = {}
    for name, shape in _graph_arrays(info).items():
        if len(shape) == 4:
            layer = name.removesuffix(".weight")
            arrays[layer + OUTPUT_SCALE] = (1,)
            arrays[layer + INPUT_MEAN] = (shape[1],)
    return arrays


def save(
    path: str | os.PathLike[str],
    arrays: Arrays,
    info: ModelInfo,
    *,
    eight_bit: bool = False,
) -> None:
    """Write a weights file, whole or not at all.

    Parameters
    ----------
    path
        Where to.
    arrays
        Float arrays by name; exactly those of the network.
    info
        What the model is.
    eight_bit
        Store weights of rank 2 and 4 as 8-bit integers with a scale for each output
        channel: a quarter of the size, rounded to 1/254 of the channel's range.

    Raises
    ------
    WeightsError
        If an array is missing, extra, mis-shaped or not finite.
    """
    expected = _graph_arrays(info)
    _check_names(set(arrays), expected)
    stored: dict[str, npt.NDArray[Any]] = {}
    for name, shape in expected.items():
        array = np.ascontiguousarray(arrays[name], np.float32)
        if array.shape != shape:
            raise WeightsError(f"{name}: it is {array.shape}, expected {shape}")
        if not np.isfinite(array).all():
            raise WeightsError(f"{name}: it holds numbers that are not finite")
        if eight_bit and array.ndim in (2, 4):
            stored[name], stored[name + SCALE] = _to_eight_bit(array)
        else:
            stored[name] = array
    with atomic_write(path) as part:
        save_file(stored, part, {KEY: info.to_json()})


def calibrate(
    source: str | os.PathLike[str],
    path: str | os.PathLike[str],
    calibration: Arrays,
    info: ModelInfo,
) -> None:
    """Write a weights file again with what int8 needs, whole or not at all.

    Parameters
    ----------
    source
        The file to take all else from, stored as it is. ``path`` may be the same.
    path
        Where to.
    calibration
        For each convolution its :data:`OUTPUT_SCALE` and :data:`INPUT_MEAN`; they take
        the place of those that source has.
    info
        What the model is.

    Raises
    ------
    WeightsError
        If source is no whole weights file, or an array is missing, extra or mis-shaped.
    """
    expected = _calibration_arrays(info)
    _check_names(set(calibration), expected)
    stored: dict[str, npt.NDArray[Any]] = {}
    for key, array, scale in _stored(os.fspath(source), info):
        stored[key] = array
        if scale is not None:
            stored[key + SCALE] = scale
    for name, shape in expected.items():
        stored[name] = np.ascontiguousarray(calibration[name], np.float32)
        if stored[name].shape != shape:
            raise WeightsError(f"{name}: it is {stored[name].shape}, expected {shape}")
    with atomic_write(path) as part:
        save_file(stored, part, {KEY: info.to_json()})


def _to_eight_bit(
    array: npt.NDArray[np.float32],
) -> tuple[npt.NDArray[np.int8], npt.NDArray[np.float32]]:
    rows = array.reshape(array.shape[0], -1)
    scale = (np.abs(rows).max(axis=1) / 127).astype(np.float32)
    scale[scale == 0] = 1
    quantised = np.rint(rows / scale[:, None]).clip(-127, 127).astype(np.int8)
    return quantised.reshape(array.shape), scale


def read_info(path: str | os.PathLike[str]) -> ModelInfo:
    """Read a weights file's metadata alone.

    Raises
    ------
    MissingWeightsError
        If there is no such file.
    WeightsError, UnknownNetworkError
        If it is no weights file of busnet's, or its network is unknown.
    """
    name = os.fspath(path)
    with _opened(name) as file:
        metadata = file.metadata() or {}
    if KEY not in metadata:
        raise WeightsError(f"{name}: its metadata has no entry {KEY!r}")
    try:
        return ModelInfo.from_json(metadata[KEY])
    except (WeightsError, UnknownNetworkError) as error:
        raise type(error)(f"{name}: {error}") from None


def load(
    path: str | os.PathLike[str],
    *,
    threads: int = 1,
    precision: str = "f32",
    kept: bool = True,
) -> tuple[ModelInfo, _core.Weights]:
    """Read a weights file into the engine, with so many threads.

    ``precision`` is ``"f32"``, ``"exact"``, ``"bf16"`` or ``"int8"``; see
    ``_core.Weights``. Where the cache has packed weights of the file, these are taken
    instead, unless ``kept`` is false; a plan that needs others is a LookupError then.

    Raises
    ------
    MissingWeightsError
        If there is no such file.
    WeightsError
        If the file is truncated, or an array is missing, extra, mis-shaped, of an
        unknown type or not finite, or for int8 the model was not calibrated.
    UnknownNetworkError
        If its network is unknown.
    """
    name = os.fspath(path)
    info = read_info(name)
    if info.network.pooling == "lesion" and not hasattr(_core.Graph, "lesion_pool"):
        raise WeightsError(f"{name}: this engine has no pooling over the lesion")
    calibrated = precision == "int8"
    graph = _core.Graph()
    build(
        info.network,
        graph,
        classes=len(info.classes),
        mean=info.mean,
        std=info.std,
        features=True,
    )
    own = cache.model_folder(Path(name), precision)
    weights = _core.Weights(
        graph, threads=threads, precision=precision, cache=own, kept=kept
    )
    if weights.finished:
        return info, weights
    cache.prune()
    try:
        for key, array, scale in _stored(name, info, calibrated=calibrated):
            if scale is None:
                weights.set(key, np.ascontiguousarray(array, np.float32))
            else:
                weights.set(key, array, scale)
        weights.finish()
    except WeightsError:
        raise
    except ValueError as error:
        raise WeightsError(f"{name}: {error}") from None
    return info, weights


def read_arrays(
    path: str | os.PathLike[str], names: Collection[str] | None = None
) -> dict[str, npt.NDArray[np.float32]]:
    """Read arrays as float32, those stored in 8 bits expanded.

    ``names`` are those to read; by default all.
    """
    name = os.fspath(path)
    arrays = {}
    for key, array, scale in _stored(name, read_info(name), names):
        expanded = np.array(array, np.float32)
        if scale is not None:
            expanded *= scale.reshape(-1, *[1] * (array.ndim - 1))
        arrays[key] = expanded
    return arrays


def _check_names(names: set[str], expected: Mapping[str, Any], where: str = "") -> None:
    for difference, verb in (
        (set(expected) - names, "is missing"),
        (names - set(expected), "is not of the network"),
    ):
        if difference:
            first, more = min(difference), len(difference) - 1
            others = f" (and {more} more)" if more else ""
            raise WeightsError(f"{where}array {first} {verb}{others}")


def _stored(
    name: str,
    info: ModelInfo,
    names: Collection[str] | None = None,
    *,
    calibrated: bool = False,
) -> Iterator[tuple[str, npt.NDArray[Any], npt.NDArray[np.float32] | None]]:
    """Yield each array of the network as stored, with its scales if it is 8-bit.

    Those of the calibration follow where they are asked for.
    """
    expected = _graph_arrays(info)
    calibration = _calibration_arrays(info)
    with _opened(name) as file:
        keys = set(file.keys())
    if calibrated and keys.isdisjoint(calibration):
        raise WeightsError(
            f"{name}: the model was not calibrated for int8; busnet quantize does that"
        )
    if not keys.isdisjoint(calibration):
        _check_names(keys & calibration.keys(), calibration, f"{name}: ")
        keys -= calibration.keys()
    scaled = {key for key in expected if key + SCALE in keys}
    _check_names(keys - {key + SCALE for key in scaled}, expected, f"{name}: ")
    if calibrated:
        expected |= calibration
    remaining = [key for key in expected if names is None or key in names]
    while remaining:
        with _opened(name) as file:
            read = 0
            while remaining and read < _WINDOW:
                key = remaining.pop(0)
                array = _array(file, name, key)
                scale = _array(file, name, key + SCALE) if key in scaled else None
                if (array.dtype == np.int8) != (scale is not None):
                    raise WeightsError(
                        f"{name}: {key}: 8-bit integers need scales, and only they do"
                    )
                if scale is not None and scale.dtype != np.float32:
                    raise WeightsError(f"{name}: {key}{SCALE}: it is not float32")
                read += array.nbytes
                yield key, array, scale


def _array(file: Any, name: str, key: str) -> npt.NDArray[Any]:
    try:
        array: npt.NDArray[Any] = file.get_tensor(key)
    except (SafetensorError, TypeError, AttributeError, ValueError) as error:
        raise WeightsError(f"{name}: {key}: cannot be read: {error}") from None
    if array.dtype not in (np.float32, np.float16, np.int8):
        raise WeightsError(
            f"{name}: {key}: it is {array.dtype}; float32, float16 or int8 is expected"
        )
    return array


def _opened(name: str) -> Any:
    try:
        return safe_open(name, framework="numpy")
    except FileNotFoundError:
        raise MissingWeightsError(f"{name}: no such file") from None
    except (SafetensorError, OSError, ValueError) as error:
        raise WeightsError(f"{name}: not a whole safetensors file: {error}") from None
