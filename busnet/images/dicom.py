"""Frames of DICOM files (the extra ``busnet[dicom]``): pixels and spacing, no tags.

Nothing that names a patient leaves this module: a frame is a picture, its spacing, and
the path that the caller gave.
"""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Iterator
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
from PIL import Image

from busnet.errors import ImageFileError, MissingExtraError
from busnet.images.picture import Picture, Region
from busnet.lesions import Spacing

try:
    import pydicom
    from pydicom.encaps import generate_frames
    from pydicom.pixels.processing import (
        apply_color_lut,
        apply_modality_lut,
        apply_voi_lut,
    )
    from pydicom.pixels.utils import iter_pixels
except ImportError as error:
    raise MissingExtraError(
        f"DICOM files need the extra: pip install 'busnet[dicom]' ({error})"
    ) from None

__all__ = ["frames", "pixel_spacing", "regions_of"]

#: JPEG baseline and extended, which of 8 bits Pillow decodes, by what the stream itself
#: says of its colours: files whose tag says RGB and whose stream is YCbCr are common.
_JPEG = ("1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.51")

#: Values of an ultrasound region (PS3.3 C.8.5.5): two-dimensional, tissue, centimetres.
_TWO_DIMENSIONAL, _TISSUE, _CENTIMETRES = 1, 1, 3


def frames(
    source: str | BinaryIO, *, name: str, value_range: tuple[float, float] | None = None
) -> Iterator[Picture]:
    """Yield the frames of a DICOM file, one at a time.

    Grey (MONOCHROME1 inverted, windows applied), RGB, YBR_FULL, YBR_FULL_422 and
    palette; uncompressed, JPEG, and what pydicom's installed decoders know.

    Raises
    ------
    ImageFileError
        If it is no DICOM image, is truncated, or cannot be decoded.
    """
    with _told(name):
        if value_range is not None:
            raise ImageFileError("value_range is not for DICOM yet")
        dataset = pydicom.dcmread(source)
        count = int(dataset.get("NumberOfFrames") or 1)
        regions = regions_of(dataset)
        spacing = regions[0].spacing if regions else pixel_spacing(dataset)
        arrays = _decode(dataset, count)
    for number in range(1, count + 1):
        with _told(name):
            pixels = _to_unit(next(arrays), dataset)
        frame = number if count > 1 else None
        yield Picture(pixels, name, spacing, frame, regions)


@contextlib.contextmanager
def _told(name: str) -> Iterator[None]:
    """Turn whatever goes wrong into an error that names the file.

    pydicom's warnings quote the values of tags, which may be a patient's: they are not
    passed on.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            yield
        except ImageFileError as error:
            raise ImageFileError(f"{name}: {error}") from None
        except StopIteration:
            raise ImageFileError(f"{name}: it has fewer frames than it says") from None
        except Exception as error:  # decoders raise whatever they like
            raise ImageFileError(f"{name}: cannot be read as DICOM: {error}") from error


def regions_of(dataset: Any) -> tuple[Region, ...]:
    """Return the two-dimensional tissue regions in centimetres, the largest first.

    From SequenceOfUltrasoundRegions; as far as they lie in the frame and have an
    extent in space.
    """
    height, width = int(dataset.get("Rows") or 0), int(dataset.get("Columns") or 0)
    found = []
    for item in dataset.get("SequenceOfUltrasoundRegions") or ():
        if (
            item.get("RegionSpatialFormat") != _TWO_DIMENSIONAL
            or item.get("RegionDataType") != _TISSUE
            or item.get("PhysicalUnitsXDirection") != _CENTIMETRES
            or item.get("PhysicalUnitsYDirection") != _CENTIMETRES
        ):
            continue
        box = (
            max(0, int(item.RegionLocationMinY0)),
            max(0, int(item.RegionLocationMinX0)),
            min(height, int(item.RegionLocationMaxY1) + 1),
            min(width, int(item.RegionLocationMaxX1) + 1),
        )
        row = 10 * abs(float(item.PhysicalDeltaY))
        column = 10 * abs(float(item.PhysicalDeltaX))
        if box[0] < box[2] and box[1] < box[3] and row > 0 and column > 0:
            found.append(Region(box, (row, column)))
    return tuple(sorted(found, key=lambda region: -region.area))


def pixel_spacing(dataset: Any) -> Spacing | None:
    """Return PixelSpacing, millimetres a row and a column, or None without."""
    if not dataset.get("PixelSpacing"):
        return None
    row, column = (float(value) for value in dataset.PixelSpacing)
    return (row, column) if row > 0 and column > 0 else None


def _decode(dataset: Any, count: int) -> Iterator[npt.NDArray[Any]]:
    if "PixelData" not in dataset or "PhotometricInterpretation" not in dataset:
        raise ImageFileError("it holds no image")
    syntax = dataset.file_meta.get("TransferSyntaxUID")
    if syntax in _JPEG and dataset.BitsStored <= 8:
        for data in generate_frames(dataset.PixelData, number_of_frames=count):
            with Image.open(io.BytesIO(data)) as image:
                yield np.asarray(image)
        return
    yield from iter_pixels(dataset)


def _to_unit(array: npt.NDArray[Any], dataset: Any) -> npt.NDArray[np.float32]:
    """Scale a frame to 0..1, grey (H, W) or RGB (H, W, 3), black at 0."""
    photometric = dataset.PhotometricInterpretation
    if photometric == "PALETTE COLOR":
        array = apply_color_lut(array, dataset)
        white = float(np.iinfo(array.dtype).max)
        return np.asarray(array / white, np.float32)
    if array.ndim == 3:
        return np.asarray(array / float(np.iinfo(array.dtype).max), np.float32)
    if array.ndim != 2:
        raise ImageFileError(f"a frame has the shape {array.shape}")
    low, high = _range(dataset)
    grey: npt.NDArray[Any] = apply_modality_lut(array, dataset)
    if grey is not array and "WindowWidth" not in dataset:
        low, high = float(grey.min()), float(grey.max())
    windowed = apply_voi_lut(grey, dataset)
    scaled = np.clip((windowed - low) / max(high - low, 1.0), 0, 1)
    if photometric == "MONOCHROME1":
        scaled = 1 - scaled
    return np.asarray(scaled, np.float32)


def _range(dataset: Any) -> tuple[float, float]:
    """Return what black and white are by the number of bits."""
    bits = int(dataset.BitsStored)
    if dataset.get("PixelRepresentation"):
        return -float(2 ** (bits - 1)), float(2 ** (bits - 1) - 1)
    return 0.0, float(2**bits - 1)
