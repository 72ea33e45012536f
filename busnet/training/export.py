"""From a trained module to a weights file, with all that the metadata holds."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import torch
from scipy.special import expit

from busnet import weights
from busnet.data import CLASSES, ContentHashes
from busnet.model_info import ModelInfo
from busnet.training.calibration import calibrated, case_weights, fit_lesion_peak
from busnet.training.device import device_title
from busnet.training.examples import UNKNOWN, Examples
from busnet.training.measures import Outputs, compute_outputs
from busnet.training.trainer import Trainer
from busnet.version import __version__

__all__ = ["calibrate_on", "export", "hash_training", "module_arrays"]


def hash_training(trainer: Trainer) -> tuple[dict[str, str], int]:
    """Return the encoded content hashes of all images that trainings saw.

    Returns
    -------
    hashes
        See :attr:`busnet.model_info.ModelInfo.content_hashes`: of the training and the
        validation images, and of those of the trainings behind the start.
    count
        Number of images of this training among them.
    """
    split = trainer.split
    hashes = ContentHashes.of((*split.train, *split.validation))
    parts = [hashes]
    if trainer.start.hashes:
        parts.append(ContentHashes.decode(trainer.start.hashes))
    return ContentHashes.join(parts).encode(), len(hashes)


def module_arrays(graph: torch.nn.Module) -> dict[str, npt.NDArray[np.float32]]:
    """Return a module's arrays by name, as a weights file holds them."""
    return {
        name: value.detach().cpu().float().numpy()
        for name, value in graph.state_dict().items()
        if not name.endswith("num_batches_tracked")
    }


def calibrate_on(info: ModelInfo, outputs: Outputs, examples: Examples) -> ModelInfo:
    """Return a description with what the validation cases decide filled in.

    Sources count alike, and the classes within one, so that the largest hospital does
    not decide alone.
    """
    if outputs.logits is not None:
        known = examples.labels != UNKNOWN
        if known.any():
            info = calibrated(
                info,
                outputs.logits[known],
                examples.labels[known],
                examples.sources[known],
            )
    if outputs.lesion is not None and examples.masked.any():
        rows = np.flatnonzero(examples.masked)
        masks = examples.masks[:, 0].cpu().numpy()[rows] > 0
        lesion = examples.has_lesion[rows].astype(np.int64)
        peak = fit_lesion_peak(
            expit(outputs.lesion.float().cpu().numpy()[rows]),
            masks,
            info.mask_threshold,
            case_weights(lesion, examples.sources[rows]),
        )
        info = dataclasses.replace(info, lesion_peak=peak)
    return info


def export(
    path: str | os.PathLike[str],
    trainer: Trainer,
    provenance: Mapping[str, object],
    *,
    hashes: tuple[Mapping[str, str], int],
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
    hashes
        Of the images, see :func:`hash_training`.
    eight_bit
        See :func:`busnet.weights.save`.
    """
    network, split = trainer.network, trainer.split
    mean, std = network.statistics
    info = ModelInfo(
        network=network,
        classes=CLASSES,
        image_size=trainer.recipe.size,
        mean=mean,
        std=std,
        provenance={
            **provenance,
            "train_images": len(split.train),
            "validation_images": len(split.validation),
            "test_images": len(split.test),
            "hashed_images": hashes[1],
            "leaks": len(split.leaks),
            "start": trainer.start.provenance,
            "device": device_title(trainer.device),
            "bfloat16": trainer.bfloat16,
            "recipe": trainer.recipe.as_dict(),
            "sampling": trainer.sampling,
            "busnet": __version__,
            "torch": torch.__version__,
        },
        content_hashes=hashes[0],
    )
    if split.validation:
        examples = trainer.validation_examples()
        info = calibrate_on(info, compute_outputs(trainer.average, examples), examples)
    weights.save(path, module_arrays(trainer.average), info, eight_bit=eight_bit)
    return info
