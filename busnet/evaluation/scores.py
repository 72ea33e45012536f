"""Scores: the prediction for each case beside the truth, from which figures come."""

from __future__ import annotations

import dataclasses
import functools
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import overload

import numpy as np
import numpy.typing as npt

from busnet.data import CLASSES, LESION_CLASSES
from busnet.data.numbers import whole_number
from busnet.errors import DataError

__all__ = ["CaseScore", "Scores", "classes_of"]

#: Highest value of each field that is a number, where it is one.
_RANGES = {
    **dict.fromkeys(("area", "dice", "iou"), 1.0),
    **dict.fromkeys(("hd95", "assd", "hd95_mm", "assd_mm"), sys.float_info.max),
}

#: By how much the sum of probabilities that were read may differ from 1.
SUM_TOLERANCE = 1e-3


def classes_of(count: int) -> tuple[str, ...]:
    """Return the classes that so many probabilities are of.

    Three are of :data:`busnet.data.CLASSES`, two of
    :data:`busnet.data.LESION_CLASSES`.
    """
    return LESION_CLASSES if count == len(LESION_CLASSES) else CLASSES


@dataclasses.dataclass(frozen=True)
class CaseScore:
    """One case's truth and prediction, in numbers.

    Attributes
    ----------
    name, group, fold
        Of the case; a group is a patient or the duplicates of a scene.
    label
        True class, or None if it is not known: the mask alone is scored then.
    probabilities
        One for each of :data:`busnet.data.CLASSES`, or of
        :data:`busnet.data.LESION_CLASSES` if the model knows no others; empty if it
        does not classify.
    lesion
        Whether the true mask holds any pixel; None without one: the class alone is
        scored then.
    predicted
        Whether the predicted mask holds any pixel; None if the model draws none.
    area
        True lesion's share of the image; 0 without one.
    dice, iou, hd95, assd, hd95_mm, assd_mm
        See :class:`busnet.evaluation.overlap.Overlap`; distances in pixels and, where
        the spacing is known, in mm.
    uncertainty
        How much the members of an ensemble disagree; None for a model. See
        :class:`busnet.results.Classification`.
    source
        Hospital or data set.
    attributes
        What the data set says further of the case, such as its BI-RADS category.
    """

    name: str
    group: str
    fold: int
    label: str | None
    probabilities: tuple[float, ...] = ()
    lesion: bool | None = None
    predicted: bool | None = None
    area: float = 0.0
    dice: float | None = None
    iou: float | None = None
    hd95: float | None = None
    assd: float | None = None
    hd95_mm: float | None = None
    assd_mm: float | None = None
    uncertainty: float | None = None
    source: str = ""
    attributes: Mapping[str, str] = dataclasses.field(default_factory=dict)

    @property
    def guess(self) -> str:
        """The most probable class."""
        return classes_of(len(self.probabilities))[int(np.argmax(self.probabilities))]

    @property
    def full_name(self) -> str:
        """Name that is unique over all sources."""
        return f"{self.source}/{self.name}" if self.source else self.name

    @classmethod
    def from_json(cls, document: object) -> CaseScore:
        """Read what ``dataclasses.asdict`` wrote.

        Raises
        ------
        DataError
            If a field is missing, unknown, or not what it must be.
        """
        try:
            fields = dict(document)  # type: ignore[call-overload]
            case = cls(**{**fields, "probabilities": tuple(fields["probabilities"])})
        except (TypeError, KeyError, ValueError) as error:
            raise DataError(f"a case's scores are not as expected: {error}") from None
        case._check()
        return case

    def _check(self) -> None:
        """Refuse what no evaluation has, such as a file that was edited has.

        Raises
        ------
        DataError
            If a field is of another type or range.
        """
        for field in ("name", "group", "source"):
            if not isinstance(getattr(self, field), str):
                raise DataError(f"{self.name}: the {field} is no text")
        whole_number(self.fold, f"{self.name}: the fold")
        if self.label is not None and self.label not in CLASSES:
            raise DataError(f"{self.name}: unknown label {self.label!r}")
        if len(self.probabilities) not in (0, len(LESION_CLASSES), len(CLASSES)):
            raise DataError(f"{self.name}: {len(self.probabilities)} probabilities")
        for name, highest in _RANGES.items():
            value = getattr(self, name)
            if value is not None and not _is_number(value, 0, highest):
                raise DataError(f"{self.name}: {name} cannot be {value!r}")
        highest = 1 + SUM_TOLERANCE  # as sums are rounded
        if not all(_is_number(p, 0, highest) for p in self.probabilities):
            raise DataError(f"{self.name}: probabilities are not in 0..1")
        if self.probabilities and abs(sum(self.probabilities) - 1) > SUM_TOLERANCE:
            raise DataError(f"{self.name}: probabilities do not add up to 1")


def _is_number(value: object, low: float, high: float) -> bool:
    """Tell whether a value is a number of a range, and no truth value."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return low <= value <= high


class Scores(Sequence[CaseScore]):
    """The scores of many cases, with the arrays that metrics take.

    Raises
    ------
    DataError
        If there are no cases, some have class probabilities and others none, or they
        have those of different classes.
    """

    def __init__(self, cases: Iterable[CaseScore]) -> None:
        self._cases = tuple(cases)
        self._columns: dict[str, npt.NDArray[np.float64]] = {}
        if not self._cases:
            raise DataError("there are no cases to evaluate")
        counts = {len(case.probabilities) for case in self._cases}
        if len(counts) > 1 and 0 in counts:
            raise DataError("some cases have class probabilities and others none")
        if len(counts) > 1:
            raise DataError(
                f"some cases have probabilities of {', '.join(CLASSES)}, others of "
                f"{' and '.join(LESION_CLASSES)} alone"
            )

    def __len__(self) -> int:
        return len(self._cases)

    @overload
    def __getitem__(self, index: int) -> CaseScore: ...

    @overload
    def __getitem__(self, index: slice) -> tuple[CaseScore, ...]: ...

    def __getitem__(self, index: int | slice) -> CaseScore | tuple[CaseScore, ...]:
        return self._cases[index]

    def __iter__(self) -> Iterator[CaseScore]:
        return iter(self._cases)

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes, in the order of the probabilities and the labels."""
        return classes_of(len(self._cases[0].probabilities))

    @property
    def knows_lesions_alone(self) -> bool:
        """Whether the model has no class for normal images."""
        return self.classes == LESION_CLASSES

    @property
    def normals(self) -> int:
        """Number of normal images."""
        return sum(case.label == "normal" for case in self._cases)

    @functools.cached_property
    def classifies(self) -> bool:
        """Whether there are class probabilities, and a true class to any of them."""
        return bool(self._cases[0].probabilities) and bool((self.labels >= 0).any())

    @functools.cached_property
    def segments(self) -> bool:
        """Whether there are masks to compare."""
        return any(case.dice is not None for case in self._cases)

    @functools.cached_property
    def labels(self) -> npt.NDArray[np.intp]:
        """Index of the true class, (N,).

        It is -1 where the class is not known, and for normal images of a model that
        knows lesions alone. Such a case counts in no figure of the classes.
        """
        names = self.classes
        indices: dict[str | None, int] = {name: i for i, name in enumerate(names)}
        return np.array([indices.get(case.label, -1) for case in self._cases], np.intp)

    @functools.cached_property
    def probabilities(self) -> npt.NDArray[np.float64]:
        """Class probabilities, (N, classes)."""
        return np.array([case.probabilities for case in self._cases], np.float64)

    @functools.cached_property
    def guesses(self) -> npt.NDArray[np.intp]:
        """Index of the most probable class, (N,)."""
        return np.asarray(self.probabilities.argmax(1), np.intp)

    @functools.cached_property
    def sources(self) -> npt.NDArray[np.intp]:
        """Number of each case's source, (N,), from 0 upwards."""
        return _numbers(case.source for case in self._cases)

    @functools.cached_property
    def groups(self) -> npt.NDArray[np.intp]:
        """Number of each case's group, (N,), from 0 upwards; sources share none."""
        return _numbers((case.source, case.group) for case in self._cases)

    def column(self, name: str) -> npt.NDArray[np.float64]:
        """Return a numeric field of all cases, (N,); NaN where it is None."""
        if name not in self._columns:
            values = [getattr(case, name) for case in self._cases]
            self._columns[name] = np.array(
                [np.nan if value is None else value for value in values], np.float64
            )
        return self._columns[name]

    def among_lesions(self) -> Scores:
        """Return the same cases with probabilities of benign and malignant alone.

        Each is divided by the sum of both; where that is 0, both are equally likely.
        """
        if self.knows_lesions_alone or not self._cases[0].probabilities:
            return self
        return Scores(
            dataclasses.replace(case, probabilities=_renormalise(case.probabilities))
            for case in self._cases
        )

    def by_source(self) -> Iterator[tuple[Scores, npt.NDArray[np.intp]]]:
        """Yield each source's scores with their indices."""
        for number in range(int(self.sources.max()) + 1):
            chosen = np.flatnonzero(self.sources == number)
            yield Scores(self._cases[i] for i in chosen), chosen


def _renormalise(probabilities: Sequence[float]) -> tuple[float, ...]:
    """Return probabilities of all classes as those of the lesions' classes."""
    chosen = probabilities[-len(LESION_CLASSES) :]
    total = sum(chosen)
    return tuple(p / total if total > 0 else 1 / len(chosen) for p in chosen)


def _numbers(keys: Iterable[str | tuple[str, str]]) -> npt.NDArray[np.intp]:
    """Return each key's place among the sorted keys."""
    listed = list(keys)
    order = {key: i for i, key in enumerate(sorted(set(listed)))}
    return np.array([order[key] for key in listed], np.intp)
