"""Figures from scores: one function for classes, one for masks.

Both take a weight for each case, so that a bootstrap replicate is a vector of counts.
Where scikit-learn has a metric, its own is used.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
from sklearn import metrics as sk

from busnet.data import CLASSES
from busnet.evaluation.scores import DETECTION_IOU, CaseScore, Scores

__all__ = [
    "BINS",
    "class_metrics",
    "confusion",
    "mask_metrics",
    "reliability",
    "size_groups",
]

#: Bins of equal width of the expected calibration error.
BINS = 15

#: Sensitivities and specificities at which the other one is given.
POINTS = (0.90, 0.95)

#: Limits of the lesion's share of the image between small, middle and large.
SIZE_LIMITS = (0.04, 0.12)

MALIGNANT = CLASSES.index("malignant")

Weights = npt.NDArray[np.float64]
Figures = dict[str, float]


def confusion(
    scores: Scores, weights: Weights | None = None
) -> npt.NDArray[np.float64]:
    """Count cases by true class (rows) and predicted class (columns)."""
    return np.asarray(
        sk.confusion_matrix(
            scores.labels,
            scores.probabilities.argmax(1),
            labels=range(len(CLASSES)),
            sample_weight=weights,
        ),
        np.float64,
    )


def class_metrics(
    labels: npt.NDArray[np.intp],
    probabilities: npt.NDArray[np.float64],
    weights: Weights | None = None,
) -> Figures:
    """Return the figures of a classification.

    Parameters
    ----------
    labels
        Index of the true class, (N,).
    probabilities
        (N, classes).
    weights
        How often each case counts, (N,); once by default.

    Returns
    -------
    dict
        Precision, recall and F1 of each class and their mean over the classes that
        occur, accuracy, balanced accuracy; for malignant against the rest AUC, average
        precision (AUPRC), sensitivity at stated specificities and the reverse; Brier
        score (sum over classes, 0..2), negative log-likelihood in nats, expected
        calibration error (:data:`BINS` bins of the top probability). A figure that is
        not defined (AUC with one class only) is NaN.
    """
    counts = np.ones(len(labels)) if weights is None else weights
    used = counts > 0
    labels, probabilities, counts = labels[used], probabilities[used], counts[used]
    guesses = probabilities.argmax(1)
    present = sorted(set(labels.tolist()))
    precision, recall, f1, _ = sk.precision_recall_fscore_support(
        labels,
        guesses,
        labels=range(len(CLASSES)),
        sample_weight=counts,
        zero_division=0.0,
    )
    figures = {
        "accuracy": float(np.average(guesses == labels, weights=counts)),
        "balanced accuracy": float(recall[present].mean()),
        "macro F1": float(f1[present].mean()),
    }
    for i in present:
        figures[f"{CLASSES[i]} precision"] = float(precision[i])
        figures[f"{CLASSES[i]} recall"] = float(recall[i])
        figures[f"{CLASSES[i]} F1"] = float(f1[i])
    figures.update(_malignant_metrics(labels == MALIGNANT, probabilities, counts))
    truth = np.eye(len(CLASSES))[labels]
    brier = ((probabilities - truth) ** 2).sum(1)
    likelihood = np.log(
        np.clip(probabilities[np.arange(len(labels)), labels], 1e-15, 1)
    )
    figures["Brier score"] = float(np.average(brier, weights=counts))
    figures["negative log-likelihood"] = float(-np.average(likelihood, weights=counts))
    bins = reliability(labels, probabilities, counts)
    figures["calibration error"] = float(
        sum(share * abs(right - sure) for share, right, sure in bins)
    )
    return figures


def _malignant_metrics(
    malignant: npt.NDArray[np.bool_],
    probabilities: npt.NDArray[np.float64],
    counts: Weights,
) -> Figures:
    score = probabilities[:, MALIGNANT]
    names = [f"sensitivity at specificity {p:.2f}" for p in POINTS]
    names += [f"specificity at sensitivity {p:.2f}" for p in POINTS]
    if malignant.all() or not malignant.any():
        return dict.fromkeys(["malignant AUC", "malignant AUPRC", *names], float("nan"))
    false, true, _ = sk.roc_curve(malignant, score, sample_weight=counts)
    values = [float(true[1 - false >= p - 1e-9].max()) for p in POINTS]
    values += [float((1 - false)[true >= p - 1e-9].max()) for p in POINTS]
    return {
        "malignant AUC": float(sk.auc(false, true)),
        "malignant AUPRC": float(
            sk.average_precision_score(malignant, score, sample_weight=counts)
        ),
        **dict(zip(names, values, strict=True)),
    }


def reliability(
    labels: npt.NDArray[np.intp],
    probabilities: npt.NDArray[np.float64],
    weights: Weights | None = None,
) -> list[tuple[float, float, float]]:
    """Return share of cases, accuracy and mean top probability of each bin in use."""
    counts = np.ones(len(labels)) if weights is None else weights
    top = probabilities.max(1)
    right = probabilities.argmax(1) == labels
    bins = np.minimum((top * BINS).astype(int), BINS - 1)
    found = []
    for i in np.unique(bins):
        inside = bins == i
        total = counts[inside].sum()
        if total > 0:
            found.append(
                (
                    float(total / counts.sum()),
                    float(np.average(right[inside], weights=counts[inside])),
                    float(np.average(top[inside], weights=counts[inside])),
                )
            )
    return found


def mask_metrics(
    scores: Iterable[CaseScore], weights: Weights | None = None
) -> Figures:
    """Return the figures of a segmentation.

    Returns
    -------
    dict
        Means over images with a lesion, and over those of each class and size: Dice,
        IoU; HD95 and ASSD in pixels over images where both masks hold pixels, and on
        how many distances are not defined; share of lesions found (IoU of at least
        0.1); on images without a lesion the share with a false positive. A mean over
        nothing is NaN.
    """
    cases = list(scores)
    counts = np.ones(len(cases)) if weights is None else weights
    pairs = [
        (c, w)
        for c, w in zip(cases, counts, strict=True)
        if c.dice is not None and w > 0
    ]
    lesions = [(c, w) for c, w in pairs if c.lesion]
    empty = [(c, w) for c, w in pairs if not c.lesion]
    both = [(c, w) for c, w in lesions if c.predicted]
    figures = {
        "Dice": _mean((c.dice, w) for c, w in lesions),
        "IoU": _mean((c.iou, w) for c, w in lesions),
        "HD95": _mean((c.hd95, w) for c, w in both),
        "ASSD": _mean((c.assd, w) for c, w in both),
        "no distance": _mean((not c.predicted, w) for c, w in lesions),
        "lesions found": _mean(
            (c.iou is not None and c.iou >= DETECTION_IOU, w) for c, w in lesions
        ),
        "false positives": _mean((c.predicted, w) for c, w in empty),
    }
    for label in CLASSES[1:]:
        figures[f"Dice {label}"] = _mean(
            (c.dice, w) for c, w in lesions if c.label == label
        )
    for name, inside in size_groups().items():
        figures[f"Dice {name}"] = _mean(
            (c.dice, w) for c, w in lesions if inside[0] <= c.area < inside[1]
        )
    return figures


def size_groups() -> dict[str, tuple[float, float]]:
    """Return the lesion-size groups: from which to which share of the image."""
    low, high = SIZE_LIMITS
    return {"small": (0.0, low), "middle": (low, high), "large": (high, 2.0)}


def _mean(pairs: Iterable[tuple[float | None, float]]) -> float:
    known = [(value, weight) for value, weight in pairs if value is not None]
    if not known:
        return float("nan")
    values, weights = np.array(known, np.float64).T
    return float(np.average(values, weights=weights))


def figures_of(scores: Scores, weights: Weights | None = None) -> Figures:
    """Return all figures that the scores have the material for."""
    figures: Figures = {}
    with warnings.catch_warnings():
        # A replicate may lack a class; what is not defined then is NaN here.
        warnings.simplefilter(
            "ignore", category=sk._classification.UndefinedMetricWarning
        )
        if scores.classifies:
            figures.update(class_metrics(scores.labels, scores.probabilities, weights))
    if scores.segments:
        figures.update(mask_metrics(scores, weights))
    return figures
