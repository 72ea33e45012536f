"""Weights files: safetensors whose metadata holds all that a model is.

Arrays have torchvision's state-dict names. A convolution or linear weight may be stored
as 8-bit integers with a float scale for each output channel, in an array of the same
name with ``.scale`` behind it; everything else is float32 or float16. What the model is
stands as JSON under the metadata key ``busnet``.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from busnet._io import atomic_write, output_errors
from busnet.errors import MissingWeightsError, UnknownNetworkError, WeightsError
from busnet.model_info import ModelInfo
from busnet.networks import Counter, build

__all__ = [
    "calibrate",
    "is_weights_file",
    "read_arrays",
    "read_info",
    "read_stored",
    "save",
]

KEY = "busnet"
SCALE = ".scale"

#: Further arrays of a convolution in a model that is calibrated for int8, float32:
#: the real number that a step of its result stands for, (1,), and the mean of each
#: channel of its operand, (channels,).
OUTPUT_SCALE, INPUT_MEAN = ".output_scale", ".input_mean"

#: Bytes read from the mapped file before it is mapped anew, so that what was read does
#: not stay in memory beside what was made of it.
_WINDOW = 32 << 20

Arrays = Mapping[str, npt.NDArray[Any]]


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
    OutputError
        If the file cannot be written.
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
    _write(path, stored, info)


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
    OutputError
        If the file cannot be written.
    """
    expected = _calibration_arrays(info)
    _check_names(set(calibration), expected)
    stored: dict[str, npt.NDArray[Any]] = {}
    for key, array, scale in read_stored(source, info):
        stored[key] = array
        if scale is not None:
            stored[key + SCALE] = scale
    for name, shape in expected.items():
        stored[name] = np.ascontiguousarray(calibration[name], np.float32)
        if stored[name].shape != shape:
            raise WeightsError(f"{name}: it is {stored[name].shape}, expected {shape}")
    _write(path, stored, info)


def _write(
    path: str | os.PathLike[str],
    stored: Mapping[str, npt.NDArray[Any]],
    info: ModelInfo,
) -> None:
    text = info.to_json()
    with output_errors(Path(path)), atomic_write(path) as part:
        try:
            save_file(dict(stored), part, {KEY: text})
        except SafetensorError as error:  # a full disk, say
            raise OSError(str(error)) from error


def _to_eight_bit(
    array: npt.NDArray[np.float32],
) -> tuple[npt.NDArray[np.int8], npt.NDArray[np.float32]]:
    rows = array.reshape(array.shape[0], -1)
    scale = (np.abs(rows).max(axis=1) / 127).astype(np.float32)
    scale[scale == 0] = 1
    quantised = np.rint(rows / scale[:, None]).clip(-127, 127).astype(np.int8)
    return quantised.reshape(array.shape), scale


def is_weights_file(path: str | os.PathLike[str]) -> bool:
    """Tell whether a safetensors file is one of busnet's.

    Raises
    ------
    WeightsError
        If it is no whole safetensors file.
    """
    with _opened(os.fspath(path)) as file:
        return KEY in (file.metadata() or {})


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


def read_arrays(
    path: str | os.PathLike[str], names: Collection[str] | None = None
) -> dict[str, npt.NDArray[np.float32]]:
    """Read arrays as float32, those stored in 8 bits expanded.

    ``names`` are those to read; by default all.
    """
    name = os.fspath(path)
    arrays = {}
    for key, array, scale in read_stored(name, read_info(name), names):
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


def read_stored(
    path: str | os.PathLike[str],
    info: ModelInfo,
    names: Collection[str] | None = None,
    *,
    calibrated: bool = False,
) -> Iterator[tuple[str, npt.NDArray[Any], npt.NDArray[np.float32] | None]]:
    """Yield name and array of each that the network needs, as the file stores them.

    Parameters
    ----------
    path
        The file.
    info
        What :func:`read_info` read of it.
    names
        Those to read; by default all.
    calibrated
        Whether the arrays of the calibration for int8 follow.

    Yields
    ------
    tuple
        Name; array of float32, float16 or int8; scales (rows,) of an int8 array, else
        None.

    Raises
    ------
    WeightsError
        If the file is truncated, an array is missing, extra or of another type, or
        ``calibrated`` is asked for and the model was not calibrated.
    """
    name = os.fspath(path)
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
