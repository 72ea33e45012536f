"""What a model made of each case: the raw material of every figure."""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from busnet.data import CLASSES, Case
from busnet.errors import DataError
from busnet.evaluation.overlap import compare_masks
from busnet.images import Picture
from busnet.model import Model
from busnet.results import Classification, Prediction, Segmentation

__all__ = ["CaseScore", "Scores", "score_cases"]

#: Overlap from which a lesion counts as found.
DETECTION_IOU = 0.1


@dataclasses.dataclass(frozen=True)
class CaseScore:
    """One case's truth and prediction, in numbers.

    Attributes
    ----------
    probabilities
        One for each of :data:`busnet.data.CLASSES`; empty if the model does not
        classify.
    lesion, predicted
        Whether the true and the predicted mask hold any pixel; None if the case has no
        mask or the model draws none.
    area
        True lesion's share of the image; 0 without one.
    dice, iou, hd95, assd
        See :class:`busnet.evaluation.overlap.Overlap`; distances in pixels.
    """

    name: str
    group: str
    fold: int
    label: str
    probabilities: tuple[float, ...] = ()
    lesion: bool | None = None
    predicted: bool | None = None
    area: float = 0.0
    dice: float | None = None
    iou: float | None = None
    hd95: float | None = None
    assd: float | None = None

    @property
    def guess(self) -> str:
        """The most probable class."""
        return CLASSES[int(np.argmax(self.probabilities))]

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> CaseScore:
        """Read what ``dataclasses.asdict`` wrote."""
        try:
            return cls(
                **{**document, "probabilities": tuple(document["probabilities"])}
            )
        except (TypeError, KeyError) as error:
            raise DataError(f"a case's scores are not as expected: {error}") from None


class Scores(Sequence[CaseScore]):
    """The scores of many cases, with the arrays that metrics take."""

    def __init__(self, cases: Iterable[CaseScore]) -> None:
        self._cases = tuple(cases)
        if not self._cases:
            raise DataError("there are no cases to evaluate")

    def __len__(self) -> int:
        return len(self._cases)

    def __getitem__(self, index: Any) -> Any:
        return self._cases[index]

    def __iter__(self) -> Iterator[CaseScore]:
        return iter(self._cases)

    @property
    def classifies(self) -> bool:
        """Whether there are class probabilities."""
        return bool(self._cases[0].probabilities)

    @property
    def segments(self) -> bool:
        """Whether there are masks to compare."""
        return any(case.dice is not None for case in self._cases)

    @property
    def labels(self) -> npt.NDArray[np.intp]:
        """Index of the true class, (N,)."""
        return np.array([CLASSES.index(case.label) for case in self._cases])

    @property
    def probabilities(self) -> npt.NDArray[np.float64]:
        """Class probabilities, (N, classes)."""
        return np.array([case.probabilities for case in self._cases], np.float64)

    @property
    def groups(self) -> npt.NDArray[np.intp]:
        """Number of each case's group, (N,), from 0 upwards."""
        names = [case.group for case in self._cases]
        return np.asarray(np.unique(names, return_inverse=True)[1])


def score_cases(
    model: Model, cases: Sequence[Case], *, change: Any = None
) -> Iterator[CaseScore]:
    """Yield the scores of cases under a model, in their order.

    Parameters
    ----------
    model
        Any model whose classes are busnet's.
    cases
        Cases; those without masks are classified only.
    change
        What to do to each picture first: a function of (pixels, mask, index) that
        returns both changed; the mask is None where the case has none.

    Raises
    ------
    DataError
        If the model's classes are others.
    """
    if set(model.info.classes) != set(CLASSES):
        raise DataError(
            f"the model's classes are {', '.join(model.info.classes)}, "
            f"not {', '.join(CLASSES)}"
        )
    heads = model.info.network.heads
    kind: Any = Prediction
    if "mask" not in heads:
        kind = Classification
    elif "class" not in heads:
        kind = Segmentation
    waiting: collections.deque[tuple[Case, npt.NDArray[np.bool_] | None]]
    waiting = collections.deque()

    def pictures() -> Iterator[Picture]:
        for i, case in enumerate(cases):
            picture, mask = (
                case.read_image(),
                case.read_mask() if case.has_mask else None,
            )
            if change is not None:
                pixels, mask = change(picture.pixels, mask, i)
                picture = Picture(pixels, picture.name)
            waiting.append((case, mask))
            yield picture

    for result in model.stream(pictures(), kind):
        yield _score(*waiting.popleft(), result)


def _score(case: Case, truth: npt.NDArray[np.bool_] | None, result: Any) -> CaseScore:
    fields: dict[str, Any] = {}
    if isinstance(result, Classification):
        fields["probabilities"] = tuple(result.probabilities[name] for name in CLASSES)
    if isinstance(result, Segmentation) and truth is not None:
        if truth.shape != result.mask.shape:
            raise DataError(
                f"{case.name}: the image is {result.mask.shape}, its mask {truth.shape}"
            )
        fields.update(
            dataclasses.asdict(compare_masks(truth, result.mask)),
            lesion=bool(truth.any()),
            predicted=bool(result.mask.any()),
            area=float(truth.mean()),
        )
    return CaseScore(case.name, case.key, case.fold, case.label or "", **fields)
