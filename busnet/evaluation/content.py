"""Whether images are among those that a model was trained on, by what they show."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from busnet.data import Case, ContentHashes
from busnet.errors import DataError, WeightsError
from busnet.model_info import ModelInfo

__all__ = ["HASHED_IMAGES", "SeenContent", "compare_content", "has_all_hashes"]

#: What a training's provenance says of the images whose hashes the file holds.
HASHED_IMAGES = "hashed_images"


@dataclasses.dataclass(frozen=True)
class SeenContent:
    """Which cases show what a training saw.

    Attributes
    ----------
    images, groups
        Names of the cases whose image is one of the training's, and of the others whose
        group (patient) has the source and the name of one of the training's.
    unreadable
        Number of cases that could not be compared, since they cannot be read.
    """

    images: tuple[str, ...]
    groups: tuple[str, ...]
    unreadable: int

    @property
    def reasons(self) -> list[str]:
        """What is leaky about these cases, a clause each."""
        reasons = []
        if self.images:
            reasons.append(
                f"the model was trained on {_count(self.images, 'of the images')}"
            )
        if self.groups:
            reasons.append(
                f"the model was trained on other images of the patients or groups of "
                f"{_count(self.groups, 'of the images')} (if these are other patients "
                f"of the same names, name the source: --data NAME=PATH)"
            )
        return reasons


def has_all_hashes(info: ModelInfo) -> bool:
    """Tell whether a file holds hashes of the images of all trainings behind it."""
    return bool(info.content_hashes) and all(
        HASHED_IMAGES in step for step in _trainings(info.provenance)
    )


def _trainings(provenance: Mapping[str, object]) -> Iterator[Mapping[str, object]]:
    step: object = provenance
    while isinstance(step, Mapping):
        yield step
        step = step.get("start")


def compare_content(info: ModelInfo, cases: Iterable[Case]) -> SeenContent:
    """Compare cases with the hashes of a model's training images.

    Raises
    ------
    WeightsError
        If the model's hashes cannot be decoded.
    """
    try:
        seen = ContentHashes.decode(info.content_hashes)
    except DataError as error:
        raise WeightsError(f"the model's file: {error}") from None
    readable: list[Case] = []
    hashes: list[ContentHashes] = []
    unreadable = 0
    for case in cases:
        try:
            hashes.append(ContentHashes.of([case]))
        except Exception:
            # It is reported where the case is scored.
            unreadable += 1
        else:
            readable.append(case)
    if not hashes:
        return SeenContent((), (), unreadable)
    shown = ContentHashes.join(hashes)
    same_images, same_groups = seen.same_images(shown), seen.same_groups(shown)
    return SeenContent(
        _names(readable, same_images),
        _names(readable, same_groups & ~same_images),
        unreadable,
    )


def _names(cases: Sequence[Case], chosen: npt.NDArray[np.bool_]) -> tuple[str, ...]:
    return tuple(case.name for case, is_it in zip(cases, chosen, strict=True) if is_it)


def _count(names: Sequence[str], what: str) -> str:
    return f"{len(names)} {what}, such as {names[0]}"
