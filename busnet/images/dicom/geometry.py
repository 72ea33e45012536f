"""Where a frame shows tissue, and how large its pixels are."""

from __future__ import annotations

from pydicom.dataset import Dataset

from busnet.errors import ImageFileError
from busnet.images.dicom.attributes import group, numbers
from busnet.images.picture import Region

__all__ = ["pixel_spacing", "regions_of"]

#: Values of an ultrasound region (PS3.3 C.8.5.5): two-dimensional, tissue, centimetres.
_TWO_DIMENSIONAL, _TISSUE, _CENTIMETRES = 1, 1, 3

_LIMITS = (
    "RegionLocationMinY0",
    "RegionLocationMinX0",
    "RegionLocationMaxY1",
    "RegionLocationMaxX1",
)


def regions_of(dataset: Dataset) -> tuple[Region, ...]:
    """Return the two-dimensional tissue regions in centimetres, the largest first.

    From SequenceOfUltrasoundRegions; as far as they lie in the frame and have an
    extent in space.
    """
    height, width = int(dataset.get("Rows") or 0), int(dataset.get("Columns") or 0)
    regions = []
    for item in dataset.get("SequenceOfUltrasoundRegions") or ():
        if (
            item.get("RegionSpatialFormat") != _TWO_DIMENSIONAL
            or item.get("RegionDataType") != _TISSUE
            or item.get("PhysicalUnitsXDirection") != _CENTIMETRES
            or item.get("PhysicalUnitsYDirection") != _CENTIMETRES
        ):
            continue
        top, left, bottom, right = (int(numbers(item, name)[0]) for name in _LIMITS)
        box = (
            max(0, top),
            max(0, left),
            min(height, bottom + 1),
            min(width, right + 1),
        )
        rows, columns = (
            10 * abs(numbers(item, name)[0])
            for name in ("PhysicalDeltaY", "PhysicalDeltaX")
        )
        if box[0] < box[2] and box[1] < box[3] and rows > 0 and columns > 0:
            regions.append(Region(box, (rows, columns)))
    return tuple(sorted(regions, key=lambda region: -region.area))


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
    if len(values) != 2 or min(values) <= 0:
        problem = "has one value" if len(values) == 1 else f"is {values}"
        return None, (f"PixelSpacing {problem}: sizes are in pixels",)
    return (values[0], values[1]), ()
