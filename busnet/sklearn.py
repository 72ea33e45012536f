"""A scikit-learn classifier on a network's frozen features (extra ``evaluate``)."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from busnet.errors import ImageTypeError, ImageValueError, ModelError, requires_extra
from busnet.images import Picture
from busnet.images.arrays import as_array
from busnet.inference.predictor import Predictor
from busnet.model import Model, load

with requires_extra("evaluate"):
    from sklearn.base import BaseEstimator, ClassifierMixin
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.utils.multiclass import check_classification_targets
    from sklearn.utils.validation import check_is_fitted, validate_data

__all__ = ["BusnetClassifier"]

#: Steps of the classifier that take sample weights.
_WEIGHTED = ("standardscaler", "logisticregression")


class BusnetClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Logistic regression on the pooled activations of a stage, standardised.

    For classes and data of one's own, where training a network is too much. A model
    that was trained on an image knows it: with the shipped models, cross-validation on
    BUSI gives figures that are too good.

    Parameters
    ----------
    model
        A model, or what :func:`busnet.load` takes.
    stage
        ``"layer1"`` to ``"layer4"``; see :meth:`busnet.Model.features`.
    C
        Inverse strength of the L2 penalty.
    max_iter
        Maximum number of iterations of the solver.
    image_shape
        (height, width) of the images whose pixels are the rows of a two-dimensional
        ``X``; by default (1, features).

    Attributes
    ----------
    classes_
        The labels.
    n_iter_
        Iterations of the solver.
    n_features_in_
        Numbers a row, of a two-dimensional ``X``.
    range_
        What is black and what is white, of a two-dimensional ``X``: the minimum and the
        maximum of what it was fitted on.
    """

    def __init__(
        self,
        model: Model | str | os.PathLike[str] = "resnet18",
        *,
        stage: str = "layer4",
        C: float = 1.0,  # noqa: N803  scikit-learn's name
        max_iter: int = 1000,
        image_shape: tuple[int, int] | None = None,
    ) -> None:
        self.model = model
        self.stage = stage
        self.C = C
        self.max_iter = max_iter
        self.image_shape = image_shape

    def fit(
        self,
        X: Any,  # noqa: N803
        y: Any,
        sample_weight: npt.ArrayLike | None = None,
    ) -> BusnetClassifier:
        """Compute features of images and fit the classifier on them.

        Parameters
        ----------
        X
            A sequence of images in any form that :meth:`busnet.Model.predict` takes,
            an array (N, H, W) or (N, H, W, 3) of any N, or a two-dimensional array
            whose rows are the pixels of an image each.
        y
            N labels.
        sample_weight
            How much each image counts, N numbers; by default all the same. An image of
            weight 2 counts as two images, in the standardisation as well.

        Raises
        ------
        ImageTypeError, ImageValueError, ImageFileError
            If an image cannot be used.
        ModelError
            If the model is an ensemble.
        ValueError
            If labels or weights do not fit the images, or all labels are the same.
        """
        if _holds_images(X):
            y = np.asarray(y)
            if len(y) != len(X):
                raise ValueError(f"{len(X)} images have {len(y)} labels")
        else:
            X, y = validate_data(self, X, y, dtype=np.float64)  # noqa: N806
            self.range_ = (float(X.min()), float(X.max()))
        check_classification_targets(y)
        if len(np.unique(y)) < 2:
            raise ValueError("the labels are all of one class; a classifier needs two")
        self.model_ = self._loaded()
        self.classifier_ = make_pipeline(
            StandardScaler(), LogisticRegression(C=self.C, max_iter=self.max_iter)
        )
        features, weights = self._features(X), {}
        if sample_weight is not None:
            checked = _checked_weights(sample_weight, len(features))
            weights = {f"{step}__sample_weight": checked for step in _WEIGHTED}
        self.classifier_.fit(features, y, **weights)
        self.classes_ = self.classifier_.classes_
        self.n_iter_ = self.classifier_[-1].n_iter_
        return self

    def _loaded(self) -> Model:
        model = self.model if isinstance(self.model, Predictor) else load(self.model)
        if not isinstance(model, Model):
            raise ModelError("features are of one model; an ensemble has none")
        return model

    def predict(self, X: Any) -> npt.NDArray[Any]:  # noqa: N803
        """Return the label of each image."""
        features = self._checked(X)
        return np.asarray(self.classifier_.predict(features))

    def predict_proba(self, X: Any) -> npt.NDArray[np.float64]:  # noqa: N803
        """Return probabilities (N, classes), classes in the order of ``classes_``."""
        features = self._checked(X)
        return np.asarray(self.classifier_.predict_proba(features))

    def decision_function(self, X: Any) -> npt.NDArray[np.float64]:  # noqa: N803
        """Return logits: (N,) for two classes, (N, classes) for more."""
        features = self._checked(X)
        return np.asarray(self.classifier_.decision_function(features))

    def _checked(self, X: Any) -> npt.NDArray[np.float32]:  # noqa: N803
        check_is_fitted(self)
        if not _holds_images(X):
            X = validate_data(self, X, reset=False, dtype=np.float64)  # noqa: N806
        return self._features(X)

    def _features(self, X: Any) -> npt.NDArray[np.float32]:  # noqa: N803
        if _holds_images(X):
            features = self.model_.features(list(X), stage=self.stage)
            if len(features) != len(X):
                raise ImageValueError(
                    f"X has {len(X)} items, but {len(features)} images: an item is one "
                    f"image, not a batch"
                )
            return features
        if not hasattr(self, "range_"):
            raise ImageValueError("it was fitted on images, but X is two-dimensional")
        height, width = self.image_shape or (1, X.shape[1])
        if height * width != X.shape[1]:
            raise ImageValueError(
                f"rows of {X.shape[1]} numbers are no images of {height} x {width}"
            )
        black, white = self.range_
        white = white if white > black else black + 1.0
        images = X.reshape(-1, height, width)
        return self.model_.features(
            list(images), stage=self.stage, value_range=(black, white)
        )

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        tags.input_tags.string = True
        return tags


def _checked_weights(weights: npt.ArrayLike, count: int) -> npt.NDArray[np.float64]:
    array = np.asarray(weights, np.float64)
    if array.shape != (count,):
        raise ValueError(
            f"sample_weight is of shape {array.shape}; {count} images need ({count},)"
        )
    if not (np.isfinite(array).all() and (array >= 0).all() and array.any()):
        raise ValueError(
            "sample_weight must be finite and not negative, and not all zero"
        )
    return array


def _holds_images(X: Any) -> bool:  # noqa: N803
    """Tell images from rows of numbers.

    Raises
    ------
    ImageTypeError
        If it is one image.
    """
    if isinstance(X, (str, os.PathLike, Image.Image, Picture)) or hasattr(X, "read"):
        raise ImageTypeError("X is several images; put a single one in a list")
    if isinstance(X, np.ndarray) and X.dtype.kind not in "OUS":
        return X.ndim > 2
    if not isinstance(X, (Sequence, np.ndarray)) or not len(X):
        return False
    first = X[0]
    if (array := as_array(first)) is not None:
        return array.ndim > 1
    kinds = (str, os.PathLike, Image.Image, Picture)
    return isinstance(first, kinds) or hasattr(first, "read")
