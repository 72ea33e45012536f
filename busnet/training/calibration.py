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
    "case_weights",
    "fit_lesion_peak",
    "fit_temperature",
    "operating_point",
]

#: Temperatures among which the best is sought.
_BOUNDS = (0.2, 5.0)

#: Sensitivities for malignant that become operating points.
SENSITIVITIES = (0.90, 0.95)

#: Peaks among which one is sought; 0 leaves the mask as it is. With higher ones models
#: of BUSI lose lesions of other scanners, of which they are less sure (BUS-BRA).
PEAKS = (0.0, *np.arange(0.51, 0.901, 0.01).round(2))

#: How much worse than the best a peak may be, to be preferred because it is lower.
PEAK_SLACK = 0.002

#: Abstention: at least this share of the answered cases is right, and at least this
#: share of all cases is answered.
ANSWERED_ACCURACY, MIN_ANSWERED = 0.95, 0.5

Logits = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int64]
Weights = npt.NDArray[np.float64]


def case_weights(labels: Labels, sources: Labels) -> Weights:
    """Return weights (N,) of sum 1: each source alike, each class alike within one.

    Parameters
    ----------
    labels
        Indices of the classes, or of other kinds to count alike, (N,).
    sources
        Indices of the sources, (N,).
    """
    weights = np.zeros(len(labels))
    for source in np.unique(sources):
        here = sources == source
        classes, index, counts = np.unique(
            labels[here], return_inverse=True, return_counts=True
        )
        weights[here] = 1 / (len(classes) * counts[index])
    return np.asarray(weights / max(weights.sum(), 1e-12))


def calibrated(
    info: ModelInfo, logits: Logits, labels: Labels, sources: Labels | None = None
) -> ModelInfo:
    """Return a description with all that validation logits decide filled in.

    Parameters
    ----------
    info
        The description to complete.
    logits
        Of the classes, (N, C).
    labels
        Indices of the classes, (N,).
    sources
        Indices of the sources, (N,), which count alike; one source by default.
    """
    if sources is None:
        sources = np.zeros_like(labels)
    temperature = fit_temperature(logits, labels, sources)
    shares = softmax(logits / temperature, axis=1)
    weights = case_weights(labels, sources)
    points = {}
    if "malignant" in info.classes:
        malignant = labels == info.classes.index("malignant")
        scores = shares[malignant, info.classes.index("malignant")]
        for sensitivity in SENSITIVITIES:
            if scores.size:
                points[f"sensitivity {sensitivity:.2f}"] = operating_point(
                    scores, sensitivity, weights[malignant]
                )
    return dataclasses.replace(
        info,
        temperature=temperature,
        operating_points=points,
        abstain_below=abstention(shares, labels, weights),
    )


def fit_lesion_peak(
    probabilities: npt.NDArray[np.float32],
    masks: npt.NDArray[np.bool_],
    threshold: float,
    weights: Weights | None = None,
) -> float:
    """Return the lowest peak with which lesion probabilities fit masks (N, H, W) best.

    By the mean Dice of the images, weighted by ``weights`` (N,), an empty mask that is
    right counted as 1 and any other one without overlap as 0; .002 less counts as no
    worse.
    """
    dice = np.array(
        [
            _dice_by_peak(probability, mask, threshold)
            for probability, mask in zip(probabilities, masks, strict=True)
        ]
    )
    means = np.average(dice, axis=0, weights=weights)
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
    selected = reached[None, 1:] >= peaks[:, None]
    both, total = selected @ overlaps[1:], selected @ areas[1:] + size
    return np.where(total == 0, 1.0, 2 * both / np.maximum(total, 1))


def fit_temperature(
    logits: Logits, labels: Labels, sources: Labels | None = None
) -> float:
    """Return the temperature with which logits (N, C) fit labels (N,) best.

    Guo et al., On calibration of modern neural networks, ICML 2017. What is made small
    is the negative log-likelihood with the classes of a source counted alike: its mean
    over the sources (N,), plus that of the worst one, since the next hospital may be as
    far away as that one. Sought in 0.2..5.
    """
    rows = np.arange(len(labels))
    if sources is None:
        sources = np.zeros_like(labels)
    parts = [sources == source for source in np.unique(sources)]
    weights = [case_weights(labels[part], sources[part]) for part in parts]

    def loss(log_temperature: float) -> float:
        scaled = log_softmax(logits / np.exp(log_temperature), axis=1)
        losses = -scaled[rows, labels]
        means = [float(losses[p] @ w) for p, w in zip(parts, weights, strict=True)]
        return float(np.mean(means)) + max(means)

    minimum = minimize_scalar(loss, bounds=np.log(_BOUNDS), method="bounded")
    return float(np.exp(minimum.x))


def operating_point(
    scores: npt.NDArray[np.float64],
    sensitivity: float,
    weights: Weights | None = None,
) -> float:
    """Return the highest threshold that this share of malignant scores reaches.

    The share is of the sum of ``weights``, each case alike by default.
    """
    if weights is None:
        weights = np.ones(len(scores))
    order = np.argsort(-scores, kind="stable")
    reached = np.cumsum(weights[order]) / weights.sum()
    first = int(np.argmax(reached >= sensitivity - 1e-9))
    return float(scores[order[first]])


def abstention(
    shares: npt.NDArray[np.float64], labels: Labels, weights: Weights | None = None
) -> float:
    """Return the top probability below which a model had better abstain.

    The lowest one above which 95 % of the validation cases are right; 0 (never) if
    that would leave fewer than half of them. Cases count by ``weights``, alike by
    default.
    """
    if weights is None:
        weights = np.ones(len(labels))
    top, right = shares.max(1), shares.argmax(1) == labels
    order = np.argsort(top, kind="stable")
    # What is at or above each candidate: sums from the end, first of equal ones.
    total = np.cumsum(weights[order][::-1])[::-1]
    correct = np.cumsum((weights * right)[order][::-1])[::-1]
    first = np.searchsorted(top[order], top[order])
    candidates = np.concatenate(([0], first))
    for place, threshold in zip(candidates, (0.0, *top[order]), strict=True):
        if total[place] < MIN_ANSWERED * weights.sum() - 1e-12:
            break
        if correct[place] >= ANSWERED_ACCURACY * total[place] - 1e-12:
            return float(threshold)
    return 0.0
