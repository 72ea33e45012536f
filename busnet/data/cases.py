"""A case: one image with all that is known of it."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

from busnet._io import encodable
from busnet.data.masks import CONTRADICTIONS, mask_contradiction
from busnet.data.numbers import whole_number
from busnet.errors import DataError
from busnet.images import Picture, Region, read_image, read_mask
from busnet.images.picture import pixel_sides

__all__ = [
    "BENIGN_INDEX",
    "CLASSES",
    "CUSTOM_SOURCE",
    "LESION_CLASSES",
    "MALIGNANT_INDEX",
    "NORMAL_INDEX",
    "Case",
    "order_classes",
]

#: The classes in the order that busnet's own models use.
CLASSES = ("normal", "benign", "malignant")
NORMAL_INDEX, BENIGN_INDEX, MALIGNANT_INDEX = range(3)

#: The classes of lesions, which are all that some models know.
LESION_CLASSES = CLASSES[1:]

#: The source of data that nobody named.
CUSTOM_SOURCE = "custom"


def order_classes(names: Iterable[str]) -> tuple[str, ...]:
    """Return a model's classes in the order of :data:`CLASSES`.

    Parameters
    ----------
    names
        Those of :data:`CLASSES` or of :data:`LESION_CLASSES`, in any order.

    Raises
    ------
    DataError
        If they are others.
    """
    listed = list(names)
    for classes in (CLASSES, LESION_CLASSES):
        if sorted(listed) == sorted(classes):
            return classes
    raise DataError(
        f"the model's classes are {', '.join(listed)}, not {', '.join(CLASSES)}, nor "
        f"{' and '.join(LESION_CLASSES)} alone"
    )


@dataclasses.dataclass(frozen=True)
class Case:
    r"""One image of a data set.

    Paths may be given as texts, and a single mask without a tuple. Its texts can be
    written as UTF-8: bytes of a file's or folder's name that are not are escaped in
    them, as in ``caf\xe9.png``.

    Attributes
    ----------
    name
        Name within its source, where it is unique.
    image
        The image's file.
    masks
        Files of its lesion masks; the lesion is their union.
    label
        A name of :data:`CLASSES`, or None where the class is not known. Such a case
        trains and scores the mask alone.
    group
        Images of the same group must never be divided between training and test:
        duplicates of a scene (BUSI) or images of a patient. Its name is local to the
        source; see :attr:`key`. By default a case is a group of its own, of its name.
    fold
        The fold that the data set's own split puts it in, -1 where it is in none.
    source
        The data set or hospital that it comes from.
    objection
        Why the case is not clean ("axilla", "needle", "multiclass"), or "".
    annotation
        What is burnt into the image ("measurement", "text", ...), or "".
    spacing
        Millimetres a row and a column where the data set says so.
    attributes
        What else the data set says: ``"scanner"``, ``"birads"``, ``"histology"``,
        ``"side"`` and the like.
    divisions
        The case's fold in the published divisions of its data set, by the division's
        name; empty for data of the user's own.
    contradicted
        Whether a copy of its scene has another class. Only BUSI has such cases, and
        only ``busi-random5`` uses them.
    """

    name: str
    image: Path
    masks: tuple[Path, ...] = ()
    label: str | None = None
    group: str = ""
    fold: int = -1
    source: str = CUSTOM_SOURCE
    objection: str = ""
    annotation: str = ""
    spacing: tuple[float, float] | None = None
    attributes: Mapping[str, str] = dataclasses.field(default_factory=dict, hash=False)
    divisions: Mapping[str, int] = dataclasses.field(default_factory=dict, hash=False)
    contradicted: bool = False

    def __post_init__(self) -> None:
        """Check the values, and make them those that readers of data sets give.

        Raises
        ------
        DataError
            If a text is something else, the class is not one of :data:`CLASSES`, the
            fold is no whole number, or the spacing is not two lengths.
        """
        if self.group == "":
            object.__setattr__(self, "group", self.name)
        for field in ("name", "group", "source"):
            value = getattr(self, field)
            if not isinstance(value, str):
                raise DataError(f"{self.name}: the {field} is a text, not {value!r}")
            object.__setattr__(self, field, encodable(value))
        if self.label not in (None, *CLASSES):
            raise DataError(
                f"{self.name}: the label {self.label!r} is not one of "
                f"{', '.join(CLASSES)}"
            )
        fold = whole_number(self.fold, f"{self.name}: the fold")
        object.__setattr__(self, "fold", fold)
        object.__setattr__(self, "image", self._path("image", self.image))
        masks = self.masks
        listed = [masks] if isinstance(masks, str | os.PathLike) else masks
        paths = tuple(self._path("mask", mask) for mask in listed)
        object.__setattr__(self, "masks", paths)
        object.__setattr__(self, "spacing", self._lengths(self.spacing))
        texts = {name: str(value) for name, value in self.attributes.items()}
        object.__setattr__(self, "attributes", texts)

    def _path(self, what: str, value: object) -> Path:
        if not isinstance(value, str | os.PathLike):
            raise DataError(f"{self.name}: the {what} is a path, not {value!r}")
        return Path(value)

    def _lengths(self, value: object) -> tuple[float, float] | None:
        """Return a spacing as two numbers of Python's."""
        if value is None:
            return None
        sides = pixel_sides(value)
        if sides is None:
            raise DataError(
                f"{self.name}: the spacing is millimetres a row and a column, not "
                f"{value!r}"
            )
        return sides

    @property
    def key(self) -> str:
        """Name of the group that is unique over all sources."""
        return f"{self.source}/{self.group}"

    @property
    def has_mask(self) -> bool:
        """Whether the lesion's outline is known; that of a normal image is empty."""
        return self.label == "normal" or bool(self.masks)

    def read_image(self) -> Picture:
        """Read the image; its spacing is the file's, else the case's.

        Raises
        ------
        ImageError
            If it cannot be read.
        """
        picture = read_image(self.image)
        if picture.spacing is None and self.spacing is not None:
            return dataclasses.replace(picture, spacing=self.spacing)
        return picture

    def read_mask(self) -> npt.NDArray[np.bool_]:
        """Read the union of the masks, (H, W) of the image's own size.

        The mask of a normal image without a file is empty.

        Raises
        ------
        ImageError
            If a file cannot be read, or its values are not those of a mask.
        DataError
            If two masks differ in size, or the case has none and is not normal.
        """
        if not self.has_mask:
            raise DataError(f"{self.name}: the case has no mask")
        if not self.masks:
            return np.zeros(self.read_image().shape, np.bool_)
        union = read_mask(self.masks[0])
        for path in self.masks[1:]:
            mask = read_mask(path)
            if union.shape != mask.shape:
                raise DataError(
                    f"{path}: the mask is {mask.shape}, the case's first {union.shape}"
                )
            union |= mask
        return union

    def read(self) -> tuple[Picture, npt.NDArray[np.bool_] | None]:
        """Read the image and the mask, (H, W), which is None where it is not known.

        Raises
        ------
        ImageError
            If a file cannot be read.
        DataError
            If the mask is of another size than the image, contradicts the class, or
            cannot be a lesion's.
        """
        picture = self.read_image()
        if not self.has_mask:
            return picture, None
        mask = self.read_mask() if self.masks else np.zeros(picture.shape, np.bool_)
        contradiction = mask_contradiction(mask, picture.shape, self.label)
        if contradiction is not None:
            kind, details = contradiction
            raise DataError(f"{self.image}: {CONTRADICTIONS[kind].format(details)}")
        return picture, mask

    def read_tissue(self) -> tuple[Picture, npt.NDArray[np.bool_] | None]:
        """Read image and mask as :meth:`read` does, of the tissue region alone.

        A DICOM file may name such regions, which predictions look at. Of several it is
        the one with the most pixels of the mask, or the largest.

        Raises
        ------
        ImageError, DataError
            As :meth:`read` does; and if all of the mask lies outside the regions.
        """
        picture, mask = self.read()
        if not picture.regions:
            return picture, mask
        if mask is None:
            return picture.part(picture.regions[0]), None

        def inside(region: Region) -> npt.NDArray[np.bool_]:
            top, left, bottom, right = region.box
            return mask[top:bottom, left:right]

        region = max(picture.regions, key=lambda r: np.count_nonzero(inside(r)))
        if mask.any() and not inside(region).any():
            raise DataError(
                f"{self.image}: the mask lies outside the tissue regions of the file"
            )
        return picture.part(region), inside(region)
