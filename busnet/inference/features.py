"""What a network's layers hold of an image: features and activation maps."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import numpy.typing as npt

from busnet.engine.session import Session
from busnet.errors import ImageFileError, ModelError
from busnet.images import Picture, Region
from busnet.inference.activation import class_activation
from busnet.inference.pipeline import pipeline
from busnet.networks import COARSE_MASK, STAGES

__all__ = ["activation_map", "stage_features"]

FloatArray = npt.NDArray[np.float32]


def stage_features(
    session: Session,
    pictures: Iterable[Picture],
    stage: str,
    *,
    pool: bool,
    crop: bool = True,
) -> FloatArray:
    """Return the activations of a stage, (N, C) pooled or (N, h, w, C).

    With ``crop`` they are of a picture's tissue region, where it has one.

    Raises
    ------
    ImageFileError
        If a picture has several regions and ``crop`` is set.
    ModelError
        If there is no such stage.
    """
    if stage not in STAGES:
        raise ModelError(f"there is no stage {stage!r}; stages are {', '.join(STAGES)}")
    parts = _parts(pictures, crop=crop)
    computed = (outputs[stage] for _, _, outputs in pipeline(session, parts, (stage,)))
    return np.stack([array.mean((0, 1)) if pool else array for array in computed])


def _parts(pictures: Iterable[Picture], *, crop: bool) -> Iterator[Picture]:
    for picture in pictures:
        yield picture.part(_region(picture, crop=crop))


def _region(picture: Picture, *, crop: bool) -> Region:
    """Return the part of a picture to look at.

    Raises
    ------
    ImageFileError
        If the file names several.
    """
    if not crop or not picture.regions:
        return picture.whole()
    if len(picture.regions) > 1:
        raise ImageFileError(
            f"{picture.name}: it has {len(picture.regions)} tissue regions; give "
            f"picture.part(region) of one of busnet.read_frames(), or crop=False for "
            f"the whole frame"
        )
    return picture.regions[0]


def activation_map(
    session: Session, picture: Picture, label: str | None, *, crop: bool = True
) -> FloatArray:
    """Return what each place of a picture adds to a class's logit, (H, W).

    ``label`` is the class's name; None for the most probable one. With ``crop`` the
    network sees the picture's tissue region alone, where it has one. Pixels that the
    network does not see are NaN.

    Raises
    ------
    ImageFileError
        If the picture has several regions and ``crop`` is set.
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
    region = _region(picture, crop=crop)
    ((_, placement, outputs),) = pipeline(session, [picture.part(region)], names)
    index = int(outputs["class"].argmax()) if label is None else classes.index(label)
    heads = session.read_arrays(["fc.weight", "lesion_fc.weight"])
    places = class_activation(
        outputs[STAGES[-1]],
        heads["fc.weight"][index],
        lesion_head=heads["lesion_fc.weight"][index] if lesion else None,
        coarse_mask=outputs[COARSE_MASK][:, :, 0] if lesion else None,
    )
    activation = placement.restore(places)
    if activation.shape == picture.shape:
        return activation
    whole = np.full(picture.shape, np.nan, np.float32)
    top, left, bottom, right = region.box
    whole[top:bottom, left:right] = activation
    return whole
