"""Which arrays of a checkpoint fit a network, and how its stem is made to fit."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from busnet.errors import WeightsError

__all__ = ["Fit", "adapt_stem", "fit_arrays"]

FloatArray = npt.NDArray[np.float32]
Statistics = tuple[Sequence[float], Sequence[float]]

#: Parts of a network by the first word of their arrays' names.
_PARTS = {
    "conv1": "stem",
    "bn1": "stem",
    "fc": "class head",
    "lesion_fc": "lesion head",
    "decoder": "mask head",
}


@dataclasses.dataclass(frozen=True)
class Fit:
    """Which arrays of a checkpoint a network takes, part by part.

    Attributes
    ----------
    arrays
        Those that fit, by name.
    fresh
        Names of the arrays that start at random.
    parts
        The parts that are taken.
    reasons
        Why each of the other parts starts at random.
    unused
        The parts of the checkpoint that the network does not have.
    """

    arrays: Mapping[str, FloatArray]
    fresh: frozenset[str]
    parts: tuple[str, ...]
    reasons: Mapping[str, str]
    unused: tuple[str, ...]

    def __str__(self) -> str:
        """Return what is taken and what is not."""
        clauses = [f"taken: {', '.join(self.parts)}"]
        if self.reasons:
            fresh = (f"{part} ({reason})" for part, reason in self.reasons.items())
            clauses.append(f"fresh: {', '.join(fresh)}")
        if self.unused:
            clauses.append(f"not used: {', '.join(self.unused)}")
        return "; ".join(clauses)


def fit_arrays(
    name: str,
    arrays: Mapping[str, FloatArray],
    expected: Mapping[str, tuple[int, ...]],
    refused: Mapping[str, str],
) -> Fit:
    """Choose the arrays of a checkpoint that fit a network.

    A part is taken whole or not at all.

    Parameters
    ----------
    name
        What messages call the checkpoint.
    arrays
        Its arrays by name.
    expected
        Shapes of the network's arrays.
    refused
        Parts that are not taken, and why.

    Raises
    ------
    WeightsError
        If a stage does not fit, or an array that is taken is not finite or holds a
        negative variance.
    """
    reasons: dict[str, str] = {}
    parts: dict[str, list[str]] = {}
    for key, shape in expected.items():
        part = _part(key)
        parts.setdefault(part, []).append(key)
        reason = refused.get(part, "")
        if part in reasons or (not reason and _fits(arrays, key, shape)):
            continue
        if not any(_part(other) == part for other in arrays):
            reasons[part] = "there is none"
        else:
            reasons[part] = reason or _difference(arrays, key, shape)
        if part.startswith("layer"):
            raise WeightsError(f"{name}: {reasons[part]}")
    fitting = {
        key: arrays[key] for part in parts if part not in reasons for key in parts[part]
    }
    for key, array in fitting.items():
        if not np.isfinite(array).all():
            raise WeightsError(f"{name}: {key} holds numbers that are not finite")
        if key.endswith("running_var") and array.min() < 0:
            raise WeightsError(f"{name}: {key} holds a negative variance")
    others = dict.fromkeys(_part(key) for key in arrays)
    return Fit(
        fitting,
        frozenset(expected) - fitting.keys(),
        tuple(part for part in parts if part not in reasons),
        reasons,
        tuple(part for part in others if part not in parts),
    )


def _part(key: str) -> str:
    if ".shortcut." in key:
        return "stage shortcuts"
    first = key.partition(".")[0]
    return _PARTS.get(first, first)


def _fits(arrays: Mapping[str, FloatArray], key: str, shape: tuple[int, ...]) -> bool:
    return key in arrays and arrays[key].shape == shape


def _difference(
    arrays: Mapping[str, FloatArray], key: str, shape: tuple[int, ...]
) -> str:
    if key not in arrays:
        return f"{key} is missing"
    return f"{key} is {arrays[key].shape}, the network needs {shape}"


def adapt_stem(
    arrays: Mapping[str, FloatArray], theirs: Statistics, ours: Statistics
) -> dict[str, FloatArray]:
    """Return arrays whose stem computes the same under other statistics.

    A stem of three channels becomes one of grey images where ``ours`` is of one
    channel: the image goes to all three channels, whose weights are added up. What the
    means add is constant, apart from the image's border, and goes into the first norm.

    Parameters
    ----------
    arrays
        Arrays by name.
    theirs, ours
        Mean and std, one number a channel, that the stem was trained with, and that it
        will see.
    """
    stem, shift = arrays.get("conv1.weight"), arrays.get("bn1.running_mean")
    channels, target = len(theirs[0]), len(ours[0])
    if (
        stem is None
        or shift is None
        or stem.ndim != 4
        or stem.shape[1] != channels
        or target not in (1, channels)
        or (list(theirs[0]), list(theirs[1])) == (list(ours[0]), list(ours[1]))
    ):
        return dict(arrays)
    mean, std = (np.reshape(x, (1, -1, 1, 1)) for x in theirs)
    own_mean, own_std = (np.reshape(x, (1, -1, 1, 1)) for x in ours)
    scaled = stem.astype(np.float64) / std
    moved = (scaled * (mean - own_mean)).sum((1, 2, 3))
    scaled *= own_std
    if target < channels:
        scaled = scaled.sum(1, keepdims=True)
    return {
        **arrays,
        "conv1.weight": scaled.astype(np.float32),
        "bn1.running_mean": (shift + moved).astype(np.float32),
    }
