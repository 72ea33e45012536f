"""What predicts: from images to results."""

from __future__ import annotations

import abc
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, TypeVar, overload

from busnet.engine.session import Session
from busnet.errors import ModelError
from busnet.images import ImageLike, Picture, is_single, read
from busnet.inference.ensemble_info import PredictorInfo
from busnet.inference.options import Options
from busnet.inference.views import heads_of, results
from busnet.lesions import Spacing
from busnet.results import Classification, Prediction, Result, Segmentation

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from busnet.images import ImageArray, ImageSequence, OneImage
    from busnet.inference.options import (
        ClassifyOptions,
        PredictOptions,
        SegmentOptions,
    )

__all__ = ["Predictor"]

R = TypeVar("R", bound=Result)


class Predictor(abc.ABC):
    """Predicts by one network, or by several whose probabilities are averaged."""

    @property
    @abc.abstractmethod
    def sessions(self) -> tuple[Session, ...]:
        """The weights in the engine, of each network."""

    @property
    @abc.abstractmethod
    def info(self) -> PredictorInfo:
        """What the weights files say."""

    @property
    @abc.abstractmethod
    def name(self) -> str:
        """What it is called."""

    @property
    def precision(self) -> str:
        """``"f32"``, ``"exact"``, ``"bf16"`` or ``"int8"``; see :func:`busnet.load`."""
        return self.sessions[0].precision

    @overload
    def predict(
        self, images: OneImage, **options: Unpack[PredictOptions]
    ) -> Prediction: ...
    @overload
    def predict(
        self, images: ImageArray, **options: Unpack[PredictOptions]
    ) -> Prediction | list[Prediction]: ...
    @overload
    def predict(
        self, images: ImageSequence, **options: Unpack[PredictOptions]
    ) -> list[Prediction]: ...
    def predict(
        self,
        images: ImageLike,
        *,
        value_range: tuple[float, float] | None = None,
        spacing: Spacing | None = None,
        crop: bool = True,
        prior: Mapping[str, float] | None = None,
    ) -> Prediction | list[Prediction]:
        """Compute class and lesions in one pass over the network.

        Parameters
        ----------
        images
            A path, an open file, a PIL image, an array (H, W), (H, W, 3), (H, W, 4),
            (N, H, W), (N, H, W, 3) or (N, H, W, 4), or a list of these, sizes mixed.
            Never changed.
        value_range
            What is black and what is white in arrays; by default 0 and the largest
            number of an integer type, 0 and 1 for floating point.
        spacing
            Millimetres from row to row and from column to column, for measures in
            millimetres. Where a file has a spacing of its own, that one is used, and
            the result's notes say so.
        crop
            Whether only the tissue region of a DICOM frame is looked at, where the file
            names it; of several, the one with the largest lesion counts. The result
            keeps the frame's geometry.
        prior
            Probability of each class in the cohort that the images come from, such as
            ``{"normal": 0, "benign": 0.6, "malignant": 0.4}``; a class that is not
            named has none. The probabilities, which assume the model's own
            ``info.class_shares``, are re-weighed by the ratio of both (Saerens,
            Latinne, Decaestecker, Neural Computation 14, 2002).

        Returns
        -------
        Prediction or list of Prediction
            One for one image, a list for several.

        Raises
        ------
        ImageTypeError, ImageValueError, ImageFileError
            If an image cannot be used; nothing is predicted then.
        ModelError
            If the model lacks one of the two heads, or a class of the prior.
        """
        options = Options(spacing, crop, prior)
        return self._predict_as(Prediction, images, value_range, options)

    @overload
    def classify(
        self, images: OneImage, **options: Unpack[ClassifyOptions]
    ) -> Classification: ...
    @overload
    def classify(
        self, images: ImageArray, **options: Unpack[ClassifyOptions]
    ) -> Classification | list[Classification]: ...
    @overload
    def classify(
        self, images: ImageSequence, **options: Unpack[ClassifyOptions]
    ) -> list[Classification]: ...
    def classify(
        self,
        images: ImageLike,
        *,
        value_range: tuple[float, float] | None = None,
        crop: bool = True,
        prior: Mapping[str, float] | None = None,
    ) -> Classification | list[Classification]:
        """Compute the class alone, without the decoder; see :meth:`predict`."""
        options = Options(None, crop, prior)
        return self._predict_as(Classification, images, value_range, options)

    @overload
    def segment(
        self, images: OneImage, **options: Unpack[SegmentOptions]
    ) -> Segmentation: ...
    @overload
    def segment(
        self, images: ImageArray, **options: Unpack[SegmentOptions]
    ) -> Segmentation | list[Segmentation]: ...
    @overload
    def segment(
        self, images: ImageSequence, **options: Unpack[SegmentOptions]
    ) -> list[Segmentation]: ...
    def segment(
        self,
        images: ImageLike,
        *,
        value_range: tuple[float, float] | None = None,
        spacing: Spacing | None = None,
        crop: bool = True,
    ) -> Segmentation | list[Segmentation]:
        """Compute the lesions alone; see :meth:`predict`."""
        options = Options(spacing, crop)
        return self._predict_as(Segmentation, images, value_range, options)

    def _predict_as(
        self,
        kind: type[R],
        images: ImageLike,
        value_range: tuple[float, float] | None,
        options: Options,
    ) -> R | list[R]:
        pictures = read(images, value_range=value_range)
        predicted = list(self.stream(pictures, kind, options))
        return predicted[0] if is_single(images) else predicted

    def stream(
        self,
        pictures: Iterable[Picture],
        kind: type[R],
        options: Options = Options(),  # noqa: B008  frozen
    ) -> Iterator[R]:
        """Yield the result of each picture, of the given kind, in their order.

        Raises
        ------
        ModelError
            If the model lacks a head that the kind needs, or a class of the prior.
        """
        self._check_heads(heads_of(kind))
        return results(self.sessions, self.info, pictures, kind, options)

    def _check_heads(self, heads: Sequence[str]) -> None:
        missing = [head for head in heads if head not in self.info.heads]
        if missing:
            raise ModelError(
                f"the model has no {missing[0]} head, only "
                f"{' and '.join(self.info.heads)}"
            )
