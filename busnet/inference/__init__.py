"""From pictures to results: letterboxes, forward passes, what their outputs mean."""

from __future__ import annotations

import collections
import dataclasses
import itertools
import queue
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from busnet._parallel import ordered_map
from busnet.engine.threads import get_threads
from busnet.errors import ImageValueError
from busnet.images import Letterbox, Picture, Region
from busnet.lesions import Spacing, lesion_mask
from busnet.results import MALIGNANT, NORMAL, Classification, Segmentation
from busnet.model_info import ModelInfo

__all__ = ["CHUNK", "Options", "forward", "heads_of", "results"]

#: Images that go through the network together: few, since activations that fall out of
#: the cache cost more than the larger matrices gain.
CHUNK = 4

FloatArray = npt.NDArray[np.float32]
Outputs = dict[str, FloatArray]

T = TypeVar("T")

#: Batches that were computed: new memory from the system would cost a twentieth of a
#: ResNet-18.
_spare: collections.deque[FloatArray] = collections.deque(maxlen=8)

#: What computes outputs, by name, of a batch (N, H, W, C): ``Model.compute``.
Run = Callable[..., Any]
Kind = type[Classification] | type[Segmentation]


@dataclasses.dataclass(frozen=True)
class Options:
    """How pictures are looked at.

    Attributes
    ----------
    spacing
        Millimetres a row and a column, for images whose file does not say.
    crop
        Whether only the tissue regions of a frame are looked at, where its file names
        them.

    Raises
    ------
    ImageValueError
        If the spacing is not two positive numbers.
    """

    spacing: Spacing | None = None
    crop: bool = True

    def __post_init__(self) -> None:
        """Check the spacing, and keep it as two floats."""
        if self.spacing is not None:
            object.__setattr__(self, "spacing", _checked_spacing(self.spacing))

    def views(self, picture: Picture) -> tuple[Region, ...]:
        """Return the parts of a picture to look at, the largest first."""
        return picture.views() if self.crop else (picture.whole(),)


def _checked_spacing(spacing: Spacing) -> Spacing:
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


def heads_of(kind: Kind) -> tuple[str, ...]:
    """Return the heads that a kind of result needs."""
    heads = []
    if issubclass(kind, Classification):
        heads.append("class")
    if issubclass(kind, Segmentation):
        heads.append("mask")
    return tuple(heads)


def forward(
    info: ModelInfo,
    run: Run,
    pictures: Iterable[Picture],
    outputs: Sequence[str],
    then: Callable[[list[Letterbox], Any], T],
) -> Iterator[T]:
    """Yield what ``then`` makes of letterboxes and outputs, a few pictures at a time.

    Few pictures have all threads to themselves. Of many, every thread takes a few at a
    time, alone from letterbox to result: none waits for another at the end of a layer,
    and reading files, which the caller's thread does, takes its share of the cores.
    """
    channels, size = info.network.channels, info.image_size
    remaining = iter(pictures)

    def compute(chunk: list[Picture], lane: int | None = None) -> T:
        boxes = [Letterbox(*picture.shape, size) for picture in chunk]
        batch = _take_batch((len(chunk), size, size, channels))
        for square, box, picture in zip(batch, boxes, chunk, strict=True):
            pixels = picture.channels(1) if channels == 1 else picture.pixels
            box.apply(pixels, square)
        found = run(batch, outputs=outputs, lane=lane)
        _spare.append(batch)
        return then(boxes, found)

    chunks = iter(lambda: list(itertools.islice(remaining, CHUNK)), [])
    first = list(itertools.islice(chunks, 2))
    threads = get_threads()
    if len(first) < 2 or threads < 2:
        yield from map(compute, itertools.chain(first, chunks))
        return
    lanes: queue.SimpleQueue[int] = queue.SimpleQueue()
    for lane in range(threads):
        lanes.put(lane)

    def compute_alone(chunk: list[Picture]) -> T:
        lane = lanes.get()
        try:
            return compute(chunk, lane)
        finally:
            lanes.put(lane)

    every = itertools.chain(first, chunks)
    for _, made in ordered_map(
        compute_alone, every, threads=threads, prefetch=2 * threads
    ):
        yield made


def _take_batch(shape: tuple[int, ...]) -> FloatArray:
    """Return zeros, in memory of an earlier batch if there is one of the shape."""
    for _ in range(len(_spare)):
        try:
            batch = _spare.popleft()
        except IndexError:  # other threads took the rest
            break
        if batch.shape == shape:
            batch.fill(0)
            return batch
        _spare.append(batch)
    return np.zeros(shape, np.float32)


def results(
    info: ModelInfo, run: Run, pictures: Iterable[Picture], kind: Kind, options: Options
) -> Iterator[Any]:
    """Yield the result of each picture, of the given kind, in their order.

    Of a frame with several tissue regions it is the result of the one with the largest
    lesion, or the one that is least like normal where no mask is computed.
    """
    waiting: collections.deque[tuple[Picture, tuple[Region, ...]]] = collections.deque()

    def parts() -> Iterator[Picture]:
        for picture in pictures:
            regions = options.views(picture)
            waiting.append((picture, regions))
            yield from map(picture.part, regions)

    def fields_of(boxes: list[Letterbox], outputs: Outputs) -> list[dict[str, Any]]:
        return [_fields(info, outputs, i, box) for i, box in enumerate(boxes)]

    computed = forward(info, run, parts(), heads_of(kind), fields_of)
    candidates: list[dict[str, Any]] = []
    for fields in itertools.chain.from_iterable(computed):
        candidates.append(fields)
        if len(candidates) == len(waiting[0][1]):
            yield _result(*waiting.popleft(), candidates, kind, options)
            candidates = []


def _result(
    picture: Picture,
    regions: Sequence[Region],
    candidates: Sequence[dict[str, Any]],
    kind: Kind,
    options: Options,
) -> Any:
    """Make a picture's result from the fields of its regions."""
    notes = [*picture.notes]
    if len(candidates) > 1:
        notes.append(
            f"{len(candidates)} tissue regions; the result is of the one with the "
            f"{'largest lesion' if 'mask' in candidates[0] else 'least normal look'}"
        )
    best = max(range(len(candidates)), key=lambda i: _evidence(candidates[i]))
    region, fields = regions[best], candidates[best]
    if region.box != picture.whole().box:
        fields["region"] = region.box
        for name in fields.keys() & {"mask", "lesion_probability"}:
            fields[name] = _in_place(fields[name], region, picture.shape)
    if "mask" in fields:
        spacing = region.spacing or options.spacing
        fields["spacing"] = spacing
        if options.spacing not in (None, spacing):
            notes.append(
                f"the file's own spacing of {_millimetres(region.spacing)} is used, "
                f"not the {_millimetres(options.spacing)} that were given"
            )
    return kind(name=picture.name, image=picture.pixels, notes=tuple(notes), **fields)


def _millimetres(spacing: Spacing | None) -> str:
    """Return a spacing as text."""
    return " x ".join(f"{side:g}" for side in spacing or ()) + " mm"


def _fields(
    info: ModelInfo, outputs: Outputs, i: int, box: Letterbox
) -> dict[str, Any]:
    """Return the fields that results take from image ``i`` of the outputs."""
    fields: dict[str, Any] = {}
    if "class" in outputs:
        shares = _softmax(outputs["class"][i] / info.temperature)
        fields["label"] = info.classes[int(shares.argmax())]
        named = dict(zip(info.classes, shares.tolist(), strict=True))
        fields["probabilities"] = named
        fields["abstains"] = bool(shares.max() < info.abstain_below)
        fields["exceeds"] = {
            name: named.get(MALIGNANT, 0.0) >= threshold
            for name, threshold in info.operating_points.items()
        }
    if "mask" in outputs:
        probability = box.restore(_sigmoid(outputs["mask"][i]))
        fields["lesion_probability"] = probability
        fields["mask"] = lesion_mask(probability, info.mask_threshold, info.lesion_peak)
    return fields


def _evidence(fields: dict[str, Any]) -> float:
    """Return how much of a lesion a view shows: pixels, or what is not normal."""
    if "mask" in fields:
        return float(np.count_nonzero(fields["mask"]))
    return -float(fields["probabilities"].get(NORMAL, 0.0))


def _in_place(
    part: npt.NDArray[Any], region: Region, shape: tuple[int, int]
) -> npt.NDArray[Any]:
    whole = np.zeros(shape, part.dtype)
    top, left, bottom, right = region.box
    whole[top:bottom, left:right] = part
    return whole


def _softmax(logits: FloatArray) -> npt.NDArray[np.float64]:
    powers = np.exp(logits.astype(np.float64) - logits.max())
    return np.asarray(powers / powers.sum())


def _sigmoid(logits: FloatArray) -> FloatArray:
    """Logistic function by way of tanh, which never overflows."""
    half = np.tanh(logits * np.float32(0.5))
    half += np.float32(1)
    half *= np.float32(0.5)
    return half
