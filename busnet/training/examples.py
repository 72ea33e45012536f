"""Examples: cases read once into memory, as training needs them."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from busnet.data import CLASSES, Case
from busnet.images import Letterbox

__all__ = ["UNKNOWN", "Examples", "class_index", "source_names"]

#: Label of a case whose class is not known.
UNKNOWN = -1

Integers = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]
Flags = npt.NDArray[np.bool_]


def class_index(case: Case) -> int:
    """Return the index of a case's class, :data:`UNKNOWN` where it has none."""
    return UNKNOWN if case.label is None else CLASSES.index(case.label)


def source_names(cases: Sequence[Case]) -> tuple[str, ...]:
    """Return the names of the sources that the cases come from, sorted."""
    return tuple(sorted({case.source for case in cases}))


@dataclasses.dataclass(frozen=True)
class Examples:
    """N cases letterboxed to squares of S pixels.

    Attributes
    ----------
    images
        Intensities, uint8 (N, C, S, S).
    masks
        Lesions as 0 and 1, uint8 (N, 1, S, S); zeros where the mask is not known.
    labels
        Indices of the classes, (N,); :data:`UNKNOWN` where the class is not known.
    masked
        Whether the mask is known, (N,). A normal image has an empty one.
    sources
        Indices in ``names`` of the sources, (N,).
    groups
        Numbers of the groups (patients), (N,); the same number, the same group.
    frames
        What the image covers of the square: top, left, bottom and right in shares of
        the square's side, (N, 4).
    lesions
        Bounding box of the mask likewise, (N, 4); zeros where there is no lesion.
    names
        Names of the sources.
    """

    images: Tensor
    masks: Tensor
    labels: Integers
    masked: Flags
    sources: Integers
    groups: Integers
    frames: Floats
    lesions: Floats
    names: tuple[str, ...]

    @classmethod
    def load(
        cls,
        cases: Sequence[Case],
        size: int,
        channels: int,
        *,
        names: tuple[str, ...] | None = None,
    ) -> Examples:
        """Read and letterbox the cases, several at a time.

        Parameters
        ----------
        cases
            The cases.
        size
            Side of the squares, pixels.
        channels
            Channels of the images, 1 or 3.
        names
            Names of the sources that are counted; those of the cases by default.

        Raises
        ------
        DataError
            If a mask is of another size than its image, contradicts the class, or
            cannot be a lesion's.
        """

        def read(case: Case) -> tuple[npt.NDArray[np.uint8], Flags, Floats]:
            return _read(case, size, channels)

        threads = min(8, os.cpu_count() or 1)
        images = np.zeros((len(cases), channels, size, size), np.uint8)
        masks = np.zeros((len(cases), 1, size, size), np.uint8)
        frames = np.zeros((len(cases), 4), np.float32)
        with ThreadPoolExecutor(threads) as pool:
            for i, (image, mask, frame) in enumerate(pool.map(read, cases)):
                images[i], masks[i, 0], frames[i] = image, mask, frame
        known = names if names is not None else source_names(cases)
        numbers: dict[tuple[str, str], int] = {}
        return cls.make(
            images,
            masks,
            frames,
            labels=[class_index(case) for case in cases],
            masked=[case.has_mask for case in cases],
            sources=[known.index(case.source) for case in cases],
            groups=[
                numbers.setdefault((case.source, case.group), len(numbers))
                for case in cases
            ],
            names=known,
        )

    @classmethod
    def make(
        cls,
        images: npt.NDArray[np.uint8],
        masks: npt.NDArray[np.uint8],
        frames: Floats,
        *,
        labels: Sequence[int],
        masked: Sequence[bool],
        sources: Sequence[int],
        groups: Sequence[int],
        names: tuple[str, ...],
    ) -> Examples:
        """Return examples of arrays; the boxes of the lesions are measured here."""
        size = masks.shape[-1]
        lesions = np.zeros((len(masks), 4), np.float32)
        for i, mask in enumerate(masks[:, 0]):
            rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
            if rows.size:
                lesions[i] = rows[0], columns[0], rows[-1] + 1, columns[-1] + 1
        return cls(
            torch.from_numpy(images),
            torch.from_numpy(masks),
            np.asarray(labels, np.int64),
            np.asarray(masked, np.bool_),
            np.asarray(sources, np.int64),
            np.asarray(groups, np.int64),
            frames,
            lesions / size,
            names,
        )

    def to(self, device: torch.device) -> Examples:
        """Return the examples with their pixels in a device's memory."""
        return dataclasses.replace(
            self, images=self.images.to(device), masks=self.masks.to(device)
        )

    def subset(self, chosen: Sequence[int] | Integers) -> Examples:
        """Return some of the examples, by their indices."""
        rows = np.asarray(chosen, np.int64)
        pixels = torch.from_numpy(rows).to(self.images.device)
        return Examples(
            self.images[pixels],
            self.masks[pixels],
            self.labels[rows],
            self.masked[rows],
            self.sources[rows],
            self.groups[rows],
            self.frames[rows],
            self.lesions[rows],
            self.names,
        )

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def size(self) -> int:
        """Side of the squares, pixels."""
        return int(self.images.shape[-1])

    @property
    def has_lesion(self) -> Flags:
        """Whether a lesion is outlined, (N,)."""
        return np.asarray(self.lesions[:, 2] > self.lesions[:, 0])


def _read(
    case: Case, size: int, channels: int
) -> tuple[npt.NDArray[np.uint8], Flags, Floats]:
    """Return image (C, S, S), mask (S, S) and frame (4,) of a case."""
    picture, outline = case.read_tissue()
    box = Letterbox(*picture.shape, size)
    square = box.apply(picture.channels(channels)).reshape(size, size, channels)
    mask = np.zeros((size, size), np.bool_)
    if outline is not None and outline.any():
        mask = box.apply(outline.astype(np.float32)) > 0.5
    edges = (box.top, box.left, box.top + box.rows, box.left + box.columns)
    return (
        np.rint(square.transpose(2, 0, 1).clip(0, 1) * 255).astype(np.uint8),
        mask,
        (np.array(edges) / size).astype(np.float32),
    )
