"""What is read off the validation cases: temperature, thresholds, lesion peak."""

from __future__ import annotations

import dataclasses

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax

from busnet.lesions import components
from busnet.model_info import ModelInfo

__all__ = [
    "abstention",
    "calibrated",
    "fit_lesion_peak",
    "fit_temperature",
    "operating_point",
]

#: Temperatures among which the best is sought.
_BOUNDS = (0.2, 5.0)

#: Sensitivities for malignant whose thresholds are kept.
SENSITIVITIES = (0.90, 0.95)

#: Peaks among which one is sought; 0 leaves the mask as it is. With higher ones models
#: of BUSI lose lesions of other scanners, of which they are less sure (BUS-BRA).
PEAKS = (0.0, *np.arange(0.51, 0.901, 0.01).round(2))

#: How much worse than the best a peak may be, to be preferred because it is lower.
PEAK_SLACK = 0.002

#: What abstention is for: so many of the kept cases are right, and half are kept.
KEPT_ACCURACY, LEAST_KEPT = 0.95, 0.5

Logits = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int64]


def calibrated(info: ModelInfo, logits: Logits, labels: Labels) -> ModelInfo:
    """Return a description with all that validation logits (N, C) decide filled in."""
    temperature = fit_temperature(logits, labels)
    shares = softmax(logits / temperature, axis=1)
    points = {}
    if "malignant" in info.classes:
        malignant = info.classes.index("malignant")
        for wanted in SENSITIVITIES:
            scores = shares[labels == malignant, malignant]
            if scores.size:
                points[f"sensitivity {wanted:.2f}"] = operating_point(scores, wanted)
    return dataclasses.replace(
        info,
        temperature=temperature,
        operating_points=points,
        abstain_below=abstention(shares, labels),
    )


def fit_lesion_peak(
    probabilities: npt.NDArray[np.float32],
    masks: npt.NDArray[np.bool_],
    threshold: float,
) -> float:
    """Return the lowest peak with which lesion probabilities fit masks (N, H, W) best.

    By the mean Dice of the images, an empty mask that is right counted as 1 and any
    other one without overlap as 0; .002 less counts as no worse.
    """
    dice = np.array(
        [
            _dice_by_peak(probability, mask, threshold)
            for probability, mask in zip(probabilities, masks, strict=True)
        ]
    )
    means = dice.mean(0)
    return float(PEAKS[int(np.argmax(means >= means.max() - PEAK_SLACK))])


def _dice_by_peak(
    probability: npt.NDArray[np.float32], mask: npt.NDArray[np.bool_], threshold: float
) -> npt.NDArray[np.float64]:
    """Return the Dice of one image for each of the peaks."""
    peaks, size = np.array(PEAKS), np.count_nonzero(mask)
    predicted = probability >= threshold
    if not predicted.any():
        return np.full(len(peaks), float(size == 0))
    inner, labels, count = components(predicted)
    reached = np.zeros(count + 1)
    np.maximum.at(reached, labels, probability[inner])
    areas = np.bincount(labels.ravel(), minlength=count + 1)
    overlaps = np.bincount(labels[mask[inner]], minlength=count + 1)
    kept = reached[None, 1:] >= peaks[:, None]
    both, total = kept @ overlaps[1:], kept @ areas[1:] + size
    return np.where(total == 0, 1.0, 2 * both / np.maximum(total, 1))


def fit_temperature(logits: Logits, labels: Labels) -> float:
    """Return the temperature that makes labels (N,) likeliest under logits (N, C).

    Guo et al., On calibration of modern neural networks, ICML 2017. Sought in 0.2..5.
    """
    rows = np.arange(len(labels))

    def loss(log_temperature: float) -> float:
        scaled = log_softmax(logits / np.exp(log_temperature), axis=1)
        return float(-scaled[rows, labels].mean())

    found = minimize_scalar(loss, bounds=np.log(_BOUNDS), method="bounded")
    return float(np.exp(found.x))


def operating_point(scores: npt.NDArray[np.float64], sensitivity: float) -> float:
    """Return the highest threshold that this share of malignant scores reaches."""
    ordered = np.sort(scores)[::-1]
    return float(ordered[int(np.ceil(sensitivity * len(ordered) - 1e-9)) - 1])


def abstention(shares: npt.NDArray[np.float64], labels: Labels) -> float:
    """Return the top probability below which a model had better abstain.

    The lowest one above which 95 % of the validation cases are right; 0 (never) if
    that would keep fewer than half of them.
    """
    top, right = shares.max(1), shares.argmax(1) == labels
    for threshold in (0.0, *np.sort(top)):
        kept = top >= threshold
        if kept.mean() < LEAST_KEPT:
            break
        if right[kept].mean() >= KEPT_ACCURACY:
            return float(threshold)
    return 0.0
