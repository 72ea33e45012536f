"""Models: a network with weights, ready to predict."""

from __future__ import annotations

import collections
import functools
import os
import threading
from collections.abc import Iterator, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from busnet import _core, weights
from busnet.errors import ImageValueError, MissingWeightsError, ModelError
from busnet.images import ImageLike, Letterbox, Picture, is_single, pictures
from busnet.lesions import Spacing
from busnet.results import MALIGNANT, Classification, Prediction, Segmentation
from busnet.threads import take_threads
from busnet.weights import ModelInfo

__all__ = ["DEFAULT", "Model", "classify", "load", "predict", "segment", "shipped"]

#: Name of the embedded model that is used where none is named.
DEFAULT = "mod_resnet101"

#: Images that go through the network together: few, since activations that fall out of
#: the cache cost more than the larger matrices gain.
CHUNK = 4

#: Plans that a model keeps, each with its arena.
MOST_PLANS = 4

FloatArray = npt.NDArray[np.float32]


class Model:
    """A network with weights.

    Safe to use from several threads, which take turns on the same input shape.

    Parameters
    ----------
    info
        What the model is.
    arrays
        The engine's weights, finished.
    """

    def __init__(self, info: ModelInfo, arrays: _core.Weights) -> None:
        self.info = info
        self._weights = arrays
        self._plans: collections.OrderedDict[Any, _core.Plan] = (
            collections.OrderedDict()
        )
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        """Return network, classes and size."""
        return (
            f"Model({self.info.network.name}, classes={list(self.info.classes)}, "
            f"image_size={self.info.image_size})"
        )

    def predict(
        self,
        images: ImageLike,
        *,
        value_range: tuple[float, float] | None = None,
        spacing: Spacing | None = None,
    ) -> Any:
        """Compute class and lesions in one pass over the network.

        Parameters
        ----------
        images
            A path, a PIL image, an array (H, W), (H, W, 3), (H, W, 4), (N, H, W),
            (N, H, W, 3) or (N, H, W, 4) of uint8, uint16, float32 or float64, or a
            list of these, sizes mixed. Never changed.
        value_range
            What is black and what is white in arrays; by default 0 and the largest
            number of an integer type, 0 and 1 for floating point.
        spacing
            Millimetres from row to row and from column to column, for measures in
            millimetres; by default what the file says, if it does.

        Returns
        -------
        Prediction or list of Prediction
            One for one image, a list for several.

        Raises
        ------
        ImageTypeError, ImageValueError, ImageFileError
            If an image cannot be used; nothing is predicted then.
        ModelError
            If the model has not both heads.
        """
        return self._several(images, Prediction, value_range, spacing)

    def classify(
        self, images: ImageLike, *, value_range: tuple[float, float] | None = None
    ) -> Any:
        """Compute the class alone, without the decoder; see :meth:`predict`.

        Returns
        -------
        Classification or list of Classification
        """
        return self._several(images, Classification, value_range, None)

    def segment(
        self,
        images: ImageLike,
        *,
        value_range: tuple[float, float] | None = None,
        spacing: Spacing | None = None,
    ) -> Any:
        """Compute the lesions alone; see :meth:`predict`.

        Returns
        -------
        Segmentation or list of Segmentation
        """
        return self._several(images, Segmentation, value_range, spacing)

    def run(
        self, batch: FloatArray, *, outputs: Sequence[str] | None = None
    ) -> dict[str, FloatArray]:
        """Compute raw outputs of images that are prepared already.

        Parameters
        ----------
        batch
            float32 (N, H, W, C) in 0..1, or (N, H, W) for one channel; C-contiguous;
            any height and width that the network admits.
        outputs
            Of ``"class"`` and ``"mask"`` those to compute; all by default.

        Returns
        -------
        dict
            ``"class"``: logits (N, classes); ``"mask"``: lesion logits (N, H, W).
        """
        names = tuple(outputs) if outputs is not None else self.info.network.heads
        if batch.ndim not in (3, 4):
            raise ImageValueError(
                f"got an array of shape {batch.shape}; expected (N, H, W, C)"
            )
        computed = self.plan(batch.shape[0], batch.shape[1:3], names).run(batch)
        shaped = {"class": (0, 3), "mask": (0, 1, 2)}
        return {
            name: array.reshape([array.shape[axis] for axis in shaped[name]])
            for name, array in computed.items()
        }

    def plan(
        self, batch: int, size: tuple[int, ...], outputs: Sequence[str]
    ) -> _core.Plan:
        """Return the engine's plan for a batch of images of (height, width).

        The last few plans are kept.
        """
        threads = take_threads()
        key = (batch, size, tuple(outputs), threads)
        with self._lock:
            plan = self._plans.pop(key, None)
            if plan is None:
                height, width = size
                plan = _core.Plan(
                    self._weights,
                    batch,
                    height,
                    width,
                    threads=threads,
                    outputs=outputs,
                )
            self._plans[key] = plan
            while len(self._plans) > MOST_PLANS:
                self._plans.popitem(last=False)
        return plan

    def stream(
        self,
        images: Sequence[Picture],
        kind: type[Classification] | type[Segmentation],
        spacing: Spacing | None = None,
    ) -> Iterator[Any]:
        """Yield the result of each picture, of the given kind, in their order."""
        heads = _heads(kind)
        missing = [head for head in heads if head not in self.info.network.heads]
        if missing:
            raise ModelError(
                f"the model has no {missing[0]} head, only "
                f"{' and '.join(self.info.network.heads)}"
            )
        channels, size = self.info.network.channels, self.info.image_size
        for start in range(0, len(images), CHUNK):
            chunk = images[start : start + CHUNK]
            boxes = [Letterbox(*picture.shape, size) for picture in chunk]
            batch = np.zeros((len(chunk), size, size, channels), np.float32)
            for square, box, picture in zip(batch, boxes, chunk, strict=True):
                pixels = picture.channels(1) if channels == 1 else picture.pixels
                box.apply(pixels, square)
            outputs = self.run(batch, outputs=heads)
            for i, (box, picture) in enumerate(zip(boxes, chunk, strict=True)):
                yield kind(
                    name=picture.name,
                    image=picture.pixels,
                    **self._fields(outputs, i, box, spacing or picture.spacing),
                )

    def _several(
        self,
        images: ImageLike,
        kind: type[Classification] | type[Segmentation],
        value_range: tuple[float, float] | None,
        spacing: Spacing | None,
    ) -> Any:
        if spacing is not None:
            spacing = check_spacing(spacing)
        read = pictures(images, value_range=value_range)
        results = list(self.stream(read, kind, spacing))
        return results[0] if is_single(images) else results

    def _fields(
        self,
        outputs: dict[str, FloatArray],
        i: int,
        box: Letterbox,
        spacing: Spacing | None,
    ) -> dict[str, Any]:
        """Return the fields that results take from image ``i`` of the outputs."""
        fields: dict[str, Any] = {}
        if "class" in outputs:
            shares = _softmax(outputs["class"][i] / self.info.temperature)
            fields["label"] = self.info.classes[int(shares.argmax())]
            named = dict(zip(self.info.classes, shares.tolist(), strict=True))
            fields["probabilities"] = named
            fields["abstains"] = bool(shares.max() < self.info.abstain_below)
            fields["exceeds"] = {
                name: named.get(MALIGNANT, 0.0) >= threshold
                for name, threshold in self.info.operating_points.items()
            }
        if "mask" in outputs:
            probability = box.restore(_sigmoid(outputs["mask"][i]))
            fields["lesion_probability"] = probability
            fields["mask"] = probability >= self.info.mask_threshold
            fields["spacing"] = spacing
        return fields


def _heads(kind: type[Classification] | type[Segmentation]) -> tuple[str, ...]:
    heads = []
    if issubclass(kind, Classification):
        heads.append("class")
    if issubclass(kind, Segmentation):
        heads.append("mask")
    return tuple(heads)


def check_spacing(spacing: Spacing) -> Spacing:
    """Return the spacing as two positive floats.

    Raises
    ------
    ImageValueError
        If it is not.
    """
    try:
        row, column = (float(value) for value in spacing)
    except (TypeError, ValueError):
        row = column = float("nan")
    if not (0 < row < float("inf") and 0 < column < float("inf")):
        raise ImageValueError(
            f"spacing is two positive numbers, millimetres a row and a column, "
            f"not {spacing!r}"
        )
    return row, column


def _softmax(logits: FloatArray) -> npt.NDArray[np.float64]:
    powers = np.exp(logits.astype(np.float64) - logits.max())
    return np.asarray(powers / powers.sum())


def _sigmoid(logits: FloatArray) -> FloatArray:
    """Logistic function by way of tanh, which never overflows."""
    half = np.tanh(logits * np.float32(0.5))
    half += np.float32(1)
    half *= np.float32(0.5)
    return half


def _models_folder() -> Path:
    return Path(str(resources.files("busnet.models")))


def shipped() -> dict[str, Path]:
    """Return name and file of each model that is part of the package."""
    return {path.stem: path for path in sorted(_models_folder().glob("*.safetensors"))}


def load(model: str | os.PathLike[str] = DEFAULT, *, exact: bool = False) -> Model:
    """Load a model.

    Parameters
    ----------
    model
        A shipped name, such as ``"mod_resnet101"``, or a path to a ``.safetensors``
        file that busnet wrote.
    exact
        Whether every layer is computed directly. By default 3x3 convolutions of up to
        256 channels go by Winograd's algorithm, which is faster and rounds more: logits
        differ by some 1e-5 of their size.

    Raises
    ------
    MissingWeightsError
        If there is no such model.
    WeightsError
        If the file is not a whole weights file of a known network.
    """
    name = os.fspath(model)
    known = shipped()
    path = known.get(name, Path(name))
    if name not in known and path.suffix != ".safetensors":
        raise MissingWeightsError(
            f"no model is called {name!r}; shipped are {', '.join(known) or 'none'}, "
            f"anything else is a path to a .safetensors file"
        )
    return Model(*weights.load(path, threads=take_threads(), exact=exact))


@functools.cache
def _default() -> Model:
    return load()


def predict(images: ImageLike, **options: Any) -> Any:
    """Predict with the embedded model; see :meth:`Model.predict`."""
    return _default().predict(images, **options)


def classify(
    images: ImageLike, *, value_range: tuple[float, float] | None = None
) -> Any:
    """Classify with the embedded model; see :meth:`Model.classify`."""
    return _default().classify(images, value_range=value_range)


def segment(
    images: ImageLike,
    *,
    value_range: tuple[float, float] | None = None,
    spacing: Spacing | None = None,
) -> Any:
    """Segment with the embedded model; see :meth:`Model.segment`."""
    return _default().segment(images, value_range=value_range, spacing=spacing)
