"""Scores of cases under a model: each is read, predicted and compared in turn."""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from busnet._io import encodable
from busnet.data import Case, order_classes
from busnet.errors import BusnetError
from busnet.evaluation.overlap import compare_masks
from busnet.evaluation.priors import complete_prior
from busnet.evaluation.scores import CaseScore
from busnet.images import Picture
from busnet.inference import Options
from busnet.inference.predictor import Predictor
from busnet.results import Classification, Prediction, Segmentation

__all__ = ["CaseFailure", "Change", "score_cases"]

Pixels = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]

#: What to do to a picture before it is scored: a function of its pixels (H, W[, 3]) in
#: 0..1, its lesion mask (H, W) or None, and the case's number.
Change: TypeAlias = Callable[[Pixels, Mask | None, int], tuple[Pixels, Mask | None]]


@dataclasses.dataclass(frozen=True)
class CaseFailure:
    """A case that could not be scored.

    Attributes
    ----------
    name, source
        Of the case.
    message
        What went wrong, with the file's name.
    """

    name: str
    source: str
    message: str


def score_cases(
    model: Predictor,
    cases: Iterable[Case],
    *,
    change: Change | None = None,
    prior: Mapping[str, float] | None = None,
    on_failure: Callable[[CaseFailure], None] | None = None,
) -> Iterator[CaseScore]:
    """Yield the scores of cases under a model, in their order.

    Parameters
    ----------
    model
        Any model whose classes are busnet's, or benign and malignant alone.
    cases
        Cases; those without a mask are scored by their class only, those without a
        class by their mask only.
    change
        What to do to each picture first.
    prior
        Class shares of the cohort that probabilities are re-weighed for; by default
        they are as the model gives them.
    on_failure
        What takes the cases whose files cannot be read; they are left out. By default
        their error is raised.

    Raises
    ------
    DataError
        If the model's classes are others.
    ModelError
        If the prior is not a probability of classes, or the model does not classify.
    BusnetError
        If a case cannot be read and nothing takes the failure.
    """
    options = Options(prior=complete_prior(model.info, prior))
    classes = order_classes(model.info.classes)
    waiting: collections.deque[tuple[Case, Mask | None]] = collections.deque()

    def pictures() -> Iterator[Picture]:
        for index, case in enumerate(cases):
            try:
                # A change may move what the file's tissue regions refer to.
                picture, mask = case.read_tissue() if change else case.read()
            except Exception as error:
                # Whatever a file raises concerns its case alone.
                if on_failure is None:
                    raise
                on_failure(_failure(case, error))
                continue
            if change is not None:
                pixels, mask = change(picture.pixels, mask, index)
                picture = Picture(pixels, picture.name, picture.spacing)
            waiting.append((case, mask))
            yield picture

    for result in model.stream(pictures(), _kind(model), options):
        yield _score(*waiting.popleft(), result, classes)


def _kind(model: Predictor) -> type[Classification] | type[Segmentation]:
    heads = model.info.heads
    if "mask" not in heads:
        return Classification
    return Prediction if "class" in heads else Segmentation


def _failure(case: Case, error: Exception) -> CaseFailure:
    message = str(error)
    if not isinstance(error, BusnetError):
        message = f"{case.image}: {type(error).__name__}: {error}"
    return CaseFailure(case.name, case.source, encodable(message))


def _score(
    case: Case,
    truth: Mask | None,
    result: Classification | Segmentation,
    classes: Sequence[str],
) -> CaseScore:
    score = CaseScore(
        name=case.name,
        group=case.group,
        fold=case.fold,
        label=case.label,
        source=case.source,
        attributes=dict(case.attributes),
    )
    if isinstance(result, Classification):
        shares = tuple(float(result.probabilities[name]) for name in classes)
        score = dataclasses.replace(
            score, probabilities=shares, uncertainty=result.uncertainty
        )
    if not isinstance(result, Segmentation):
        return score
    score = dataclasses.replace(score, predicted=bool(result.mask.any()))
    if truth is None or (case.label not in (None, "normal") and not truth.any()):
        # An empty mask of a lesion says that nobody outlined it.
        return score
    overlap = compare_masks(truth, result.mask, result.spacing or case.spacing)
    return dataclasses.replace(
        score,
        lesion=bool(truth.any()),
        area=float(truth.mean()),
        **dataclasses.asdict(overlap),
    )
