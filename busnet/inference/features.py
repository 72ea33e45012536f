"""What a network's layers hold of an image: features and activation maps."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from busnet.engine.session import Session
from busnet.errors import ModelError
from busnet.images import Picture
from busnet.inference.activation import class_activation
from busnet.inference.pipeline import pipeline
from busnet.networks import COARSE_MASK, STAGES

__all__ = ["activation_map", "stage_features"]

FloatArray = npt.NDArray[np.float32]


def stage_features(
    session: Session, pictures: Iterable[Picture], stage: str, *, pool: bool
) -> FloatArray:
    """Return the activations of a stage, (N, C) pooled or (N, h, w, C).

    Raises
    ------
    ModelError
        If there is no such stage.
    """
    if stage not in STAGES:
        raise ModelError(f"there is no stage {stage!r}; stages are {', '.join(STAGES)}")
    computed = (
        outputs[stage] for _, _, outputs in pipeline(session, pictures, (stage,))
    )
    return np.stack([array.mean((0, 1)) if pool else array for array in computed])


def activation_map(session: Session, picture: Picture, label: str | None) -> FloatArray:
    """Return what each place of a picture adds to a class's logit, (H, W).

    ``label`` is the class's name; None for the most probable one. Pixels that the
    network does not see are NaN.

    Raises
    ------
    ModelError
        If there is no such class.
    WeightsError
        If the weights file was changed since it was loaded.
    """
    classes = session.info.classes
    if label is not None and label not in classes:
        raise ModelError(
            f"there is no class {label!r}; classes are {', '.join(classes)}"
        )
    lesion = session.info.network.pooling == "lesion"
    names = ("class", STAGES[-1], *((COARSE_MASK,) if lesion else ()))
    ((_, placement, outputs),) = pipeline(session, [picture], names)
    index = int(outputs["class"].argmax()) if label is None else classes.index(label)
    heads = session.read_arrays(["fc.weight", "lesion_fc.weight"])
    places = class_activation(
        outputs[STAGES[-1]],
        heads["fc.weight"][index],
        lesion_head=heads["lesion_fc.weight"][index] if lesion else None,
        coarse_mask=outputs[COARSE_MASK][:, :, 0] if lesion else None,
    )
    return placement.restore(places)
