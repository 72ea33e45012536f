"""Figures from scores: one function for classes, one for masks.

Both take the weights of many draws at once, (draws, cases), so that a bootstrap is a
few matrix products, and return one value of each figure for each draw. A figure that is
not defined (an AUC with one class only, a mean over nothing) is NaN.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from busnet.data import CLASSES, LESION_CLASSES, NORMAL_INDEX
from busnet.evaluation.ranking import Ranking, ratio
from busnet.evaluation.scores import Scores, classes_of

__all__ = [
    "AMONG_LESIONS",
    "BINS",
    "SIZES",
    "among_lesions",
    "calibration_bins",
    "class_metrics",
    "compute_figures",
    "confusion",
    "mask_metrics",
    "mean_of_known",
]

FloatArray = npt.NDArray[np.float64]

#: How often each case counts in each draw, (draws, cases).
Weights = FloatArray

#: A value for each draw, by name of the figure.
Figures = dict[str, FloatArray]

#: How the names end of class figures that are of benign and malignant images alone.
AMONG_LESIONS = " among lesions"

#: The figure that is called AUC where it is of lesions alone.
MALIGNANT_AUC = "malignant AUC"

#: Bins of equal width of the expected calibration error.
BINS = 15

#: Sensitivities and specificities at which the other one is given.
POINTS = (0.90, 0.95)

#: Intersection over union from which a lesion counts as detected.
DETECTION_IOU = 0.1

#: Lesion sizes: from which to below which share of the image.
SIZES = {"small": (0.0, 0.04), "medium": (0.04, 0.12), "large": (0.12, 2.0)}


def among_lesions(name: str) -> str:
    """Return the name that a class figure has where it is of lesions alone."""
    if name == MALIGNANT_AUC:  # of all images it is against benign and normal ones
        name = "AUC"
    return name.removesuffix(AMONG_LESIONS) + AMONG_LESIONS


def compute_figures(scores: Scores, weights: Weights | None = None) -> Figures:
    """Return all figures that the scores have the material for.

    Parameters
    ----------
    scores
        Of N cases. Those without a class that the model knows count for the mask alone,
        those without a mask for the class alone.
    weights
        How often each case counts in each draw, (draws, N); by default one draw in
        which each counts once.
    """
    if weights is None:
        weights = np.ones((1, len(scores)))
    figures: Figures = {}
    if scores.classifies:
        known = scores.labels >= 0
        figures |= class_metrics(
            scores.labels[known], scores.probabilities[known], weights[:, known]
        )
    if scores.segments:
        figures |= mask_metrics(scores, weights)
    if scores.classifies and scores.segments and not scores.knows_lesions_alone:
        agrees = (scores.guesses == NORMAL_INDEX) != (scores.column("predicted") > 0)
        figures["class and mask agree"] = _mean(agrees.astype(np.float64), weights)
    return figures


def confusion(scores: Scores) -> npt.NDArray[np.intp]:
    """Count cases by true class (rows) and predicted class (columns).

    (3, 3), or (2, 2) where the model knows lesions alone.
    """
    known = scores.labels >= 0
    counts = _confusion(
        scores.labels[known],
        scores.guesses[known],
        np.ones((1, known.sum())),
        len(scores.classes),
    )
    return np.asarray(counts[0], np.intp)


def _confusion(
    labels: npt.NDArray[np.intp],
    guesses: npt.NDArray[np.intp],
    weights: Weights,
    number: int,
) -> FloatArray:
    """Return (draws, true classes, predicted classes), of a number of classes."""
    cells = np.eye(number**2)[labels * number + guesses]
    return np.asarray(weights @ cells).reshape(-1, number, number)


def class_metrics(
    labels: npt.NDArray[np.intp], probabilities: FloatArray, weights: Weights
) -> Figures:
    """Return the figures of a classification.

    Parameters
    ----------
    labels
        Index of the true class, (N,).
    probabilities
        (N, classes), of three classes or of benign and malignant alone.
    weights
        How often each case counts in each draw, (draws, N).

    Returns
    -------
    dict
        Accuracy; balanced accuracy and macro F1 over the classes that occur in the
        draw; precision, recall and F1 of each class; the share of benign and
        malignant cases that are called normal; for malignant against the rest AUC,
        average precision (AUPRC), sensitivity at stated specificities and the reverse;
        the AUC of malignant against benign by P(malignant) / (P(benign) + P(malignant))
        ("AUC among lesions") and of lesions against normal by 1 - P(normal); Brier
        score (sum over classes, 0..2), negative log-likelihood in nats, expected
        calibration error (:data:`BINS` bins of the top probability).

        Of two classes all names end in :data:`AMONG_LESIONS`, and what is about normal
        images is left out.
    """
    classes = classes_of(probabilities.shape[1])
    guesses = probabilities.argmax(1)
    counts = _confusion(labels, guesses, weights, len(classes))
    correct = np.diagonal(counts, axis1=1, axis2=2)
    support, predicted = counts.sum(2), counts.sum(1)
    recall = ratio(correct, support)
    occurs = support > 0
    precision = np.where(occurs, np.nan_to_num(ratio(correct, predicted)), np.nan)
    f1 = np.where(occurs, ratio(2 * correct, support + predicted), np.nan)
    figures = {
        "accuracy": ratio(correct.sum(1), support.sum(1)),
        "balanced accuracy": mean_of_known(recall),
        "macro F1": mean_of_known(f1),
    }
    for i in np.unique(labels):
        figures[f"{classes[i]} precision"] = precision[:, i]
        figures[f"{classes[i]} recall"] = recall[:, i]
        figures[f"{classes[i]} F1"] = f1[:, i]
    if classes == CLASSES:
        lesions = support.sum(1) - support[:, NORMAL_INDEX]
        called_normal = predicted[:, NORMAL_INDEX] - correct[:, NORMAL_INDEX]
        figures["lesions called normal"] = ratio(called_normal, lesions)
    figures |= _rank_metrics(labels, probabilities, weights)
    figures |= _probability_metrics(labels, probabilities, weights)
    if classes == CLASSES:
        return figures
    return {among_lesions(name): values for name, values in figures.items()}


def _rank_metrics(
    labels: npt.NDArray[np.intp], probabilities: FloatArray, weights: Weights
) -> Figures:
    classes = classes_of(probabilities.shape[1])
    benign, malignant = map(classes.index, LESION_CLASSES)
    malignancy = probabilities[:, malignant]
    ranking = Ranking.of(labels == malignant, malignancy, weights)
    lesion = (labels == benign) | (labels == malignant)
    given_lesion = malignancy + probabilities[:, benign]
    # Where neither has any probability the two classes are equally likely.
    relative = np.divide(
        malignancy,
        given_lesion,
        out=np.full_like(malignancy, 0.5),
        where=given_lesion > 0,
    )
    among = Ranking.of(
        labels[lesion] == malignant, relative[lesion], weights[:, lesion]
    )
    figures = {
        MALIGNANT_AUC: ranking.auc(),
        "malignant AUPRC": ranking.average_precision(),
        among_lesions(MALIGNANT_AUC): among.auc(),
    }
    if classes == CLASSES:
        against_normal = Ranking.of(lesion, 1 - probabilities[:, NORMAL_INDEX], weights)
        figures["lesion AUC"] = against_normal.auc()
    else:
        del figures[MALIGNANT_AUC]  # which is the AUC among lesions
    for point in POINTS:
        name = f"sensitivity at specificity {point:.2f}"
        figures[name] = ranking.sensitivity_at(point)
    for point in POINTS:
        name = f"specificity at sensitivity {point:.2f}"
        figures[name] = ranking.specificity_at(point)
    return figures


def _probability_metrics(
    labels: npt.NDArray[np.intp], probabilities: FloatArray, weights: Weights
) -> Figures:
    truth = np.eye(probabilities.shape[1])[labels]
    brier = ((probabilities - truth) ** 2).sum(1)
    of_truth = np.clip((probabilities * truth).sum(1), 1e-15, 1)
    shares, accuracy, confidence = calibration_bins(labels, probabilities, weights)
    gaps = np.nan_to_num(shares * np.abs(accuracy - confidence))
    total = weights.sum(1)
    return {
        "Brier score": _mean(brier, weights),
        "negative log-likelihood": _mean(-np.log(of_truth), weights),
        "calibration error": np.where(total > 0, gaps.sum(1), np.nan),
    }


def calibration_bins(
    labels: npt.NDArray[np.intp], probabilities: FloatArray, weights: Weights
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return share of cases, accuracy and mean top probability of each bin.

    Each is (draws, :data:`BINS`); accuracy and mean are NaN in empty bins.
    """
    top = probabilities.max(1)
    correct = probabilities.argmax(1) == labels
    bins = np.minimum((top * BINS).astype(np.intp), BINS - 1)
    inside = np.eye(BINS)[bins]
    counts = weights @ inside
    return (
        ratio(counts, weights.sum(1, keepdims=True)),
        ratio(weights @ (inside * correct[:, None]), counts),
        ratio(weights @ (inside * top[:, None]), counts),
    )


def mask_metrics(scores: Scores, weights: Weights) -> Figures:
    """Return the figures of a segmentation.

    Parameters
    ----------
    scores
        Of N cases; those without a true mask count nowhere.
    weights
        How often each case counts in each draw, (draws, N).

    Returns
    -------
    dict
        Means over images with a lesion, and over those of each class and size: Dice,
        IoU; HD95 and ASSD in pixels over images where both masks hold pixels, in mm
        over those of them whose spacing is known, and the share of lesions that are not
        outlined at all, for which no distance is defined; the share of lesions that are
        detected (IoU of at least :data:`DETECTION_IOU`); on images whose true mask is
        empty the share with a false lesion.
    """
    dice, iou = scores.column("dice"), scores.column("iou")
    predicted, area = scores.column("predicted") > 0, scores.column("area")
    compared = ~np.isnan(dice)
    lesion = compared & (scores.column("lesion") > 0)
    empty = compared & ~lesion

    def mean(values: FloatArray, chosen: npt.NDArray[np.bool_]) -> FloatArray:
        chosen = chosen & ~np.isnan(values)
        return _mean(values[chosen], weights[:, chosen])

    figures = {
        "Dice": mean(dice, lesion),
        "IoU": mean(iou, lesion),
        "HD95": mean(scores.column("hd95"), lesion),
        "ASSD": mean(scores.column("assd"), lesion),
    }
    if not np.isnan(scores.column("hd95_mm")).all():
        figures["HD95 in mm"] = mean(scores.column("hd95_mm"), lesion)
        figures["ASSD in mm"] = mean(scores.column("assd_mm"), lesion)
    figures |= {
        "lesions not outlined": mean((~predicted).astype(np.float64), lesion),
        "lesions detected": mean((iou >= DETECTION_IOU).astype(np.float64), lesion),
        "normals with a false lesion": mean(predicted.astype(np.float64), empty),
    }
    for name in LESION_CLASSES:
        of_class = scores.labels == scores.classes.index(name)
        figures[f"Dice {name}"] = mean(dice, lesion & of_class)
    for name, (low, high) in SIZES.items():
        figures[f"Dice {name}"] = mean(dice, lesion & (area >= low) & (area < high))
    return figures


def _mean(values: FloatArray, weights: Weights) -> FloatArray:
    """Return the weighted mean of values (N,) for each draw; NaN over nothing."""
    return ratio(weights @ values, weights.sum(1))


def mean_of_known(values: FloatArray) -> FloatArray:
    """Return the mean along the last axis of what is not NaN; NaN over nothing."""
    known = ~np.isnan(values)
    return ratio(np.nan_to_num(values).sum(-1), known.sum(-1).astype(np.float64))
