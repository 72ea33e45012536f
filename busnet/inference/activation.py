"""How much each place of an image adds to a class's logit."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from busnet.networks import LESION_EPSILON

__all__ = ["class_activation", "lesion_weights"]

FloatArray = npt.NDArray[np.float32]


def class_activation(
    features: FloatArray,
    head: FloatArray,
    *,
    lesion_head: FloatArray | None = None,
    coarse_mask: FloatArray | None = None,
) -> FloatArray:
    """Return what each place adds to a logit (Zhou et al., CVPR 2016), (h, w).

    Its mean over the places, plus a constant, is the logit. The constant is the biases
    and, of a head that pools over the lesion, what the lesion's largest weight and its
    area add, which are of no one place.

    Parameters
    ----------
    features
        The last stage's activations (h, w, C).
    head
        The class's row of the layer ``fc``, (C,).
    lesion_head
        The class's row of the layer ``lesion_fc``, (C + 2,), where the network has it.
    coarse_mask
        Lesion logits (H', W') before they are resized, with ``lesion_head``.
    """
    places = features @ head
    if lesion_head is not None and coarse_mask is not None:
        weights = lesion_weights(coarse_mask, features.shape[:2])
        share = weights * (weights.size / (weights.sum() + LESION_EPSILON))
        places += share * (features @ lesion_head[: features.shape[2]])
    return np.asarray(places, np.float32)


def lesion_weights(logits: FloatArray, shape: tuple[int, ...]) -> FloatArray:
    """Return lesion probabilities averaged onto a coarser grid.

    Parameters
    ----------
    logits
        Lesion logits (H', W').
    shape
        Height and width of the grid: bin i of a height h covers the rows
        floor(i H' / h) to ceil((i + 1) H' / h), as in adaptive average pooling.
    """
    probability = 0.5 + 0.5 * np.tanh(0.5 * logits.astype(np.float64))
    for axis, size in enumerate(shape):
        old = logits.shape[axis]
        bins = [
            probability.take(range(i * old // size, -(-(i + 1) * old // size)), axis)
            for i in range(size)
        ]
        probability = np.stack([part.mean(axis) for part in bins], axis)
    return np.asarray(probability, np.float32)
