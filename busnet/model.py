"""Models: a network with weights, ready to predict."""

from __future__ import annotations

import functools
import os
import shutil
import tempfile
import weakref
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, overload

import numpy as np
import numpy.typing as npt

from busnet.engine.session import Session
from busnet.errors import ImageTypeError, ImageValueError, ModelError, requires_extra
from busnet.images import ImageLike, is_single, read
from busnet.images.arrays import as_array
from busnet.inference import features
from busnet.inference.ensemble import Ensemble, ModelSequence
from busnet.inference.predictor import Predictor
from busnet.model_info import ModelInfo
from busnet.models import DEFAULT, locate_model

if TYPE_CHECKING:
    from busnet.training.graph import TorchGraph

__all__ = ["Model", "load", "load_temporary"]

FloatArray = npt.NDArray[np.float32]

#: What a prepared batch may lie between: 0..1, with what resizing overshoots.
_LOWEST, _HIGHEST = -1.0, 2.0


class Model(Predictor):
    """A network with weights.

    Safe to use from several threads, which take turns on the same input shape.

    Parameters
    ----------
    session
        The weights in the engine; :func:`load` makes it.
    name
        Name by which :func:`load` finds the model, where it has one.
    is_temporary
        Whether the weights file lives only as long as the model.
    """

    def __init__(
        self, session: Session, *, name: str | None = None, is_temporary: bool = False
    ) -> None:
        self.session = session
        self._name = name
        self._is_temporary = is_temporary

    @property
    def sessions(self) -> tuple[Session]:
        """The weights in the engine."""
        return (self.session,)

    @property
    def info(self) -> ModelInfo:
        """What the weights file says of the model."""
        return self.session.info

    @property
    def path(self) -> Path:
        """The weights file."""
        return self.session.path

    @property
    def name(self) -> str:
        """Name of the shipped model or plug-in, or else of the weights file."""
        return self._name or self.path.name

    def __repr__(self) -> str:
        """Return network, classes and size."""
        return (
            f"Model({self.info.network.name}, classes={list(self.info.classes)}, "
            f"image_size={self.info.image_size})"
        )

    def __reduce__(self) -> tuple[Callable[[], Model], tuple[()]]:
        """Pickle what the model was loaded from: its name, its path, or the file."""
        if self._is_temporary:
            content = self.path.read_bytes()
            return functools.partial(_from_bytes, content, precision=self.precision), ()
        name = self._name or os.fspath(self.path)
        return functools.partial(load, name, precision=self.precision), ()

    def run(
        self, batch: FloatArray, *, outputs: Sequence[str] | None = None
    ) -> dict[str, FloatArray]:
        """Compute raw outputs of images that are prepared already.

        Parameters
        ----------
        batch
            float32 (N, H, W, C) in 0..1, or (N, H, W) for one channel; C-contiguous;
            any height and width that the network admits. Resizing may overshoot 0..1.
        outputs
            Of ``"class"``, ``"mask"`` and the stages ``"layer1"`` to ``"layer4"`` those
            to compute; by default the heads that the model has.

        Returns
        -------
        dict
            ``"class"``: logits (N, classes); ``"mask"``: lesion logits (N, H, W);
            stages: activations (N, H / s, W / s, C), s from 4 for ``"layer1"`` to 32.

        Raises
        ------
        ImageTypeError
            If the batch is no array of float32.
        ImageValueError
            If the batch's shape is not one of a batch, a number in it is infinite, NaN
            or masked, or its numbers have another range, such as 0..255.
        ValueError, TypeError
            If the network does not admit the size, or there is no such output.
        """
        names = self.info.network.heads if outputs is None else outputs
        return self.session.run(_checked_batch(batch), names)

    def features(
        self,
        images: ImageLike,
        *,
        stage: str = "layer4",
        pool: bool = True,
        value_range: tuple[float, float] | None = None,
        crop: bool = True,
    ) -> FloatArray:
        """Compute activations of a stage: features for a classifier of one's own.

        A model that was trained on an image knows it: features of BUSI by a model that
        was trained on BUSI give figures that are too good.

        Parameters
        ----------
        images, value_range
            See :meth:`predict`.
        stage
            ``"layer1"`` to ``"layer4"``; later stages are deeper and coarser.
        pool
            Whether to average over the network's square, as its own class head does.
        crop
            Whether only the tissue region of a DICOM frame is looked at, where the file
            names one; a frame with several is refused.

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
        pictures = read(images, value_range=value_range)
        stacked = features.stage_features(
            self.session, pictures, stage, pool=pool, crop=crop
        )
        return np.asarray(stacked[0]) if is_single(images) else stacked

    def activation_map(
        self,
        image: ImageLike,
        label: str | None = None,
        *,
        value_range: tuple[float, float] | None = None,
        crop: bool = True,
    ) -> FloatArray:
        """Compute how much each place adds to a class's logit (Zhou et al., CVPR 2016).

        The last stage's activations, weighted as the class head weights their means
        over the image and over the lesion: exact for these networks, coarse by nature
        (1/32 of the resolution), and no evidence of where a lesion is. The mask is what
        was trained to say that.

        Parameters
        ----------
        image
            One image; see :meth:`predict`.
        label
            Name of the class; by default the most probable one.
        value_range
            See :meth:`predict`.
        crop
            As :meth:`features` takes it.

        Returns
        -------
        numpy.ndarray
            float32 (H, W) of the image's own size, in logits: over the network's square
            its mean and a constant, the class's bias, add up to the logit. Of a head
            that pools over the lesion the constant holds, too, what the lesion's area
            and largest probability contribute. Pixels that a centre crop cuts off, or
            that lie outside the tissue region, are NaN.

        Raises
        ------
        ImageTypeError, ImageValueError, ImageFileError
            If the image cannot be used, or is several.
        ModelError
            If the model has no class head, or no such class.
        WeightsError
            If the weights file was changed since it was loaded.
        """
        if not is_single(image):
            raise ImageValueError("an activation map is of one image, not of several")
        self._check_heads(("class",))
        (picture,) = read(image, value_range=value_range)
        return features.activation_map(self.session, picture, label, crop=crop)

    def to_torch(self) -> TorchGraph:
        """Return the network as a trainable PyTorch module (extra ``train``).

        Called with float32 images (N, C, H, W) in 0..1, it gives logits by name:
        ``"class"`` (N, classes), ``"mask"`` (N, 1, H, W). It is in evaluation mode and
        has its own copy of the weights, those stored in 8 bits expanded.

        Raises
        ------
        MissingExtraError
            If PyTorch is not installed.
        WeightsError
            If the weights file was changed since it was loaded.
        """
        with requires_extra("train"):
            from busnet.training.graph import from_arrays
        return from_arrays(self.info, self.session.read_arrays())


@overload
def load(
    model: str | os.PathLike[str] = DEFAULT, *, precision: str = "f32"
) -> Model: ...
@overload
def load(model: ModelSequence, *, precision: str = "f32") -> Ensemble: ...
def load(
    model: str | os.PathLike[str] | ModelSequence = DEFAULT, *, precision: str = "f32"
) -> Model | Ensemble:
    """Load a model, or several as an ensemble.

    Parameters
    ----------
    model
        A shipped name, such as ``"mod_resnet101"``, the name of a plug-in's model, or a
        path to a ``.safetensors`` file that busnet wrote; or a list of these.
    precision
        - ``"f32"``: float32; 3x3 convolutions go by Winograd's algorithm where that is
          faster, which rounds more: logits differ by about 1e-5 of their size.
        - ``"exact"``: float32, every layer computed directly.
        - ``"bf16"``: activations and weights in bfloat16, sums in float32, where the
          CPU has it.
        - ``"int8"``: activations and weights in 8 bits, sums in 32, for models that
          were calibrated for it, as shipped ones are; see
          :func:`busnet.quantization.quantize`.

    Raises
    ------
    MissingWeightsError
        If there is no such model.
    WeightsError
        If the file is not a whole weights file of a known network.
    ModelError
        If there is no such precision, or this CPU lacks it, or the models are no
        ensemble; see :class:`Ensemble`.
    """
    if isinstance(model, str | os.PathLike):
        file = locate_model(model)
        session = Session(file.path, precision=precision)
        return Model(session, name=file.name if file.is_named else None)
    if not isinstance(model, Sequence):
        raise ModelError(f"a {type(model).__name__} names no model")
    return Ensemble([load(member, precision=precision) for member in model])


def load_temporary(write: Callable[[Path], object], *, precision: str = "f32") -> Model:
    """Load a model from a file that lives only as long as the model.

    Parameters
    ----------
    write
        Writes the weights file at the path that it is called with.
    precision
        See :func:`load`.
    """
    folder = tempfile.mkdtemp(prefix="busnet-")
    try:
        path = Path(folder, "converted.safetensors")
        write(path)
        session = Session(path, precision=precision, use_cache=False)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    weakref.finalize(session, _remove, folder, os.getpid())
    return Model(session, is_temporary=True)


def _checked_batch(batch: FloatArray) -> FloatArray:
    """Return a batch as an array, with numbers that can be those of images."""
    array = as_array(batch)
    if array is None or array.dtype != np.float32:
        kind = type(batch).__name__ if array is None else array.dtype
        raise ImageTypeError(f"the batch is an array of float32, not {kind}")
    low, high = (array.min(), array.max()) if array.size else (0, 1)
    finite = np.isfinite(low) and np.isfinite(high)  # else the engine names the place
    if finite and (low < _LOWEST or high > _HIGHEST):
        raise ImageValueError(
            f"the batch is in {low:g}..{high:g}; numbers in 0..1 are expected"
        )
    return np.asarray(array, np.float32)


def _remove(folder: str, process: int) -> None:
    """Remove a folder in the process that made it; a fork of it has the same model."""
    if os.getpid() == process:
        shutil.rmtree(folder, ignore_errors=True)


def _from_bytes(content: bytes, *, precision: str) -> Model:
    """Load a model from the content of its file, as pickles hold it."""
    return load_temporary(lambda path: path.write_bytes(content), precision=precision)
