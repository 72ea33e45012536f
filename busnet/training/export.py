"""From a trained module to a weights file, with all that the metadata holds."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

from busnet import __version__, weights
from busnet.data import CLASSES, Case
from busnet.networks import IMAGENET_MEAN, IMAGENET_STD, Network
from busnet.training.graph import TorchGraph
from busnet.training.trainer import Examples, Trainer
from busnet.weights import ModelInfo

__all__ = ["export", "fit_temperature"]

#: Temperatures among which the best is sought.
_BOUNDS = (0.2, 5.0)


def fit_temperature(
    logits: npt.NDArray[np.float64], labels: npt.NDArray[np.int64]
) -> float:
    """Return the temperature that makes labels (N,) likeliest under logits (N, C).

    Guo et al., On calibration of modern neural networks, ICML 2017. Sought in 0.2..5.
    """
    rows = np.arange(len(labels))

    def loss(log_temperature: float) -> float:
        scaled = log_softmax(logits / np.exp(log_temperature), axis=1)
        return float(-scaled[rows, labels].mean())

    found = minimize_scalar(loss, bounds=np.log(_BOUNDS), method="bounded")
    return float(np.exp(found.x))


def statistics(network: Network) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return the mean and std that the builder gives a network by default."""
    if network.channels == 3:
        return IMAGENET_MEAN, IMAGENET_STD
    return (sum(IMAGENET_MEAN) / 3,), (sum(IMAGENET_STD) / 3,)


@torch.no_grad()
def class_logits(
    graph: TorchGraph, cases: Sequence[Case], size: int, channels: int
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """Compute float32 class logits (N, C) of cases, and their labels (N,)."""
    graph.eval()
    examples = Examples.load(cases, size, channels)
    parts = [graph(images)["class"].double() for images in examples.images.split(8)]
    return torch.cat(parts).numpy(), examples.labels.numpy()


def start_provenance(trainer: Trainer) -> Any:
    """Return where the trainer's weights started, with all that they have seen."""
    if trainer.start is None:
        return "random"
    if trainer.start.is_dir():
        return "ImageNet, partial"
    return dict(weights.read_info(trainer.start).provenance)


def export(
    path: str | os.PathLike[str],
    trainer: Trainer,
    provenance: Mapping[str, Any],
    *,
    eight_bit: bool = False,
) -> ModelInfo:
    """Write the trainer's averaged weights, calibrated on its validation cases.

    Parameters
    ----------
    path
        Where to.
    trainer
        One that has run to its end.
    provenance
        What the caller knows of the data; recipe, split sizes and version are added.
    eight_bit
        See :func:`busnet.weights.save`.
    """
    network, graph, validation = (
        trainer.network,
        trainer.average,
        trainer.split.validation,
    )
    temperature = 1.0
    if validation and "class" in network.heads:
        temperature = fit_temperature(
            *class_logits(graph, validation, trainer.recipe.size, network.channels)
        )
    mean, std = statistics(network)
    info = ModelInfo(
        network=network,
        classes=CLASSES,
        image_size=trainer.recipe.size,
        mean=mean,
        std=std,
        temperature=temperature,
        provenance={
            **provenance,
            "train_images": len(trainer.split.train),
            "validation_images": len(validation),
            "test_images": len(trainer.split.test),
            "leaks": len(trainer.split.leaks),
            "start": start_provenance(trainer),
            "bfloat16": trainer.bfloat16,
            "recipe": trainer.recipe.as_dict(),
            "busnet": __version__,
            "torch": torch.__version__,
        },
    )
    arrays = {
        name: value.numpy()
        for name, value in graph.state_dict().items()
        if not name.endswith("num_batches_tracked")
    }
    weights.save(path, arrays, info, eight_bit=eight_bit)
    return info
