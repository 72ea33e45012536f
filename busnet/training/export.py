"""From a trained module to a weights file, with all that the metadata holds."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from scipy.special import expit

from busnet import weights
from busnet.data import CLASSES
from busnet.model_info import ModelInfo
from busnet.training.calibration import calibrated, fit_lesion_peak
from busnet.training.graph import TorchGraph
from busnet.training.trainer import Examples, Trainer
from busnet.version import __version__

__all__ = ["export"]


@torch.no_grad()
def outputs_of(
    graph: TorchGraph, examples: Examples
) -> dict[str, npt.NDArray[np.float32]]:
    """Compute a module's float32 outputs of examples, by name."""
    graph.eval()
    parts = [graph(images) for images in examples.images.split(8)]
    return {name: torch.cat([p[name] for p in parts]).numpy() for name in parts[0]}


def device_title(device: torch.device) -> str:
    """Return what a device is called: a GPU's product name, else its kind."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return device.type


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
        trainer.average.cpu(),
        trainer.split.validation,
    )
    mean, std = network.statistics
    info = ModelInfo(
        network=network,
        classes=CLASSES,
        image_size=trainer.recipe.size,
        mean=mean,
        std=std,
        provenance={
            **provenance,
            "train_images": len(trainer.split.train),
            "validation_images": len(validation),
            "test_images": len(trainer.split.test),
            "leaks": len(trainer.split.leaks),
            "start": start_provenance(trainer),
            "device": device_title(trainer.device),
            "bfloat16": trainer.bfloat16,
            "recipe": trainer.recipe.as_dict(),
            "busnet": __version__,
            "torch": torch.__version__,
        },
    )
    if validation:
        examples = Examples.load(validation, trainer.recipe.size, network.channels)
        outputs = outputs_of(graph, examples)
        if "class" in outputs:
            logits = outputs["class"].astype(np.float64)
            info = calibrated(info, logits, examples.labels.numpy())
        if "mask" in outputs:
            peak = fit_lesion_peak(
                expit(outputs["mask"][:, 0]),
                examples.masks[:, 0].numpy() > 0,
                info.mask_threshold,
            )
            info = dataclasses.replace(info, lesion_peak=peak)
    arrays = {
        name: value.numpy()
        for name, value in graph.state_dict().items()
        if not name.endswith("num_batches_tracked")
    }
    weights.save(path, arrays, info, eight_bit=eight_bit)
    return info
