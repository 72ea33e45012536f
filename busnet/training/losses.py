"""The losses: class and mask, on one trunk, each on the images that have its label.

None of them looks at a tensor from the CPU: what does not count is multiplied by zero.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from busnet.data import BENIGN_INDEX, MALIGNANT_INDEX, NORMAL_INDEX

__all__ = ["class_loss", "class_weights", "mask_loss", "silence_loss"]


def class_weights(shares: Sequence[float]) -> Tensor:
    """Return weights (classes,) that let each class count alike; their mean is 1.

    Parameters
    ----------
    shares
        How often each class is seen. A class that never is gets 0.
    """
    counts = torch.tensor(shares, dtype=torch.float64)
    weights = torch.where(counts > 0, 1 / counts.clamp(min=1e-12), 0.0)
    return (weights * (counts > 0).sum() / weights.sum().clamp(min=1e-12)).float()


def class_loss(
    logits: Tensor,
    labels: Tensor,
    weights: Tensor,
    smoothing: float,
    detects: Tensor | None = None,
) -> Tensor:
    """Cross-entropy of normal against lesion, and of benign against malignant.

    Without smoothing their sum is the cross-entropy of the three classes, since
    P(malignant) = P(lesion) P(malignant | lesion).

    Parameters
    ----------
    logits
        Of :data:`busnet.data.CLASSES`, (N, 3).
    labels
        Indices of classes, (N,); images below 0 do not count.
    weights
        Weight of each class, (3,).
    smoothing
        Label smoothing: half of it is the target of the wrong class.
    detects
        Whether an image counts for normal against lesion, (N,); all by default. Images
        of a source without normal images may be left out of it.
    """
    known = (labels >= 0).float()
    label = labels.clamp(min=0)
    lesion, malignant = (
        (label != NORMAL_INDEX).float(),
        (label == MALIGNANT_INDEX).float(),
    )
    either = torch.logaddexp(logits[:, BENIGN_INDEX], logits[:, MALIGNANT_INDEX])
    detection = _binary(either - logits[:, NORMAL_INDEX], lesion, smoothing)
    kind = _binary(
        logits[:, MALIGNANT_INDEX] - logits[:, BENIGN_INDEX], malignant, smoothing
    )
    if detects is not None:
        detection = detection * detects
    weight = weights[label] * known
    total = (weight * (detection + lesion * kind)).sum()
    return total / weight.sum().clamp(min=1e-6)


def _binary(logits: Tensor, truth: Tensor, smoothing: float) -> Tensor:
    target = truth * (1 - smoothing) + smoothing / 2
    return functional.binary_cross_entropy_with_logits(logits, target, reduction="none")


def mask_loss(logits: Tensor, masks: Tensor, known: Tensor) -> Tensor:
    """Binary cross-entropy plus soft Dice loss of lesion logits (N, 1, H, W).

    The Dice term (Milletari et al., 3DV 2016) is taken over images with a lesion only:
    on an empty mask it would depend on the smoothing constant alone.

    Parameters
    ----------
    logits, masks
        (N, 1, H, W); masks are 0 or 1.
    known
        Whether an image's mask is known, (N,); others do not count.
    """
    known = known.float()
    bce = functional.binary_cross_entropy_with_logits(logits, masks, reduction="none")
    lesion = masks.flatten(1).amax(1) * known
    p, t = logits.sigmoid().flatten(1), masks.flatten(1)
    dice = 2 * (p * t).sum(1) / (p.sum(1) + t.sum(1)).clamp(min=1e-6)
    cross_entropy = (bce.flatten(1).mean(1) * known).sum() / known.sum().clamp(min=1)
    overlap = ((1 - dice) * lesion).sum() / lesion.sum().clamp(min=1)
    return cross_entropy + overlap


#: Share of an image's pixels under which sure ones are too few to matter.
_FEW = 1e-3


def silence_loss(logits: Tensor, masks: Tensor, known: Tensor) -> Tensor:
    """Cross-entropy at the largest responses on images without a lesion.

    The mean over all pixels hardly notices a small false lesion. Here each pixel counts
    by the square of its probability, so that the loss is that of the false lesion, and
    vanishes with it. Parameters as of :func:`mask_loss`.
    """
    empty = (1 - masks.flatten(1).amax(1)) * known.float()
    flat = logits.flatten(1)
    weight = flat.detach().sigmoid() ** 2
    floor = _FEW * flat.shape[1]
    loss = (weight * functional.softplus(flat)).sum(1) / (weight.sum(1) + floor)
    return (loss * empty).sum() / empty.sum().clamp(min=1)
