"""A case: one image with all that is known of it."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import numpy.typing as npt

from busnet.errors import DataError
from busnet.images import Picture, read_image

__all__ = ["CLASSES", "Case"]

#: The classes in the order that busnet's own models use.
CLASSES = ("normal", "benign", "malignant")


@dataclasses.dataclass(frozen=True)
class Case:
    """One labelled image.

    Attributes
    ----------
    name
        Unique name within its data set.
    image
        The image's file.
    masks
        Files of its lesion masks; the lesion is their union.
    label
        A name of :data:`CLASSES`.
    group
        Images of the same group must never be divided between training and test:
        duplicates of a scene (BUSI) or images of a patient (BUS-BRA).
    fold
        The fold that the data set's own split puts it in, -1 where it is in none.
    objection
        Why the case is not clean ("axilla", "needle", "multiclass"), or "".
    annotation
        What is burnt into the image ("measurement", "text", ...), or "".
    """

    name: str
    image: Path
    masks: tuple[Path, ...]
    label: str
    group: str
    fold: int = -1
    objection: str = ""
    annotation: str = ""

    def read_image(self) -> Picture:
        """Read the image."""
        return read_image(self.image)

    def read_mask(self) -> npt.NDArray[np.bool_]:
        """Read the union of the masks, (H, W) of the image's own size.

        Raises
        ------
        DataError
            If two masks differ in size, or the case has none.
        """
        union: npt.NDArray[np.bool_] | None = None
        for path in self.masks:
            mask = read_image(path).channels(1) > 0.5
            if union is None:
                union = mask
            elif union.shape != mask.shape:
                raise DataError(
                    f"{path}: the mask is {mask.shape}, the case's first {union.shape}"
                )
            else:
                union |= mask
        if union is None:
            raise DataError(f"{self.name}: the case has no mask")
        return union
