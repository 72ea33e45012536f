"""Options of a prediction."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import TypeAlias, TypedDict

from busnet.errors import ImageValueError, ModelError
from busnet.images import Picture, Region
from busnet.images.picture import SIDES, pixel_sides
from busnet.lesions import Spacing

__all__ = [
    "ClassifyOptions",
    "Options",
    "PredictOptions",
    "SegmentOptions",
]

#: Probability by class name.
Prior: TypeAlias = Mapping[str, float]

#: How far from 1 the numbers of a prior may add up.
PRIOR_TOLERANCE = 1e-6


class _ReadOptions(TypedDict, total=False):
    value_range: tuple[float, float] | None
    crop: bool


class ClassifyOptions(_ReadOptions, total=False):
    """Options of :meth:`busnet.Model.classify`."""

    prior: Prior | None


class SegmentOptions(_ReadOptions, total=False):
    """Options of :meth:`busnet.Model.segment`."""

    spacing: Spacing | None


class PredictOptions(_ReadOptions, total=False):
    """Options of :meth:`busnet.Model.predict`."""

    prior: Prior | None
    spacing: Spacing | None


@dataclasses.dataclass(frozen=True)
class Options:
    """Options of a prediction.

    Attributes
    ----------
    spacing
        Millimetres a row and a column, for images whose file does not say.
    crop
        Whether only the tissue regions of a frame are looked at, where its file names
        them.
    prior
        Probability of each class, by name, in the cohort that the images come from; a
        class that is not named has none. By default the class shares that the model's
        training assumed.

    Raises
    ------
    ImageValueError
        If the spacing is not two numbers that the sides of a pixel can have.
    ModelError
        If the prior's numbers are negative, not finite, or do not add up to 1.
    """

    spacing: Spacing | None = None
    crop: bool = True
    prior: Prior | None = None

    def __post_init__(self) -> None:
        """Check the numbers, and store them as floats."""
        if self.spacing is not None:
            object.__setattr__(self, "spacing", _checked_spacing(self.spacing))
        if self.prior is not None:
            object.__setattr__(self, "prior", _checked_prior(self.prior))

    def views(self, picture: Picture) -> tuple[Region, ...]:
        """Return the parts of a picture to look at, the largest first."""
        return picture.views() if self.crop else (picture.whole(),)


def _checked_spacing(spacing: Spacing) -> Spacing:
    sides = pixel_sides(spacing)
    if sides is None:
        raise ImageValueError(
            f"spacing is two numbers, millimetres a row and a column, from "
            f"{SIDES[0]:g} to {SIDES[1]:g}, not {spacing!r}"
        )
    return sides


def _checked_prior(prior: Prior) -> dict[str, float]:
    try:
        numbers = {str(name): float(share) for name, share in prior.items()}
    except (AttributeError, TypeError, ValueError):
        raise ModelError(
            f"prior is a probability by class name, not {prior!r}"
        ) from None
    for name, share in numbers.items():
        if not 0 <= share <= 1:
            raise ModelError(f"prior: {name}: {share:g} is not in 0..1")
    total = math.fsum(numbers.values())
    if not abs(total - 1) <= PRIOR_TOLERANCE:
        raise ModelError(f"prior: the probabilities add up to {total:g}, not to 1")
    return numbers
