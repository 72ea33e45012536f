"""From stored grey values to what a screen shows (PS3.3 C.7.6.3, C.11.1, C.11.2)."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset

from busnet.errors import ImageFileError
from busnet.images.arrays import DARK, ValueRange
from busnet.images.dicom.attributes import group, number, numbers
from busnet.images.dicom.stored import Stored
from busnet.images.dicom.tables import LookupTable, is_little_endian, read_table
from busnet.images.picture import FloatArray

__all__ = ["Greyscale"]

#: Maximum number of stored values that are transformed once, in a table.
MAX_TABLE = 65536

Values = npt.NDArray[np.float64]


@dataclasses.dataclass(frozen=True)
class _Rescale:
    """The modality transform as a line."""

    slope: float = 1.0
    intercept: float = 0.0

    def __call__(self, values: Values) -> Values:
        return values * self.slope + self.intercept


@dataclasses.dataclass(frozen=True)
class _Window:
    """A window (PS3.3 C.11.2.1.2), from input values to 0..1."""

    centre: float
    width: float
    function: str

    def __call__(self, values: Values) -> Values:
        if self.function == "SIGMOID":
            exponent = -4 * (values - self.centre) / self.width
            return np.asarray(1 / (1 + np.exp(np.clip(exponent, -700, 700))))
        if self.function == "LINEAR_EXACT":
            return np.clip((values - self.centre) / self.width + 0.5, 0, 1)
        centre, width = self.centre - 0.5, self.width - 1
        if width == 0:
            return np.asarray(values > centre, np.float64)
        return np.clip((values - centre) / width + 0.5, 0, 1)


@dataclasses.dataclass(frozen=True)
class _Range:
    """What is black and what is white, to 0..1."""

    black: float
    white: float

    def __call__(self, values: Values) -> Values:
        return np.clip((values - self.black) / (self.white - self.black), 0, 1)


class Greyscale:
    """The transforms of a frame's grey values, in the standard's order.

    Modality transform, VOI transform or all of the range, presentation. All frames of a
    clip have one scale, unless functional groups give a frame its own.

    Parameters
    ----------
    dataset
        The dataset.
    index
        The frame's number, from 0.
    stored
        A frame's stored values, for their bits and sign.
    value_range
        Black and white after the modality transform, in place of the VOI transform.

    Attributes
    ----------
    notes
        What a user should know of how values were taken.

    Raises
    ------
    ImageFileError
        If a transform is not valid, or nothing tells what is white.
    """

    def __init__(
        self,
        dataset: Dataset,
        index: int,
        stored: Stored,
        value_range: ValueRange | None,
    ) -> None:
        self._limits = stored.limits if stored.bits else None
        self._modality = _modality(dataset, index, stored)
        self._inverted, self.notes = _is_inverted(dataset)
        self._padding = _padding(dataset)
        self._presentation = _presentation_table(dataset)
        reach = self._reach()
        self._voi: LookupTable | _Window | None = None
        if value_range is None:
            self._voi = _voi(dataset, index, signed=reach is not None and reach[0] < 0)
        self._range = None if value_range is None else _Range(*value_range)
        if self._voi is None and self._range is None:
            if reach is None:
                raise ImageFileError(
                    "its values are floating point and it has no window: give "
                    "value_range=(black, white)"
                )
            self._range = _Range(*reach)
        self._is_full = value_range is None and self._voi is None
        self._table = self._tabulate()

    def _reach(self) -> tuple[float, float] | None:
        """Return the smallest and the largest value after the modality transform."""
        if isinstance(self._modality, LookupTable):
            return 0.0, self._modality.white
        if self._limits is None:
            return None
        ends = self._modality(np.asarray(self._limits, np.float64))
        return float(ends.min()), float(ends.max())

    def _tabulate(self) -> FloatArray | None:
        """Return the outputs for all stored values, if they are not too many."""
        if self._limits is None or self._limits[1] - self._limits[0] >= MAX_TABLE:
            return None
        low, high = self._limits
        return self._transform(np.arange(low, high + 1, dtype=np.float64))

    def __call__(self, stored: Stored) -> tuple[FloatArray, tuple[str, ...]]:
        """Return a frame's pixels in 0..1, and notes."""
        values = stored.values
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            raise ImageFileError("its pixels have values that are NaN or infinite")
        if self._table is None:
            pixels = self._transform(values.astype(np.float64))
        else:
            low = stored.limits[0]
            pixels = np.take(self._table, values - low if low else values)
        notes = self.notes
        if self._is_full and 0 < pixels.max() < DARK:
            notes += (
                f"no pixel is brighter than {pixels.max():.1%} of white, which "
                f"{stored.bits} bits give: if it has fewer, give its value range",
            )
        return pixels, notes

    def _transform(self, values: Values) -> FloatArray:
        """Return outputs in 0..1 of stored values."""
        with np.errstate(all="ignore"):
            outputs = self._shown(values)
        if not np.isfinite(outputs).all():
            raise ImageFileError("its rescale and window leave no range of values")
        return outputs.astype(np.float32)

    def _shown(self, values: Values) -> Values:
        outputs = self._modality(values)
        if isinstance(self._voi, LookupTable):
            outputs = self._voi(outputs) / self._voi.white
        else:
            scale = self._voi or self._range
            assert scale is not None
            outputs = scale(outputs)
        table = self._presentation
        if table is not None:
            outputs = table(outputs * (len(table.entries) - 1)) / table.white
        elif self._inverted:
            outputs = 1 - outputs
        if self._padding is not None:
            low, high = self._padding
            outputs = np.where((values >= low) & (values <= high), 0, outputs)
        return outputs


def _modality(dataset: Dataset, index: int, stored: Stored) -> _Rescale | LookupTable:
    """Return the modality transform (PS3.3 C.11.1)."""
    item = group(dataset, index, "PixelValueTransformationSequence")
    if item is None:
        tables = dataset.get("ModalityLUTSequence")
        if tables:
            return read_table(
                tables[0],
                signed=stored.signed,
                little_endian=is_little_endian(dataset),
            )
        item = dataset
    slope, intercept = number(item, "RescaleSlope"), number(item, "RescaleIntercept")
    if slope == 0:
        raise ImageFileError("RescaleSlope is 0")
    return _Rescale(1.0 if slope is None else slope, intercept or 0.0)


def _voi(dataset: Dataset, index: int, *, signed: bool) -> LookupTable | _Window | None:
    """Return the first VOI transform (PS3.3 C.11.2): of tables and windows, a table."""
    item = group(dataset, index, "FrameVOILUTSequence")
    item = dataset if item is None else item
    tables = item.get("VOILUTSequence")
    if tables:
        return read_table(
            tables[0], signed=signed, little_endian=is_little_endian(dataset)
        )
    centres, widths = numbers(item, "WindowCenter"), numbers(item, "WindowWidth")
    if not centres or not widths or widths[0] == centres[0] == 0:
        return None
    function = str(item.get("VOILUTFunction") or "LINEAR").strip().upper()
    if function not in ("LINEAR", "LINEAR_EXACT", "SIGMOID"):
        raise ImageFileError(f"VOILUTFunction is {function!r}")
    centre, width = centres[0], widths[0]
    if width <= 0 or (function == "LINEAR" and width < 1):
        raise ImageFileError(
            f"WindowWidth is {width:g}, which a {function} window cannot be"
        )
    return _Window(centre, width, function)


def _is_inverted(dataset: Dataset) -> tuple[bool, tuple[str, ...]]:
    """Tell whether high values are dark, and note where the file contradicts itself.

    By PresentationLUTShape, the last transform of the standard, where there is one,
    else by the photometric interpretation.
    """
    photometric = dataset.get("PhotometricInterpretation") == "MONOCHROME1"
    shape = str(dataset.get("PresentationLUTShape") or "").strip().upper()
    if not shape:
        return photometric, ()
    if shape not in ("IDENTITY", "INVERSE"):
        raise ImageFileError(f"PresentationLUTShape is {shape!r}")
    inverted = shape == "INVERSE"
    if inverted == photometric:
        return inverted, ()
    return inverted, (
        f"PresentationLUTShape is {shape}, which contradicts "
        f"{dataset.PhotometricInterpretation}; it counts",
    )


def _presentation_table(dataset: Dataset) -> LookupTable | None:
    """Return the presentation table, if the file has one (PS3.3 C.11.4)."""
    tables = dataset.get("PresentationLUTSequence")
    if not tables:
        return None
    return read_table(tables[0], signed=False, little_endian=is_little_endian(dataset))


def _padding(dataset: Dataset) -> tuple[float, float] | None:
    """Return the stored values of padding pixels (PS3.3 C.7.5.1.1.2)."""
    value = number(dataset, "PixelPaddingValue")
    if value is None:
        return None
    limit: Any = number(dataset, "PixelPaddingRangeLimit")
    limit = value if limit is None else limit
    return min(value, limit), max(value, limit)
