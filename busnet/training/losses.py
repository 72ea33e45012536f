"""The losses: class and mask, on one trunk."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

__all__ = ["class_loss", "class_weights", "mask_loss"]


def class_weights(labels: Sequence[int], classes: int) -> Tensor:
    """Return weights (classes,) that let each class count alike; their mean is 1.

    A class that does not occur gets 0.
    """
    counts = torch.bincount(torch.tensor(labels), minlength=classes).float()
    weights = torch.where(counts > 0, 1 / counts.clamp(min=1), torch.zeros(()))
    return weights * (counts > 0).sum() / weights.sum()


def class_loss(
    logits: Tensor, labels: Tensor, weights: Tensor, smoothing: float
) -> Tensor:
    """Weighted cross-entropy of logits (N, classes) with label smoothing."""
    return functional.cross_entropy(
        logits, labels, weight=weights, label_smoothing=smoothing
    )


def mask_loss(logits: Tensor, masks: Tensor) -> Tensor:
    """Binary cross-entropy plus soft Dice loss of lesion logits (N, 1, H, W).

    The Dice term (Milletari et al., 3DV 2016) is taken over images with a lesion only:
    on an empty mask it would depend on the smoothing constant alone.
    """
    bce = functional.binary_cross_entropy_with_logits(logits, masks)
    lesion = masks.flatten(1).any(1)
    if not lesion.any():
        return bce
    p, t = logits[lesion].sigmoid().flatten(1), masks[lesion].flatten(1)
    dice = 2 * (p * t).sum(1) / (p.sum(1) + t.sum(1)).clamp(min=1e-6)
    return bce + (1 - dice).mean()
