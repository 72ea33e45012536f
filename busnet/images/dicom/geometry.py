"""Where a frame shows tissue, and how large its pixels are."""

from __future__ import annotations

import math
from collections.abc import Sequence

from pydicom.dataset import Dataset

from busnet.errors import ImageFileError
from busnet.images.dicom.attributes import group, number, numbers
from busnet.images.picture import SIDES, Region, is_spacing

__all__ = ["common_spacing", "pixel_spacing", "regions_of"]

#: Values of an ultrasound region (PS3.3 C.8.5.5) that shows tissue in two dimensions,
#: and whose scale is in centimetres.
_TISSUE = {
    "RegionSpatialFormat": 1,
    "RegionDataType": 1,
    "PhysicalUnitsXDirection": 3,
    "PhysicalUnitsYDirection": 3,
}

#: The smallest height and width of a region; fields that were not set give one of 1.
_MIN_SIDE = 2

#: How far, as a share, the scales of regions may differ and count as the same.
_SAME = 1e-3

_LIMITS = (
    "RegionLocationMinY0",
    "RegionLocationMinX0",
    "RegionLocationMaxY1",
    "RegionLocationMaxX1",
)


def regions_of(dataset: Dataset) -> tuple[tuple[Region, ...], tuple[str, ...]]:
    """Return the two-dimensional tissue regions in centimetres, and notes.

    Returns
    -------
    regions : tuple of Region
        From SequenceOfUltrasoundRegions, the largest first; as far as they lie in the
        frame.
    notes : tuple of str
        Why a region, or the size of its pixels, is not used.
    """
    frame = int(dataset.get("Rows") or 0), int(dataset.get("Columns") or 0)
    regions, notes = [], []
    for place, item in enumerate(dataset.get("SequenceOfUltrasoundRegions") or (), 1):
        try:
            if any(number(item, name) != value for name, value in _TISSUE.items()):
                continue
            box = _box(item, frame)
        except ImageFileError as error:
            notes.append(f"region {place} of the file is not used: {error}")
            continue
        height, width = box[2] - box[0], box[3] - box[1]
        if min(height, width) < _MIN_SIDE:
            size = f"{max(height, 0)} x {max(width, 0)}"
            notes.append(
                f"region {place} of the file is not used: {size} pixels of it lie in "
                f"the frame"
            )
            continue
        try:
            spacing = _length(item, "PhysicalDeltaY"), _length(item, "PhysicalDeltaX")
        except ImageFileError as error:
            notes.append(f"region {place} of the file has no millimetres: {error}")
            regions.append(Region(box))
        else:
            regions.append(Region(box, spacing))
    return tuple(sorted(regions, key=lambda region: -region.area)), tuple(notes)


def common_spacing(regions: Sequence[Region]) -> tuple[float, float] | None:
    """Return the spacing that all regions have; None where they differ."""
    first = regions[0].spacing
    for region in regions:
        if first is None or region.spacing is None:
            return None
        pairs = zip(first, region.spacing, strict=True)
        if not all(math.isclose(a, b, rel_tol=_SAME) for a, b in pairs):
            return None
    return first


def _box(item: Dataset, frame: tuple[int, int]) -> tuple[int, int, int, int]:
    """Return the part of a region that lies in the frame, as :attr:`Region.box`."""
    top, left, bottom, right = (int(_only(item, name)) for name in _LIMITS)
    height, width = frame
    return max(0, top), max(0, left), min(height, bottom + 1), min(width, right + 1)


def _length(item: Dataset, keyword: str) -> float:
    """Return a pixel's side in millimetres."""
    value = _only(item, keyword)
    if not SIDES[0] <= 10 * abs(value) < SIDES[1]:
        raise ImageFileError(f"{keyword} is {value:g}")
    return 10 * abs(value)


def _only(item: Dataset, keyword: str) -> float:
    value = number(item, keyword)
    if value is None:
        raise ImageFileError(f"{keyword} is missing")
    return value


def pixel_spacing(
    dataset: Dataset, index: int = 0
) -> tuple[tuple[float, float] | None, tuple[str, ...]]:
    """Return a frame's PixelSpacing, and notes.

    Returns
    -------
    spacing : tuple of float or None
        Millimetres a row and a column, of the frame's functional group or the dataset's
        own. None where it is missing, or is not two lengths.
    notes : tuple of str
        Why a value that is there is not used.
    """
    measures = group(dataset, index, "PixelMeasuresSequence")
    source = dataset if measures is None else measures
    try:
        values = numbers(source, "PixelSpacing")
    except ImageFileError:
        return None, ("PixelSpacing is not a pair of numbers: sizes are in pixels",)
    if not values:
        return None, ()
    if not is_spacing(values):
        problem = "has one value" if len(values) == 1 else f"is {values}"
        return None, (f"PixelSpacing {problem}: sizes are in pixels",)
    return (values[0], values[1]), ()
