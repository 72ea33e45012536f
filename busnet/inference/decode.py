"""From a network's outputs, or those of several, to the fields of a result."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TypedDict

import numpy as np
import numpy.typing as npt

from busnet.images import Placement
from busnet.inference.ensemble_info import EnsembleInfo
from busnet.inference.estimate import Estimate, estimate
from busnet.inference.pipeline import Outputs
from busnet.lesions import lesion_mask
from busnet.model_info import ModelInfo
from busnet.results import MALIGNANT

__all__ = ["Fields", "combine", "decode"]

FloatArray = npt.NDArray[np.float32]
Shares = Mapping[str, float]


class Fields(TypedDict, total=False):
    """Fields of :class:`busnet.results.Prediction`, as far as they were computed."""

    label: str
    probabilities: dict[str, float]
    abstains: bool
    exceeds: dict[str, bool]
    uncertainty: float
    mask: npt.NDArray[np.bool_]
    lesion_probability: FloatArray


def decode(
    info: ModelInfo,
    placement: Placement,
    outputs: Outputs,
    *,
    prior: Mapping[str, float] | None = None,
) -> Fields:
    """Return what an image's outputs mean.

    Parameters
    ----------
    info
        What the model is.
    placement
        Where the image and the network's square meet.
    outputs
        Of ``"class"``, logits (classes,), and ``"mask"``, lesion logits
        (size, size), those that were computed.
    prior
        Probability of each of the model's classes in the image's cohort, by name; see
        :class:`busnet.inference.Options`.
    """
    return combine(info, [estimate(info, placement, outputs, prior=prior)])


def combine(info: ModelInfo | EnsembleInfo, estimates: Sequence[Estimate]) -> Fields:
    """Return the fields of a result from what one network or several say.

    Parameters
    ----------
    info
        What the model or the ensemble is.
    estimates
        One, or one for each member: all of the same image and the same outputs.
        Probabilities are their means; thresholds apply to these.
    """
    fields = Fields()
    shares = [e.probabilities for e in estimates if e.probabilities is not None]
    trained = [e.trained for e in estimates if e.trained is not None]
    if shares:
        mean = {name: _mean(shares, name) for name in info.classes}
        malignancy = _mean(trained, MALIGNANT) if MALIGNANT in mean else 0.0
        fields["label"] = max(mean, key=mean.__getitem__)
        fields["probabilities"] = mean
        fields["abstains"] = max(mean.values()) < info.abstain_below
        fields["exceeds"] = {
            name: malignancy >= threshold
            for name, threshold in info.operating_points.items()
        }
        if isinstance(info, EnsembleInfo):
            fields["uncertainty"] = _mutual_information(mean, shares)
    maps = [e.lesion_probability for e in estimates if e.lesion_probability is not None]
    if maps:
        probability = _mean_map(maps)
        fields["lesion_probability"] = probability
        fields["mask"] = lesion_mask(probability, info.mask_threshold, info.lesion_peak)
    return fields


def _mean(shares: Sequence[Shares], name: str) -> float:
    return math.fsum(share[name] for share in shares) / len(shares)


def _mutual_information(mean: Shares, shares: Sequence[Shares]) -> float:
    """Return the mutual information of class and member, in nats.

    The entropy of the mean minus the mean of the entropies: 0 where all members agree,
    at most the logarithm of their number (Depeweg et al., ICML 2018).
    """
    inner = math.fsum(map(_entropy, shares)) / len(shares)
    return max(0.0, _entropy(mean) - inner)


def _entropy(shares: Shares) -> float:
    return -math.fsum(p * math.log(p) for p in shares.values() if p > 0)


def _mean_map(maps: Sequence[FloatArray]) -> FloatArray:
    if len(maps) == 1:
        return maps[0]
    total = maps[0].copy()
    for other in maps[1:]:
        total += other
    return np.asarray(total / np.float32(len(maps)), np.float32)
