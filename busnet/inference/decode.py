"""From a network's outputs to the fields of a result."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypedDict

import numpy as np
import numpy.typing as npt

from busnet.images import Placement
from busnet.inference.pipeline import Outputs
from busnet.lesions import lesion_mask
from busnet.model_info import ModelInfo
from busnet.results import MALIGNANT

__all__ = ["Fields", "decode"]

FloatArray = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]


class Fields(TypedDict, total=False):
    """Fields of :class:`busnet.results.Prediction`, as far as they were computed."""

    label: str
    probabilities: dict[str, float]
    abstains: bool
    exceeds: dict[str, bool]
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
    fields = Fields()
    if "class" in outputs:
        logits = outputs["class"] / info.temperature
        trained = _named(info, _softmax(logits))
        shares = _softmax(logits.astype(np.float64) + _shift(info, prior))
        fields["label"] = info.classes[int(shares.argmax())]
        fields["probabilities"] = _named(info, shares)
        fields["abstains"] = bool(shares.max() < info.abstain_below)
        fields["exceeds"] = {
            name: trained.get(MALIGNANT, 0.0) >= threshold
            for name, threshold in info.operating_points.items()
        }
    if "mask" in outputs:
        probability = placement.restore(_sigmoid(outputs["mask"]))
        fields["lesion_probability"] = probability
        fields["mask"] = lesion_mask(probability, info.mask_threshold, info.lesion_peak)
    return fields


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
