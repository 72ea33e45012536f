"""Pictures of figures, with matplotlib (the extra ``busnet[evaluate]``).

Each function draws into the axes that it is given and returns them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from busnet.data import LESION_CLASSES
from busnet.errors import requires_extra
from busnet.results import MALIGNANT

with requires_extra("evaluate"):
    from sklearn import metrics as sk

    from busnet.evaluation.metrics import (
        BINS,
        SIZES,
        calibration_bins,
        confusion,
    )
    from busnet.evaluation.scores import Scores

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = [
    "confusion_matrix",
    "dice_by_size",
    "overlay",
    "precision_recall",
    "reliability",
    "roc",
]

#: Colours that people with any sight tell apart (Okabe and Ito, 2008).
BLUE, ORANGE, GREEN, GREY = "#0072b2", "#e69f00", "#009e73", "#999999"


def confusion_matrix(scores: Scores, axes: Axes) -> Axes:
    """Draw how many cases of each true class got each predicted one."""
    counts = confusion(scores)
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for (row, column), count in np.ndenumerate(counts):
        axes.text(
            column,
            row,
            f"{count:.0f}\n{shares[row, column]:.0%}",
            ha="center",
            va="center",
            color="white" if shares[row, column] > 0.5 else "black",
        )
    axes.set_xticks(range(len(scores.classes)), scores.classes)
    axes.set_yticks(range(len(scores.classes)), scores.classes)
    axes.set(xlabel="predicted", ylabel="true", title="Confusion matrix")
    return axes


def _malignant(
    scores: Scores,
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.float64]]:
    """Return which cases are malignant and P(malignant), of those with a class."""
    known = scores.labels >= 0
    malignant = scores.classes.index(MALIGNANT)
    truth = scores.labels[known] == malignant
    return truth, scores.probabilities[known, malignant]


def _contrast(scores: Scores) -> str:
    """Return what malignant images are told from."""
    return "malignant among lesions" if scores.knows_lesions_alone else "malignant"


def roc(scores: Scores, axes: Axes) -> Axes:
    """Draw the receiver operating characteristic, malignant against the rest."""
    truth, score = _malignant(scores)
    axes.plot([0, 1], [0, 1], color=GREY, linestyle=":")
    if 0 < truth.sum() < len(truth):
        false, true, _ = sk.roc_curve(truth, score)
        axes.plot(false, true, color=BLUE, label=f"AUC {sk.auc(false, true):.3f}")
        axes.legend(loc="lower right")
    axes.set(
        xlabel="1 - specificity",
        ylabel="sensitivity",
        title=f"ROC, {_contrast(scores)}",
        aspect="equal",
    )
    return axes


def precision_recall(scores: Scores, axes: Axes) -> Axes:
    """Draw precision over recall, malignant against the rest."""
    truth, score = _malignant(scores)
    axes.axhline(truth.mean(), color=GREY, linestyle=":")
    if truth.any():
        precision, recall, _ = sk.precision_recall_curve(truth, score)
        area = sk.average_precision_score(truth, score)
        axes.plot(recall, precision, color=BLUE, label=f"AUPRC {area:.3f}")
        axes.legend(loc="lower left")
    axes.set(
        xlabel="recall",
        ylabel="precision",
        title=f"Precision and recall, {_contrast(scores)}",
        xlim=(0, 1.02),
        ylim=(0, 1.02),
    )
    return axes


def reliability(scores: Scores, axes: Axes) -> Axes:
    """Draw accuracy over the top probability, the marks' size by the share of cases."""
    known = scores.labels >= 0
    bins = calibration_bins(
        scores.labels[known], scores.probabilities[known], np.ones((1, known.sum()))
    )
    used = bins[0][0] > 0
    shares, accuracy, confidence = (values[0, used] for values in bins)
    axes.plot([0, 1], [0, 1], color=GREY, linestyle=":")
    axes.plot(confidence, accuracy, color=BLUE, linewidth=1)
    axes.scatter(confidence, accuracy, s=20 + 400 * shares, color=BLUE, alpha=0.6)
    error = float((shares * np.abs(accuracy - confidence)).sum())
    axes.set(
        xlabel="probability of the predicted class",
        ylabel="accuracy",
        title=f"Reliability, ECE {error:.3f} ({BINS} bins)",
        xlim=(0, 1.02),
        ylim=(0, 1.02),
    )
    return axes


def dice_by_size(scores: Scores, axes: Axes) -> Axes:
    """Draw each lesion's Dice over its share of the image, and the groups' means."""
    area, dice = scores.column("area"), scores.column("dice")
    lesion = (scores.column("lesion") > 0) & ~np.isnan(dice)
    indices = (-1, *map(scores.classes.index, LESION_CLASSES))
    for index, colour in zip(indices, (GREY, BLUE, ORANGE), strict=True):
        chosen = lesion & (scores.labels == index)
        if chosen.any():
            label = "class not known" if index < 0 else scores.classes[index]
            axes.scatter(
                100 * area[chosen], dice[chosen], s=12, color=colour, label=label
            )
    for low, high in SIZES.values():
        inside = lesion & (area >= low) & (area < high)
        if inside.any():
            right = min(high, area[inside].max())
            mean = dice[inside].mean()
            axes.plot([100 * low, 100 * right], [mean, mean], color="black")
    axes.set(
        xlabel="true lesion, % of the image",
        ylabel="Dice",
        title="Dice by lesion size",
        ylim=(-0.02, 1.02),
    )
    if lesion.any():
        axes.legend(loc="lower right")
    return axes


def overlay(
    image: npt.NDArray[np.float32],
    axes: Axes,
    *,
    predicted: npt.NDArray[np.bool_] | None = None,
    truth: npt.NDArray[np.bool_] | None = None,
) -> Axes:
    """Draw an image (H, W[, 3]) in 0..1 with outlines: predicted orange, true green."""
    axes.imshow(image, cmap="gray", vmin=0, vmax=1)
    for mask, colour in ((truth, GREEN), (predicted, ORANGE)):
        if mask is not None and mask.any():
            axes.contour(mask, levels=[0.5], colors=[colour], linewidths=1.2)
    axes.set_axis_off()
    return axes
