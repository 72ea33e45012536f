"""Masks as NIfTI files (the extra ``busnet[nifti]``)."""

from __future__ import annotations

import gzip
import os

import numpy as np
import numpy.typing as npt

from busnet._io import atomic_write
from busnet.errors import requires_extra
from busnet.lesions import Spacing

with requires_extra("nifti"):
    import nibabel

__all__ = ["save_mask"]


def save_mask(
    path: str | os.PathLike[str],
    mask: npt.NDArray[np.bool_],
    spacing: Spacing | None = None,
) -> None:
    """Write a mask (H, W) as gzipped NIfTI-1 of 0 and 1, uint8 (W, H, 1).

    The first axis runs along columns and the second along rows; both point as ITK has
    them when it reads a PNG (left and posterior), so that a mask of NIfTI and one of
    PNG lie upon each other. Voxels are millimetres where the spacing is known; where
    it is not they are 1 and the unit says "unknown".
    """
    row, column = spacing or (1.0, 1.0)
    volume = np.ascontiguousarray(mask.T[:, :, None], np.uint8)
    image = nibabel.Nifti1Image(volume, np.diag([-column, -row, 1.0, 1.0]))
    image.header.set_xyzt_units("mm" if spacing is not None else "unknown")
    with atomic_write(path) as part:
        part.write_bytes(gzip.compress(image.to_bytes(), mtime=0))
