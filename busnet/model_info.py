"""What a weights file says of its model."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping
from typing import Any, get_args

import numpy as np

from busnet.errors import UnknownNetworkError, WeightsError
from busnet.images import Interpolation, Preprocessing, Resize
from busnet.networks import Head, Network, get_network

__all__ = ["CONVERTED", "ModelInfo"]

FORMAT = 1

#: Key of a provenance under which a converted file says what it was.
CONVERTED = "converted"

INTERPOLATIONS = get_args(Interpolation)

#: Largest size that images are resized to, pixels.
MAX_SIDE = 4096

#: Largest size of mean and std, of the temperature and of its inverse, so that float32
#: holds what is computed by them.
MAX_NUMBER = 1e15

#: How far from 1 class shares may add up.
TOLERANCE = 1e-6

#: What the metadata must say; everything else has a default.
_REQUIRED = frozenset(("network", "classes", "image_size", "mean", "std"))


@dataclasses.dataclass(frozen=True)
class ModelInfo:
    """What a weights file says of its model.

    Attributes
    ----------
    network
        The row that the arrays fit.
    classes
        Names of the classes, in the order of the logits.
    image_size
        Side of the square that the network sees, pixels.
    mean, std
        What the network normalises intensities in 0..1 by, one number a channel.
    temperature
        What class logits are divided by before the softmax (Guo et al., ICML 2017).
    mask_threshold
        Probability from which a pixel belongs to a lesion.
    lesion_peak
        Probability that a lesion reaches somewhere: connected components of the mask
        that nowhere do are left out (hysteresis thresholding; Canny, 1986).
    operating_points
        Thresholds on the malignancy score by name, such as ``"sensitivity 0.90"``.
    abstain_below
        Probability of the most probable class below which the model abstains.
    class_shares
        Share of each class, by name, that the probabilities assume. All the same where
        none are given, since training weights the classes so that each counts alike.
    provenance
        Where the weights came from: data, split, seed, recipe, version.
    resize, interpolation
        How images are brought to the square; see
        :class:`busnet.images.Preprocessing`.
    content_hashes
        What :class:`busnet.data.ContentHashes` encodes of all images that trainings
        saw; empty where the file does not say.
    """

    network: Network
    classes: tuple[str, ...]
    image_size: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    temperature: float = 1.0
    mask_threshold: float = 0.5
    lesion_peak: float = 0.0
    operating_points: Mapping[str, float] = dataclasses.field(default_factory=dict)
    abstain_below: float = 0.0
    class_shares: Mapping[str, float] = dataclasses.field(default_factory=dict)
    provenance: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    content_hashes: Mapping[str, str] = dataclasses.field(default_factory=dict)
    resize: Resize = "letterbox"
    interpolation: Interpolation = "bilinear"

    def __post_init__(self) -> None:
        """Check that the values can be those of a model."""
        if len(self.classes) < 1 or len(set(self.classes)) != len(self.classes):
            raise WeightsError(f"classes {self.classes} are empty or not distinct")
        if not isinstance(self.image_size, int) or not (
            32 <= self.image_size <= MAX_SIDE
        ):
            raise WeightsError(
                f"image size {self.image_size!r} is no whole number in 32..{MAX_SIDE}"
            )
        for name, numbers in (("mean", self.mean), ("std", self.std)):
            if len(numbers) != self.network.channels:
                raise WeightsError(
                    f"{name} has {len(numbers)} numbers, the network takes "
                    f"{self.network.channels} channels"
                )
        if not all(abs(m) <= MAX_NUMBER for m in self.mean):
            raise WeightsError(
                f"mean {self.mean} is not finite and at most {MAX_NUMBER:g}"
            )
        for name, numbers in (("std", self.std), ("temperature", (self.temperature,))):
            if not all(1 / MAX_NUMBER <= x <= MAX_NUMBER for x in numbers):
                raise WeightsError(
                    f"{name} {', '.join(map(str, numbers))} is not positive, from "
                    f"{1 / MAX_NUMBER:g} to {MAX_NUMBER:g}"
                )
        if not 0 < self.mask_threshold < 1:
            raise WeightsError(f"mask threshold {self.mask_threshold} is not in 0..1")
        for name, point in {
            **self.operating_points,
            "abstain": self.abstain_below,
            "lesion peak": self.lesion_peak,
        }.items():
            if not 0 <= point <= 1:
                raise WeightsError(f"{name}: the threshold {point} is not in 0..1")
        self._check_preprocessing()
        self._check_class_shares()

    @property
    def preprocessing(self) -> Preprocessing:
        """How the model sees images."""
        return Preprocessing(self.image_size, self.resize, self.interpolation)

    @property
    def heads(self) -> tuple[Head, ...]:
        """What the network computes: ``"class"``, ``"mask"``, or both."""
        return self.network.heads

    @property
    def network_name(self) -> str:
        """The network's name."""
        return self.network.name

    def _check_preprocessing(self) -> None:
        if self.interpolation not in INTERPOLATIONS:
            raise WeightsError(
                f"interpolation {self.interpolation!r} is not one of "
                f"{', '.join(INTERPOLATIONS)}"
            )
        if self.resize == "letterbox":
            if self.interpolation != "bilinear":
                raise WeightsError(f"a letterbox is bilinear, not {self.interpolation}")
            return
        is_pair = isinstance(self.resize, tuple)
        sides = self.resize if isinstance(self.resize, tuple) else (self.resize,)
        if len(sides) != 1 + is_pair or not all(
            isinstance(side, int) and self.image_size <= side <= MAX_SIDE
            for side in sides
        ):
            raise WeightsError(
                f"resize {self.resize!r} is neither 'letterbox' nor one or two numbers "
                f"from the image size, {self.image_size}, to {MAX_SIDE}"
            )
        if "mask" in self.network.heads and not self.preprocessing.shows_all:
            raise WeightsError(
                f"resize {self.resize!r} and a crop of {self.image_size} cut parts of "
                f"the image off, so that there would be no mask of them"
            )

    def _check_class_shares(self) -> None:
        if not self.class_shares:
            shares = dict.fromkeys(self.classes, 1 / len(self.classes))
            object.__setattr__(self, "class_shares", shares)
        if set(self.class_shares) != set(self.classes):
            raise WeightsError(
                f"class shares are of {', '.join(self.class_shares)}, classes are "
                f"{', '.join(self.classes)}"
            )
        numbers = self.class_shares.values()
        if not (min(numbers) > 0 and abs(math.fsum(numbers) - 1) < TOLERANCE):
            raise WeightsError(
                f"class shares {dict(self.class_shares)} are not positive numbers that "
                f"add up to 1"
            )

    def to_json(self) -> str:
        """Return the text that the file's metadata holds."""
        document = dataclasses.asdict(self)
        row = document.pop("network")
        return json.dumps(
            {"format": FORMAT, "network": row, **document},
            sort_keys=True,
            default=_to_python,
        )

    @classmethod
    def from_json(cls, text: str) -> ModelInfo:
        """Read what :meth:`to_json` wrote.

        Raises
        ------
        WeightsError
            If a field is missing, unknown, or of another type.
        UnknownNetworkError
            If the network's name is unknown.
        """
        try:
            document = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise WeightsError(f"the metadata is no JSON: {error}") from None
        if not isinstance(document, dict) or document.get("format") != FORMAT:
            raise WeightsError(f"the metadata is not of format {FORMAT}")
        fields = {field.name for field in dataclasses.fields(cls)} | {"format"}
        odd = (set(document) - fields) | (_REQUIRED - set(document))
        if odd:
            raise WeightsError(
                f"the metadata has unknown or lacks fields: {', '.join(sorted(odd))}"
            )
        try:
            row = dict(document["network"])
            return cls(
                network=_network(row),
                classes=tuple(_strings(document["classes"])),
                image_size=document["image_size"],
                mean=tuple(map(_number, document["mean"])),
                std=tuple(map(_number, document["std"])),
                temperature=_number(document.get("temperature", 1.0)),
                mask_threshold=_number(document.get("mask_threshold", 0.5)),
                lesion_peak=_number(document.get("lesion_peak", 0.0)),
                operating_points=_numbers(document.get("operating_points", {})),
                abstain_below=_number(document.get("abstain_below", 0.0)),
                class_shares=_numbers(document.get("class_shares", {})),
                provenance=_mapping(document.get("provenance", {})),
                resize=_resize(document.get("resize", "letterbox")),
                interpolation=document.get("interpolation", "bilinear"),
                content_hashes=_texts(document.get("content_hashes", {})),
            )
        except (WeightsError, UnknownNetworkError):
            raise
        except (TypeError, ValueError, KeyError) as error:
            raise WeightsError(
                f"the metadata has a field of a wrong type: {error}"
            ) from None


def _to_python(value: object) -> object:
    """Return a number of NumPy's as Python's, for JSON."""
    if isinstance(value, np.generic):
        return value.item()
    raise WeightsError(f"the metadata cannot hold {value!r}")


def _strings(values: Any) -> list[str]:
    if not isinstance(values, list) or not all(isinstance(v, str) for v in values):
        raise WeightsError(f"classes must be a list of names, not {values!r}")
    return values


def _number(value: Any) -> float:
    """Return a number of JSON's; strings, true and false are none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{value!r} is no number")
    try:
        return float(value)
    except OverflowError:
        raise ValueError(f"a number of {len(str(value))} digits is too large") from None


def _mapping(values: Any) -> dict[str, Any]:
    if not isinstance(values, dict):
        raise TypeError(f"{values!r} is no object")
    return values


def _numbers(values: Any) -> dict[str, float]:
    return {name: _number(number) for name, number in _mapping(values).items()}


def _texts(values: Any) -> dict[str, str]:
    for name, text in _mapping(values).items():
        if not isinstance(text, str):
            raise TypeError(f"{name}: {text!r} is no string")
    return dict(values)


def _resize(value: Any) -> Any:
    """Return what JSON says of the resizing; the numbers are checked with the rest."""
    return tuple(value) if isinstance(value, list) else value


def _network(row: dict[str, Any]) -> Network:
    """Make a row of the table with the changes that the metadata states."""
    name = row.pop("name")
    if not isinstance(name, str):
        raise WeightsError(f"the network's name is {name!r}")
    known = get_network(name)
    depths = tuple(row.pop("depths", known.depths))
    block = row.pop("block", known.block)
    if depths != known.depths or block != known.block:
        raise WeightsError(
            f"{name} has {known.block} blocks {known.depths}, not {block} {depths}"
        )
    return get_network(name, **row)
