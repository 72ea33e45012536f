"""Models: a network with weights, ready to predict."""

from __future__ import annotations

import collections
import functools
import os
import threading
from collections.abc import Iterable, Iterator, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from busnet import _core, weights
from busnet.engine.threads import get_threads, take_threads
from busnet.errors import (
    ImageValueError,
    MissingExtraError,
    MissingWeightsError,
    ModelError,
    WeightsError,
)
from busnet.images import ImageLike, Picture, is_single, iterate, pictures
from busnet.inference import (
    Kind,
    Options,
    forward,
    heads_of,
    results,
)
from busnet.inference.activation import class_activation
from busnet.lesions import Spacing
from busnet.model_info import ModelInfo
from busnet.networks import COARSE_MASK, STAGES
from busnet.results import Classification, Prediction, Segmentation

__all__ = ["DEFAULT", "Model", "classify", "load", "predict", "segment", "shipped"]

#: Name of the embedded model that is used where none is named.
DEFAULT = "mod_resnet101"

#: How a model may compute; see :func:`load`.
PRECISIONS = ("f32", "exact", "bf16", "int8")

#: Images that are computed together, by precision: of more, the maps between layers
#: would not stay in the cache, and of fewer, weights are read more often.
TOGETHER = {"f32": 4, "exact": 4, "bf16": 8, "int8": 16}

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
    path
        The file that both came from.
    precision
        ``"f32"``, ``"exact"``, ``"bf16"`` or ``"int8"``; see :func:`load`.
    """

    def __init__(
        self,
        info: ModelInfo,
        arrays: _core.Weights,
        path: Path,
        *,
        precision: str = "f32",
    ) -> None:
        self.info = info
        self.path = path
        self.precision = precision
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

    def __reduce__(self) -> Any:
        """Pickle what the model was loaded from: its shipped name, or its path."""
        name = self.path.stem
        known = shipped().get(name) == self.path
        return _load_again, (name if known else os.fspath(self.path), self.precision)

    def predict(
        self,
        images: ImageLike,
        *,
        value_range: tuple[float, float] | None = None,
        spacing: Spacing | None = None,
        crop: bool = True,
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
            millimetres. Where a file has a spacing of its own, that one is used, and
            the result's notes say so.
        crop
            Whether only the tissue region of a DICOM frame is looked at, where the file
            names it; of several, the one with the largest lesion counts. The result
            keeps the frame's geometry.

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
        options = Options(spacing, crop)
        return self._several(images, Prediction, value_range, options)

    def classify(
        self,
        images: ImageLike,
        *,
        value_range: tuple[float, float] | None = None,
        crop: bool = True,
    ) -> Any:
        """Compute the class alone, without the decoder; see :meth:`predict`.

        Returns
        -------
        Classification or list of Classification
        """
        options = Options(None, crop)
        return self._several(images, Classification, value_range, options)

    def segment(
        self,
        images: ImageLike,
        *,
        value_range: tuple[float, float] | None = None,
        spacing: Spacing | None = None,
        crop: bool = True,
    ) -> Any:
        """Compute the lesions alone; see :meth:`predict`.

        Returns
        -------
        Segmentation or list of Segmentation
        """
        options = Options(spacing, crop)
        return self._several(images, Segmentation, value_range, options)

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
            Of ``"class"``, ``"mask"`` and the stages ``"layer1"`` to ``"layer4"`` those
            to compute; by default the heads that the model has.

        Returns
        -------
        dict
            ``"class"``: logits (N, classes); ``"mask"``: lesion logits (N, H, W);
            stages: maps (N, H / s, W / s, C), s from 4 for ``"layer1"`` to 32.
        """
        names = tuple(outputs) if outputs is not None else self.info.network.heads
        return self.compute(batch, outputs=names)

    def compute(
        self, batch: FloatArray, *, outputs: Sequence[str], lane: int | None = None
    ) -> dict[str, FloatArray]:
        """Compute as :meth:`run` does, in a lane as far as one is given.

        Lanes compute beside each other, on one thread each.
        """
        if batch.ndim not in (3, 4):
            raise ImageValueError(
                f"got an array of shape {batch.shape}; expected (N, H, W, C)"
            )
        count = len(batch)
        pieces = max(1, -(-count // TOGETHER[self.precision]))
        ends = [count * (i + 1) // pieces for i in range(pieces)]
        found = [
            self.plan(end - start, batch.shape[1:3], outputs, lane=lane).run(
                batch[start:end]
            )
            for start, end in zip([0, *ends], ends, strict=False)
        ]
        computed = {
            name: np.concatenate([piece[name] for piece in found])
            if pieces > 1
            else array
            for name, array in found[0].items()
        }
        flat: dict[str, tuple[int, ...]] = {"class": (1, 2), "mask": (3,)}
        return {
            name: array.squeeze(flat[name]) if name in flat else array
            for name, array in computed.items()
        }

    def features(
        self,
        images: ImageLike,
        *,
        stage: str = "layer4",
        pool: bool = True,
        value_range: tuple[float, float] | None = None,
    ) -> FloatArray:
        """Compute the maps of a stage: frozen features for a classifier of one's own.

        A model that was trained on an image knows it: features of BUSI by a model that
        was trained on BUSI give figures that are too good.

        Parameters
        ----------
        images
            See :meth:`predict`.
        stage
            ``"layer1"`` to ``"layer4"``; later stages are deeper and coarser.
        pool
            Whether the maps are averaged over the letterboxed square, as the network's
            own class head does.
        value_range
            See :meth:`predict`.

        Returns
        -------
        numpy.ndarray
            float32 (N, C) or, without ``pool``, (N, size / s, size / s, C) with s from
            4 for ``"layer1"`` to 32; without the N for one image.

        Raises
        ------
        ImageTypeError, ImageValueError, ImageFileError
            If an image cannot be used.
        ModelError
            If there is no such stage.
        """
        if stage not in STAGES:
            raise ModelError(
                f"there is no stage {stage!r}; stages are {', '.join(STAGES)}"
            )
        maps = np.concatenate(
            list(
                forward(
                    self.info,
                    self.compute,
                    iterate(images, value_range=value_range),
                    (stage,),
                    lambda _, outputs: (
                        outputs[stage].mean((1, 2)) if pool else outputs[stage]
                    ),
                )
            )
        )
        return maps[0] if is_single(images) else maps

    def activation_map(
        self,
        image: ImageLike,
        label: str | None = None,
        *,
        value_range: tuple[float, float] | None = None,
    ) -> FloatArray:
        """Compute how much each place adds to a class's logit (Zhou et al., CVPR 2016).

        The last stage's map, weighted as the class head weights its means over the
        image and over the lesion: exact for these networks, coarse by nature (1/32 of
        the resolution), and no evidence of where a lesion is. The mask is what was
        trained to say that.

        Parameters
        ----------
        image
            One image; see :meth:`predict`.
        label
            Name of the class; by default the most probable one.
        value_range
            See :meth:`predict`.

        Returns
        -------
        numpy.ndarray
            float32 (H, W) of the image's own size, in logits: over the letterboxed
            square its mean and a constant, the class's bias, add up to the logit. Of a
            head that pools over the lesion the constant holds, too, what the lesion's
            area and largest probability contribute.

        Raises
        ------
        ImageTypeError, ImageValueError, ImageFileError
            If the image cannot be used, or is several.
        ModelError
            If the model has no class head, or no such class.
        """
        if not is_single(image):
            raise ImageValueError("an activation map is of one image, not of several")
        self._check_heads(("class",))
        if label is not None and label not in self.info.classes:
            raise ModelError(
                f"there is no class {label!r}; classes are "
                f"{', '.join(self.info.classes)}"
            )
        read = pictures(image, value_range=value_range)
        lesion = self.info.network.pooling == "lesion"
        names = ("class", STAGES[-1], *((COARSE_MASK,) if lesion else ()))
        ((box, outputs),) = forward(
            self.info, self.compute, read, names, lambda boxes, found: (boxes[0], found)
        )
        index = (
            int(outputs["class"][0].argmax())
            if label is None
            else self.info.classes.index(label)
        )
        heads = weights.read_arrays(self.path, ["fc.weight", "lesion_fc.weight"])
        places = class_activation(
            outputs[STAGES[-1]][0],
            heads["fc.weight"][index],
            lesion_head=heads["lesion_fc.weight"][index] if lesion else None,
            coarse_mask=outputs[COARSE_MASK][0, :, :, 0] if lesion else None,
        )
        return box.restore(places)

    def to_torch(self) -> Any:
        """Return the network as a trainable PyTorch module (extra ``train``).

        Called with float32 images (N, C, H, W) in 0..1, it gives logits by name:
        ``"class"`` (N, classes), ``"mask"`` (N, 1, H, W). It is in evaluation mode and
        has its own copy of the weights, those stored in 8 bits expanded.

        Raises
        ------
        MissingExtraError
            If PyTorch is not installed.
        """
        try:
            from busnet.training.graph import from_arrays
        except ImportError as error:
            raise MissingExtraError(
                f"PyTorch needs the extra: pip install 'busnet[train]' ({error})"
            ) from None
        return from_arrays(self.info, weights.read_arrays(self.path))

    def plan(
        self,
        batch: int,
        size: tuple[int, ...],
        outputs: Sequence[str],
        *,
        lane: int | None = None,
    ) -> _core.Plan:
        """Return the engine's plan for a batch of images of (height, width).

        The last few plans are kept, and those of lanes.
        """
        threads = take_threads() if lane is None else 1
        key = (batch, size, tuple(outputs), threads, lane)
        with self._lock:
            plan = self._plans.pop(key, None)
            if plan is None:
                plan = self._new_plan(batch, size, outputs, threads)
            self._plans[key] = plan
            most = MOST_PLANS + (0 if lane is None else get_threads())
            while len(self._plans) > most:
                self._plans.popitem(last=False)
        return plan

    def _new_plan(
        self, batch: int, size: tuple[int, ...], outputs: Sequence[str], threads: int
    ) -> _core.Plan:
        def new() -> _core.Plan:
            height, width = size
            return _core.Plan(
                self._weights, batch, height, width, threads=threads, outputs=outputs
            )

        try:
            return new()
        except LookupError:
            # The cache had the weights in other layouts; now they are packed anew.
            info, self._weights = weights.load(
                self.path, threads=threads, precision=self.precision, kept=False
            )
            if info != self.info:
                raise WeightsError(f"{self.path}: it was changed meanwhile") from None
            return new()

    def stream(
        self,
        images: Iterable[Picture],
        kind: Kind,
        options: Options = Options(),  # noqa: B008  frozen
    ) -> Iterator[Any]:
        """Yield the result of each picture, of the given kind, in their order."""
        self._check_heads(heads_of(kind))
        return results(self.info, self.compute, images, kind, options)

    def _check_heads(self, heads: Sequence[str]) -> None:
        missing = [head for head in heads if head not in self.info.network.heads]
        if missing:
            raise ModelError(
                f"the model has no {missing[0]} head, only "
                f"{' and '.join(self.info.network.heads)}"
            )

    def _several(
        self,
        images: ImageLike,
        kind: Kind,
        value_range: tuple[float, float] | None,
        options: Options,
    ) -> Any:
        read = iterate(images, value_range=value_range)
        found = list(self.stream(read, kind, options))
        return found[0] if is_single(images) else found


def _models_folder() -> Path:
    return Path(str(resources.files("busnet.models")))


def shipped() -> dict[str, Path]:
    """Return name and file of each model that is part of the package."""
    return {path.stem: path for path in sorted(_models_folder().glob("*.safetensors"))}


def load(
    model: str | os.PathLike[str] = DEFAULT,
    *,
    exact: bool = False,
    precision: str = "f32",
) -> Model:
    """Load a model.

    Parameters
    ----------
    model
        A shipped name, such as ``"mod_resnet101"``, or a path to a ``.safetensors``
        file that busnet wrote.
    exact
        Whether every layer is computed directly, ``precision="exact"`` for short. By
        default 3x3 convolutions go by Winograd's algorithm where that is faster; it
        rounds more: logits differ by some 1e-5 of their size at most.
    precision
        ``"f32"``, ``"exact"``, ``"bf16"``, maps and weights in bfloat16, sums in
        float32, where the CPU has it, or ``"int8"``, maps and weights in 8 bits, sums
        in 32, for models that were calibrated for it, as shipped ones are; see
        :func:`busnet.quantization.quantize`.

    Raises
    ------
    MissingWeightsError
        If there is no such model.
    WeightsError
        If the file is not a whole weights file of a known network.
    ModelError
        If there is no such precision, or this CPU lacks it.
    """
    path = find(model)
    precision = _check_precision("exact" if exact and precision == "f32" else precision)
    if exact and precision != "exact":
        raise ModelError(f"exact results are not to be had in {precision}")
    threads = take_threads()
    info, arrays = weights.load(path, threads=threads, precision=precision)
    return Model(info, arrays, path, precision=precision)


def find(model: str | os.PathLike[str]) -> Path:
    """Return the file of a shipped model's name, or of a path to one.

    Raises
    ------
    MissingWeightsError
        If it is neither.
    """
    name = os.fspath(model)
    known = shipped()
    path = known.get(name, Path(name))
    if name not in known and path.suffix != ".safetensors":
        raise MissingWeightsError(
            f"no model is called {name!r}; shipped are {', '.join(known) or 'none'}, "
            f"anything else is a path to a .safetensors file"
        )
    return path


def _check_precision(precision: str) -> str:
    if precision not in PRECISIONS:
        raise ModelError(
            f"there is no precision {precision!r}; there are {', '.join(PRECISIONS)}"
        )
    if precision == "bf16" and not _core.engine()["bf16"]:
        raise ModelError("this CPU does not compute in bfloat16; use precision='f32'")
    return precision


def _load_again(model: str, precision: str) -> Model:
    return load(model, precision=precision)


@functools.cache
def _default() -> Model:
    return load()


def predict(
    images: ImageLike,
    *,
    value_range: tuple[float, float] | None = None,
    spacing: Spacing | None = None,
    crop: bool = True,
) -> Any:
    """Predict with the embedded model; see :meth:`Model.predict`."""
    return _default().predict(
        images, value_range=value_range, spacing=spacing, crop=crop
    )


def classify(
    images: ImageLike,
    *,
    value_range: tuple[float, float] | None = None,
    crop: bool = True,
) -> Any:
    """Classify with the embedded model; see :meth:`Model.classify`."""
    return _default().classify(images, value_range=value_range, crop=crop)


def segment(
    images: ImageLike,
    *,
    value_range: tuple[float, float] | None = None,
    spacing: Spacing | None = None,
    crop: bool = True,
) -> Any:
    """Segment with the embedded model; see :meth:`Model.segment`."""
    return _default().segment(
        images, value_range=value_range, spacing=spacing, crop=crop
    )
