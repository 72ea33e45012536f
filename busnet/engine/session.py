"""A session: a model's weights in the engine, and the plans that run on them."""

from __future__ import annotations

import collections
import contextlib
import os
import threading
from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from busnet import _core
from busnet.engine import cache
from busnet.engine.buffers import Buffers
from busnet.engine.description import describe_engine
from busnet.engine.file_state import FileState
from busnet.engine.slots import Slots
from busnet.engine.threads import claim_threads, get_threads
from busnet.errors import CacheMissError, ImageValueError, ModelError, WeightsError
from busnet.model_info import ModelInfo
from busnet.networks import build
from busnet.weights import read_arrays, read_info, read_stored

__all__ = ["BATCH_SIZE", "MAX_PLANS", "PRECISIONS", "Session"]

#: Images that go through the network together, by precision: of more, the activations
#: would not stay in the CPU's cache, and of fewer, weights are read more often.
BATCH_SIZE = {"f32": 4, "exact": 4, "bf16": 4, "int8": 4}

#: The same where all threads compute one batch, each a part of every layer: smaller
#: types leave room for more images.
SHARED_BATCH_SIZE = {"f32": 4, "exact": 4, "bf16": 8, "int8": 16}

#: How a session may compute; see :func:`busnet.load`.
PRECISIONS = tuple(BATCH_SIZE)

#: Plans that a session keeps, each with its arena, beside those of the slots.
MAX_PLANS = 4

#: Axes of length 1 that outputs lose: logits are (N, classes) and (N, H, W).
_FLAT_AXES = {"class": (1, 2), "mask": (3,)}

FloatArray = npt.NDArray[np.float32]

#: What a plan is made for: batch, size, outputs, threads, slot.
_Key = tuple[int, tuple[int, int], tuple[str, ...], int, "int | None"]


class Session:
    """A model's weights in the engine, and the plans that run on them.

    Safe to use from several threads; two that want the same plan take turns.

    Parameters
    ----------
    path
        A weights file.
    precision
        One of :data:`PRECISIONS`; see :func:`busnet.load`.
    use_cache
        Whether packed weights are taken from the user's cache and stored there. Of a
        file that is about to be removed they would only fill it.

    Attributes
    ----------
    info
        What the file says of the model.
    buffers
        Memory for batches.

    Raises
    ------
    MissingWeightsError
        If there is no such file.
    WeightsError
        If it is not a whole weights file of a known network, or was not calibrated
        for int8.
    ModelError
        If there is no such precision, or this CPU lacks it.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        precision: str = "f32",
        use_cache: bool = True,
    ) -> None:
        self.path = Path(path)
        self.precision = _check_precision(precision)
        self._use_cache = use_cache
        self._state = FileState.of(self.path)
        self.info = read_info(self.path)
        self.buffers = Buffers()
        self._slots = Slots()
        self._lock = threading.Lock()
        self._plans: collections.OrderedDict[_Key, _core.Plan] = (
            collections.OrderedDict()
        )
        self._weights = self._load_weights(from_cache=True)

    def run(
        self, batch: FloatArray, outputs: Sequence[str], *, alone: bool = False
    ) -> dict[str, FloatArray]:
        """Compute outputs of a batch, some images at a time.

        Those are :data:`BATCH_SIZE` alone, else :data:`SHARED_BATCH_SIZE`.

        Parameters
        ----------
        batch
            float32 (N, H, W, C) in 0..1, or (N, H, W) for one channel; C-contiguous;
            any height and width that the network admits.
        outputs
            Names of those to compute: of the network's heads, of the stages, and
            ``"coarse_mask"`` of a network that pools over the lesion.
        alone
            Whether to compute in the calling thread alone, so that several such calls
            run beside each other. By default all of the engine's threads compute.

        Returns
        -------
        dict
            ``"class"``: logits (N, classes); ``"mask"``: lesion logits (N, H, W);
            others as the engine has them, (N, h, w, C).

        Raises
        ------
        ImageValueError
            If the batch's shape is not one of a batch, or a number in it is infinite or
            NaN.
        ValueError, TypeError
            If the engine cannot take the batch, or has no such output.
        """
        if batch.ndim not in (3, 4):
            raise ImageValueError(
                f"got an array of shape {batch.shape}; expected (N, H, W, C)"
            )
        if not alone:
            return self._run(batch, outputs, None)
        with self._slots.take() as slot:
            return self._run(batch, outputs, slot)

    def _run(
        self, batch: FloatArray, outputs: Sequence[str], slot: int | None
    ) -> dict[str, FloatArray]:
        count = len(batch)
        sizes = SHARED_BATCH_SIZE if slot is None else BATCH_SIZE
        pieces = max(1, -(-count // sizes[self.precision]))
        ends = [count * (i + 1) // pieces for i in range(pieces)]
        size = batch.shape[1], batch.shape[2]
        try:
            computed = [
                self.plan(end - start, size, outputs, slot=slot).run(batch[start:end])
                for start, end in zip([0, *ends], ends, strict=False)
            ]
        except ValueError:
            _check_finite(batch)
            raise
        return {
            name: np.concatenate([piece[name] for piece in computed]).squeeze(
                _FLAT_AXES.get(name, ())
            )
            if pieces > 1
            else computed[0][name].squeeze(_FLAT_AXES.get(name, ()))
            for name in computed[0]
        }

    def plan(
        self,
        batch: int,
        size: tuple[int, int],
        outputs: Sequence[str],
        *,
        slot: int | None = None,
    ) -> _core.Plan:
        """Return the plan for a batch of images of (height, width).

        The last :data:`MAX_PLANS` are kept, and those of the slots. A slot's plan
        computes on one thread, any other on all of the engine's.
        """
        threads = claim_threads() if slot is None else 1
        key = (batch, size, tuple(outputs), threads, slot)
        with self._lock:
            plan = self._plans.pop(key, None) or self._new_plan(key)
            self._plans[key] = plan
            limit = MAX_PLANS + (0 if slot is None else get_threads())
            while len(self._plans) > limit:
                self._plans.popitem(last=False)
        return plan

    def check_unchanged(self) -> None:
        """Check that the weights file is still the one that was loaded.

        Raises
        ------
        WeightsError
            If it is not there any more, or was changed since.
        """
        self._state.check(self.path)

    def read_arrays(
        self, names: Collection[str] | None = None
    ) -> dict[str, FloatArray]:
        """Read arrays of the weights file as float32, those in 8 bits expanded.

        ``names`` are those to read; by default all.

        Raises
        ------
        WeightsError
            If the file is not there any more, or was changed since it was loaded.
        """
        self.check_unchanged()
        arrays = read_arrays(self.path, names)
        self.check_unchanged()
        return arrays

    def _new_plan(self, key: _Key) -> _core.Plan:
        plan = None
        with contextlib.suppress(CacheMissError):
            plan = _compile(self._weights, key)
        if plan is None:
            # The cache has the weights in other layouts: pack them anew.
            self._weights = self._load_weights(from_cache=False)
            plan = _compile(self._weights, key)
        if self._fills_cache:
            cache.prune()
        return plan

    def _load_weights(self, *, from_cache: bool) -> _core.Weights:
        """Bring the weights into the engine.

        With ``from_cache`` they are packed ones where the cache has the file's. Those
        that it lacks are a CacheMissError later, when a plan needs them.
        """
        folder = (
            cache.model_folder(self.path, self._state, self.precision)
            if self._use_cache
            else None
        )
        weights = _core.Weights(
            _graph(self.info),
            threads=claim_threads(),
            precision=self.precision,
            cache=folder,
            use_cache=from_cache,
        )
        self._fills_cache = folder is not None and not weights.finished
        if not weights.finished:
            self._set_arrays(weights)
        return weights

    def _set_arrays(self, weights: _core.Weights) -> None:
        """Read the file's arrays into the engine."""
        arrays = read_stored(self.path, self.info, calibrated=self.precision == "int8")
        self.check_unchanged()
        try:
            for key, array, scale in arrays:
                if scale is None:
                    weights.set(key, np.ascontiguousarray(array, np.float32))
                else:
                    weights.set(key, array, scale)
            self.check_unchanged()
            weights.finish()
        except WeightsError:
            raise
        except ValueError as error:
            raise WeightsError(f"{self.path}: {error}") from None


def _compile(weights: _core.Weights, key: _Key) -> _core.Plan:
    batch, (height, width), outputs, threads, _ = key
    try:
        return _core.Plan(
            weights, batch, height, width, threads=threads, outputs=outputs
        )
    except LookupError as error:
        raise CacheMissError(str(error)) from error


def _check_precision(precision: str) -> str:
    if precision not in PRECISIONS:
        raise ModelError(
            f"there is no precision {precision!r}; there are {', '.join(PRECISIONS)}"
        )
    if precision == "bf16" and not describe_engine().bf16:
        raise ModelError("this CPU does not compute in bfloat16; use precision='f32'")
    return precision


def _check_finite(batch: FloatArray) -> None:
    """Refuse a batch with a number that is infinite or NaN, and name the first."""
    if batch.dtype.kind == "f" and not (finite := np.isfinite(batch)).all():
        index = tuple(np.argwhere(~finite)[0].tolist())
        raise ImageValueError(
            f"batch{list(index)} is {batch[index]}; numbers in 0..1 are expected"
        ) from None


def _graph(info: ModelInfo) -> _core.Graph:
    """Describe a model's network to the engine."""
    graph = _core.Graph()
    build(
        info.network,
        graph,
        classes=len(info.classes),
        mean=info.mean,
        std=info.std,
        features=True,
    )
    return graph
