"""Predictions by the embedded model."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import TYPE_CHECKING, overload

from busnet.images import ImageLike
from busnet.lesions import Spacing
from busnet.model import Model, load
from busnet.models import DEFAULT, shipped
from busnet.results import Classification, Prediction, Segmentation

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from busnet.images.types import ImageArray, ImageSequence, OneImage
    from busnet.inference.options import (
        ClassifyOptions,
        PredictOptions,
        SegmentOptions,
    )

__all__ = ["classify", "predict", "segment"]


@functools.cache
def _default() -> Model:
    # By its file: whether a plug-in has the same name need not be looked up.
    return load(shipped().get(DEFAULT, DEFAULT))


@overload
def predict(images: OneImage, **options: Unpack[PredictOptions]) -> Prediction: ...
@overload
def predict(
    images: ImageArray, **options: Unpack[PredictOptions]
) -> Prediction | list[Prediction]: ...
@overload
def predict(
    images: ImageSequence, **options: Unpack[PredictOptions]
) -> list[Prediction]: ...
def predict(
    images: ImageLike,
    *,
    value_range: tuple[float, float] | None = None,
    spacing: Spacing | None = None,
    crop: bool = True,
    prior: Mapping[str, float] | None = None,
) -> Prediction | list[Prediction]:
    """Predict with the embedded model; see :meth:`Model.predict`."""
    return _default().predict(
        images, value_range=value_range, spacing=spacing, crop=crop, prior=prior
    )


@overload
def classify(
    images: OneImage, **options: Unpack[ClassifyOptions]
) -> Classification: ...
@overload
def classify(
    images: ImageArray, **options: Unpack[ClassifyOptions]
) -> Classification | list[Classification]: ...
@overload
def classify(
    images: ImageSequence, **options: Unpack[ClassifyOptions]
) -> list[Classification]: ...
def classify(
    images: ImageLike,
    *,
    value_range: tuple[float, float] | None = None,
    crop: bool = True,
    prior: Mapping[str, float] | None = None,
) -> Classification | list[Classification]:
    """Classify with the embedded model; see :meth:`Model.classify`."""
    return _default().classify(images, value_range=value_range, crop=crop, prior=prior)


@overload
def segment(images: OneImage, **options: Unpack[SegmentOptions]) -> Segmentation: ...
@overload
def segment(
    images: ImageArray, **options: Unpack[SegmentOptions]
) -> Segmentation | list[Segmentation]: ...
@overload
def segment(
    images: ImageSequence, **options: Unpack[SegmentOptions]
) -> list[Segmentation]: ...
def segment(
    images: ImageLike,
    *,
    value_range: tuple[float, float] | None = None,
    spacing: Spacing | None = None,
    crop: bool = True,
) -> Segmentation | list[Segmentation]:
    """Segment with the embedded model; see :meth:`Model.segment`."""
    return _default().segment(
        images, value_range=value_range, spacing=spacing, crop=crop
    )
