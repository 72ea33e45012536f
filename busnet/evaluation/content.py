"""Whether images are among those that a model was trained on, by what they show."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from busnet.data import Case, ContentHashes
from busnet.data.findings import plural
from busnet.errors import DataError, WeightsError
from busnet.evaluation.members import name_members, trainings
from busnet.inference import PredictorInfo

__all__ = [
    "HASHED_IMAGES",
    "SeenContent",
    "compare_content",
    "has_all_hashes",
    "has_hashes",
]

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
    models
        What saw them: the model, or those members of an ensemble that did.
    """

    images: tuple[str, ...]
    groups: tuple[str, ...]
    unreadable: int
    models: str = "the model"

    @property
    def notes(self) -> list[str]:
        """What of these cases is not known, a sentence each."""
        if not self.unreadable:
            return []
        return [
            f"{plural(self.unreadable, 'image')} could not be read, and so not be "
            f"compared with those that the model was trained on"
        ]

    @property
    def reasons(self) -> list[str]:
        """What is leaky about these cases, a clause each."""
        reasons = []
        if self.images:
            reasons.append(
                f"{self.models} was trained on {_count(self.images, 'of the images')}"
            )
        if self.groups:
            reasons.append(
                f"{self.models} was trained on other images of the patients or groups "
                f"of {_count(self.groups, 'of the images')} (if these are other "
                f"patients of the same names, name the source: --data NAME=PATH)"
            )
        return reasons


def has_hashes(info: PredictorInfo) -> bool:
    """Tell whether there are hashes of images, of one member at least."""
    return any(member.content_hashes for member in name_members(info).values())


def has_all_hashes(info: PredictorInfo) -> bool:
    """Tell whether there are hashes of the images of all trainings behind a model.

    Of an ensemble, of all trainings behind each member.
    """
    return all(
        member.content_hashes
        and all(HASHED_IMAGES in step for step in trainings(member.provenance))
        for member in name_members(info).values()
    )


def compare_content(info: PredictorInfo, cases: Iterable[Case]) -> SeenContent:
    """Compare cases with the hashes of a model's training images.

    Of an ensemble, with those of all members.

    Raises
    ------
    WeightsError
        If the model's hashes cannot be decoded.
    """
    known = _decode(info)
    readable: list[Case] = []
    hashes: list[ContentHashes] = []
    unreadable = 0
    for case in cases:
        try:
            image = case.read_image().channels(1)
        except Exception:
            # It is reported where the case is scored.
            unreadable += 1
            continue
        readable.append(case)
        hashes.append(ContentHashes.of([case], [image]))
    if not hashes or not known:
        return SeenContent((), (), unreadable)
    shown = ContentHashes.join(hashes)
    images = np.zeros(len(readable), np.bool_)
    groups = images.copy()
    models = []
    for name, seen in known.items():
        same_images, same_groups = seen.same_images(shown), seen.same_groups(shown)
        images |= same_images
        groups |= same_groups
        if same_images.any() or same_groups.any():
            models.append(name)
    return SeenContent(
        _names(readable, images),
        _names(readable, groups & ~images),
        unreadable,
        " or ".join(models) or "the model",
    )


def _decode(info: PredictorInfo) -> dict[str, ContentHashes]:
    """Return the hashes of each model that has any."""
    known = {}
    for name, member in name_members(info).items():
        if not member.content_hashes:
            continue
        try:
            known[name] = ContentHashes.decode(member.content_hashes)
        except DataError as error:
            raise WeightsError(f"the file of {name}: {error}") from None
    return known


def _names(cases: Sequence[Case], chosen: npt.NDArray[np.bool_]) -> tuple[str, ...]:
    return tuple(case.name for case, is_it in zip(cases, chosen, strict=True) if is_it)


def _count(names: Sequence[str], what: str) -> str:
    return f"{len(names)} {what}, such as {names[0]}"
