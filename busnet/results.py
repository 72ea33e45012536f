"""What a model returns: frozen results that name everything and show themselves."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from busnet.lesions import Lesion, Spacing, find_lesions
from busnet.rendering import draw, to_html, to_png

__all__ = [
    "BENIGN",
    "MALIGNANT",
    "NORMAL",
    "NOTICE",
    "Classification",
    "Prediction",
    "Result",
    "Segmentation",
]

#: What every output of busnet says of its use.
NOTICE = (
    "For research use only. Not a medical device; not cleared or approved by any "
    "regulator; not for diagnosis or any clinical decision."
)

#: Names of classes that have a meaning here; a model's own names are in its file.
NORMAL, BENIGN, MALIGNANT = "normal", "benign", "malignant"


@dataclasses.dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class Result:
    """What all results have.

    Attributes
    ----------
    name
        The image's file, or "" for an image that came in memory.
    image
        The image as it was read: float32 in 0..1, (H, W) or (H, W, 3).
    region
        (top, left, bottom, right) of the part that was looked at, as a DICOM file names
        it; None for all of the image.
    notes
        What a user should know of how the result came about; a sentence each.
    """

    name: str
    image: npt.NDArray[np.float32]
    region: tuple[int, int, int, int] | None = None
    notes: tuple[str, ...] = ()

    def _facts(self) -> dict[str, str]:
        """Return what the representations show, as text by name."""
        return {"name": self.name} if self.name else {}

    def as_dict(self) -> dict[str, Any]:
        """Return everything but pixels as JSON holds it."""
        height, width = self.image.shape[:2]
        facts: dict[str, Any] = {"file": self.name, "height": height, "width": width}
        if self.region is not None:
            facts["region"] = [*self.region]
        if self.notes:
            facts["notes"] = [*self.notes]
        return facts

    def __repr__(self) -> str:
        """Return name and facts, never the pixels."""
        facts = ", ".join(f"{key}={text}" for key, text in self._facts().items())
        return f"{type(self).__name__}({facts})"

    def render(self) -> Image.Image:
        """Draw the result as an RGB image of the input's size."""
        return draw(self.image)

    def _repr_png_(self) -> bytes:
        return to_png(self.render())

    def _repr_html_(self) -> str:
        name = type(self).__name__
        return to_html(name, self._repr_png_(), self._facts(), NOTICE)


@dataclasses.dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class Classification(Result):
    """The class of an image.

    Attributes
    ----------
    label
        Name of the most probable class.
    probabilities
        Probability by class name, temperature-calibrated; they add up to 1. They assume
        the class shares of the model's training, or those of ``prior`` where it was
        given.
    abstains
        Whether the label is too improbable to be relied on, by the threshold that the
        model's validation images gave.
    exceeds
        For each of the model's operating points, such as ``"sensitivity 0.90"``,
        whether the malignancy reaches its threshold. A prior does not change it: the
        thresholds belong to probabilities under the class shares of training. Empty for
        an ensemble.
    uncertainty
        How much the members of an ensemble disagree: the mutual information of class
        and member in nats, from 0 to the logarithm of their number. None for a model.
    """

    label: str
    probabilities: Mapping[str, float]
    abstains: bool = False
    exceeds: Mapping[str, bool] = dataclasses.field(default_factory=dict)
    uncertainty: float | None = None

    @property
    def malignancy(self) -> float | None:
        """Probability of the class "malignant"; None if the model has no such class."""
        return self.probabilities.get(MALIGNANT)

    @property
    def malignancy_given_lesion(self) -> float | None:
        """Probability of "malignant" given that it is "malignant" or "benign".

        For images that are known to show a lesion. None if the model lacks one of these
        classes, or both are impossible under the prior.
        """
        malignant, benign = map(self.probabilities.get, (MALIGNANT, BENIGN))
        if malignant is None or benign is None or malignant + benign == 0:
            return None
        return malignant / (malignant + benign)

    def _facts(self) -> dict[str, str]:
        shares = {name: f"{p:.3f}" for name, p in self.probabilities.items()}
        label = f"{self.label} (abstains)" if self.abstains else self.label
        facts = {"label": label, **shares}
        if self.uncertainty is not None:
            facts["uncertainty"] = f"{self.uncertainty:.3f}"
        return {**facts, **super()._facts()}

    def as_dict(self) -> dict[str, Any]:
        """Return everything but pixels as JSON holds it."""
        document = {
            **super().as_dict(),
            "label": self.label,
            "probabilities": dict(self.probabilities),
            "malignancy": self.malignancy,
            "malignancy_given_lesion": self.malignancy_given_lesion,
            "abstains": self.abstains,
            "exceeds": dict(self.exceeds),
        }
        if self.uncertainty is not None:
            document["uncertainty"] = self.uncertainty
        return document


@dataclasses.dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class Segmentation(Result):
    """The lesions of an image.

    Attributes
    ----------
    mask
        bool (H, W), the image's own size: where the lesion probability reaches the
        model's threshold, without the connected components that nowhere reach its peak.
    lesion_probability
        float32 (H, W) in 0..1.
    spacing
        Millimetres a row and a column, or None where they are not known.
    """

    mask: npt.NDArray[np.bool_]
    lesion_probability: npt.NDArray[np.float32]
    spacing: Spacing | None = None

    @functools.cached_property
    def lesions(self) -> tuple[Lesion, ...]:
        """The mask's connected components, the largest first."""
        return find_lesions(self.mask, self.lesion_probability, self.spacing)

    def _facts(self) -> dict[str, str]:
        facts = {"lesions": str(len(self.lesions))}
        if self.lesions:
            largest = self.lesions[0]
            facts["largest"] = f"{largest.area} px"
            if largest.area_mm2 is not None:
                facts["largest"] = f"{largest.area_mm2:.1f} mm2"
        return {**facts, **super()._facts()}

    def as_dict(self) -> dict[str, Any]:
        """Return everything but pixels as JSON holds it."""
        return {
            **super().as_dict(),
            "lesions": [lesion.as_dict() for lesion in self.lesions],
        }

    def render(self) -> Image.Image:
        """Draw the image with the lesions outlined, RGB of the input's size."""
        return draw(self.image, self.mask)


@dataclasses.dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class Prediction(Classification, Segmentation):
    """Class and lesions of an image, from one pass over the network."""

    @property
    def consistent(self) -> bool:
        """Whether class and mask agree: a lesion exactly where one is expected."""
        return (self.label == NORMAL) != bool(self.mask.any())
