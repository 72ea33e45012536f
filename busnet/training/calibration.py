"""What is read off the validation cases: temperature, operating points, abstention."""

from __future__ import annotations

import dataclasses

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax

from busnet.weights import ModelInfo

__all__ = ["abstention", "calibrated", "fit_temperature", "operating_point"]

#: Temperatures among which the best is sought.
_BOUNDS = (0.2, 5.0)

#: Sensitivities for malignant whose thresholds are kept.
SENSITIVITIES = (0.90, 0.95)

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
