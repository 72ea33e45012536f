"""What one network says of an image, in probabilities."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from busnet.images import Placement
from busnet.inference.pipeline import Outputs
from busnet.model_info import ModelInfo

__all__ = ["Estimate", "estimate"]

FloatArray = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]


class Estimate(NamedTuple):
    """What one network says of an image, as far as it was computed.

    Attributes
    ----------
    trained
        Probability by class name under the class shares of training.
    probabilities
        Probability by class name under the prior.
    lesion_probability
        Of each pixel of the image, (H, W).
    """

    trained: Mapping[str, float] | None = None
    probabilities: Mapping[str, float] | None = None
    lesion_probability: FloatArray | None = None


def estimate(
    info: ModelInfo,
    placement: Placement,
    outputs: Outputs,
    *,
    prior: Mapping[str, float] | None = None,
) -> Estimate:
    """Return what an image's outputs mean; see :func:`busnet.inference.decode`."""
    trained = probabilities = lesion = None
    if "class" in outputs:
        logits = outputs["class"] / info.temperature
        trained = _named(info, _softmax(logits))
        shifted = logits.astype(np.float64) + _shift(info, prior)
        probabilities = _named(info, _softmax(shifted))
    if "mask" in outputs:
        lesion = placement.restore(_sigmoid(outputs["mask"]))
    return Estimate(trained, probabilities, lesion)


def _named(info: ModelInfo, shares: Doubles) -> dict[str, float]:
    return dict(zip(info.classes, shares.tolist(), strict=True))


def _shift(info: ModelInfo, prior: Mapping[str, float] | None) -> Doubles:
    """Return what a prior adds to the logits: log of prior over training share.

    Saerens, Latinne, Decaestecker, Neural Computation 14, 2002, equation 2.4: the
    posteriors are multiplied by the ratio of the priors and normalised again.
    """
    if prior is None:
        return np.zeros(len(info.classes))
    cohort = np.array([prior.get(name, 0.0) for name in info.classes])
    assumed = np.array([info.class_shares[name] for name in info.classes])
    with np.errstate(divide="ignore"):
        return np.asarray(np.log(cohort) - np.log(assumed), np.float64)


def _softmax(logits: FloatArray | Doubles) -> Doubles:
    powers = np.exp(logits.astype(np.float64) - logits.max())
    return np.asarray(powers / powers.sum())


def _sigmoid(logits: FloatArray) -> FloatArray:
    """Logistic function by way of tanh, which never overflows."""
    half = np.tanh(logits * np.float32(0.5))
    half += np.float32(1)
    half *= np.float32(0.5)
    return half
