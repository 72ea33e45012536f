"""What a training measures on its validation cases, by source."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import torch
from scipy.special import softmax
from scipy.stats import mannwhitneyu
from torch import Tensor

from busnet.data import BENIGN_INDEX, MALIGNANT_INDEX, NORMAL_INDEX
from busnet.training.examples import UNKNOWN, Examples
from busnet.training.graph import TorchGraph
from busnet.training.step import forward

__all__ = ["Outputs", "average_sources", "compute_outputs", "measure"]

#: Figures of which the score is the mean; in those after them less is better.
SCORED = ("balanced accuracy", "AUC among lesions", "AUC of lesions", "Dice")
SCORED_INVERSE = ("false positives",)

Flags = npt.NDArray[np.bool_]


@dataclasses.dataclass(frozen=True)
class Outputs:
    """What a module computes of N examples.

    Attributes
    ----------
    logits
        Of the classes, float64 (N, 3); None without a class head.
    lesion
        Lesion logits, (N, S, S) on the module's device; None without a mask head.
    """

    logits: npt.NDArray[np.float64] | None
    lesion: Tensor | None


@torch.no_grad()
def compute_outputs(
    graph: TorchGraph, examples: Examples, *, bfloat16: bool = False, batch: int = 32
) -> Outputs:
    """Compute a module's outputs of examples on the same device, in evaluation mode."""
    was_training = graph.training
    graph.eval()
    parts = [
        forward(graph, images.float() / 255, bfloat16=bfloat16)
        for images in examples.images.split(batch)
    ]
    graph.train(was_training)
    joined = {name: torch.cat([part[name] for part in parts]) for name in parts[0]}
    logits, lesion = joined.get("class"), joined.get("mask")
    return Outputs(
        None if logits is None else logits.cpu().double().numpy(),
        None if lesion is None else lesion[:, 0],
    )


def measure(outputs: Outputs, examples: Examples) -> dict[str, dict[str, float]]:
    """Return the figures of each source, by its name.

    Those that are not defined are left out, such as ``"AUC of lesions"`` where a source
    has no normal images. Masks are compared at the network's size, at a probability of
    one half. ``"score"`` is the mean of what a source has of :data:`SCORED` and of 1
    minus what it has of :data:`SCORED_INVERSE`.
    """
    overlap = _overlaps(outputs, examples)
    return {
        name: _source_figures(outputs, overlap, examples, examples.sources == number)
        for number, name in enumerate(examples.names)
        if (examples.sources == number).any()
    }


def _source_figures(
    outputs: Outputs,
    overlap: tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], Flags] | None,
    examples: Examples,
    selected: Flags,
) -> dict[str, float]:
    """Return the figures of the selected examples."""
    figures: dict[str, float] = {}
    if outputs.logits is not None:
        known = selected & (examples.labels != UNKNOWN)
        figures.update(_class_figures(outputs.logits[known], examples.labels[known]))
    if overlap is not None:
        figures.update(_mask_figures(*overlap, selected & examples.masked))
    scored = [figures[k] for k in SCORED if k in figures]
    scored += [1 - figures[k] for k in SCORED_INVERSE if k in figures]
    if scored:
        figures["score"] = float(np.mean(scored))
    return figures


def average_sources(figures: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """Return the mean of each figure over the sources that have it."""
    names = dict.fromkeys(name for source in figures.values() for name in source)
    return {
        name: float(np.mean([f[name] for f in figures.values() if name in f]))
        for name in names
    }


def _class_figures(
    logits: npt.NDArray[np.float64], labels: npt.NDArray[np.int64]
) -> dict[str, float]:
    if not labels.size:
        return {}
    shares = softmax(logits, axis=1)
    guess = logits.argmax(1)
    classes = np.unique(labels)
    lesion = labels != NORMAL_INDEX
    malignant = labels[lesion] == MALIGNANT_INDEX
    figures = {
        "accuracy": float((guess == labels).mean()),
        "balanced accuracy": float(
            np.mean([(guess[labels == c] == c).mean() for c in classes])
        ),
    }
    among = logits[lesion, MALIGNANT_INDEX] - logits[lesion, BENIGN_INDEX]
    _add_auc(figures, "AUC among lesions", among, malignant)
    malignancy = shares[:, MALIGNANT_INDEX]
    _add_auc(figures, "AUC of malignant", malignancy, labels == MALIGNANT_INDEX)
    _add_auc(figures, "AUC of lesions", 1 - shares[:, NORMAL_INDEX], lesion)
    if lesion.any():
        figures["called normal"] = float((guess[lesion] == NORMAL_INDEX).mean())
    return figures


def _add_auc(
    figures: dict[str, float],
    name: str,
    scores: npt.NDArray[np.float64],
    positive: Flags,
) -> None:
    """Add the area under the curve where there is something on both sides."""
    count = int(positive.sum())
    if 0 < count < len(positive):
        u = mannwhitneyu(scores[positive], scores[~positive]).statistic
        figures[name] = float(u / (count * (len(positive) - count)))


def _overlaps(
    outputs: Outputs, examples: Examples
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], Flags] | None:
    """Return Dice, predicted pixels and whether there is a lesion, (N,) each."""
    if outputs.lesion is None:
        return None
    predicted = outputs.lesion > 0
    masks = examples.masks[:, 0] > 0
    both = (predicted & masks).flatten(1).sum(1).cpu().double().numpy()
    sizes = predicted.flatten(1).sum(1).cpu().double().numpy()
    areas = masks.flatten(1).sum(1).cpu().double().numpy()
    return 2 * both / np.maximum(sizes + areas, 1), sizes, areas > 0


def _mask_figures(
    dice: npt.NDArray[np.float64],
    sizes: npt.NDArray[np.float64],
    lesion: Flags,
    used: Flags,
) -> dict[str, float]:
    figures = {}
    if (used & lesion).any():
        figures["Dice"] = float(dice[used & lesion].mean())
    if (used & ~lesion).any():
        figures["false positives"] = float((sizes[used & ~lesion] > 0).mean())
    return figures
