"""From stored colours to red, green and blue (PS3.3 C.7.6.3.1.2, C.7.9)."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset

from busnet.errors import ImageFileError
from busnet.images.arrays import DARK, ValueRange
from busnet.images.dicom.stored import Stored
from busnet.images.dicom.tables import LookupTable, is_little_endian, read_table
from busnet.images.picture import FloatArray

__all__ = ["Palette", "to_rgb"]

#: Red, green and blue of Y, Cb and Cr (ITU-R BT.601), all of them in full range.
_FROM_YBR = np.array(
    [[1, 0, 1.402], [1, -0.344136, -0.714136], [1, 1.772, 0]], np.float32
)


def to_rgb(
    stored: Stored, value_range: ValueRange | None
) -> tuple[FloatArray, tuple[str, ...]]:
    """Return a colour frame (H, W, 3) in 0..1, and notes.

    Windows and tables are for grey values: here they do not count.

    Raises
    ------
    ImageFileError
        If the photometric interpretation is not one of colour.
    """
    values, white = stored.values, float(2**stored.bits - 1)
    if stored.signed:
        raise ImageFileError("its colours are signed")
    if stored.photometric == "RGB":
        return _scaled(values, white, value_range)
    if stored.photometric.startswith("YBR_"):
        return _scaled(_from_ybr(values, stored), white, value_range)
    raise ImageFileError(f"colours in {stored.photometric} are not read")


def _from_ybr(values: npt.NDArray[np.integer], stored: Stored) -> FloatArray:
    """Return red, green and blue of luminance and chrominance."""
    zero = 2.0 ** (stored.bits - 1)
    ybr: FloatArray = values.astype(np.float32) - np.array([0, zero, zero], np.float32)
    if stored.photometric.startswith("YBR_PARTIAL"):
        step = 2.0 ** (stored.bits - 8)
        ybr[..., 0] = (ybr[..., 0] - 16 * step) * (255 / 219)
        ybr[..., 1:] *= 255 / 224
    return np.asarray(np.clip(ybr @ _FROM_YBR.T, 0, 2**stored.bits - 1), np.float32)


def _scaled(
    values: npt.NDArray[Any], white: float, value_range: ValueRange | None
) -> tuple[FloatArray, tuple[str, ...]]:
    if value_range is not None:
        black, top = value_range
        shares = (values.astype(np.float64) - black) / (top - black)
        return np.clip(shares, 0, 1).astype(np.float32), ()
    pixels: FloatArray = np.multiply(values, np.float32(1 / white), dtype=np.float32)
    np.minimum(pixels, 1, out=pixels)
    if not 0 < pixels.max() < DARK:
        return pixels, ()
    return pixels, (
        f"no pixel is brighter than {pixels.max():.1%} of white, which is {white:g}: "
        f"if it has fewer bits, give its value range",
    )


@dataclasses.dataclass(frozen=True)
class Palette:
    """The palette of a dataset: a table for red, for green and for blue."""

    tables: tuple[LookupTable, LookupTable, LookupTable]
    notes: tuple[str, ...] = ()

    @classmethod
    def of(cls, dataset: Dataset, *, signed: bool) -> Palette:
        """Read a dataset's palette.

        Raises
        ------
        ImageFileError
            If it has none, or one that cannot be read.
        """
        segmented = "RedPaletteColorLookupTableData" not in dataset
        form = "Segmented{}PaletteColorLookupTableData"
        form = form if segmented else "{}PaletteColorLookupTableData"
        red, green, blue = (
            read_table(
                dataset,
                prefix=f"{name}PaletteColorLookupTable",
                data=form.format(name),
                signed=signed,
                little_endian=is_little_endian(dataset),
                segmented=segmented,
            )
            for name in ("Red", "Green", "Blue")
        )
        tables = (red, green, blue)
        highest = max(int(table.entries.max()) for table in tables)
        bits = max(table.bits for table in tables)
        notes: tuple[str, ...] = ()
        if bits == 16 and highest <= 255:
            bits = 8
            notes = ("its palette says 16 bits, but has entries of 8",)
        red, green, blue = (dataclasses.replace(table, bits=bits) for table in tables)
        return cls((red, green, blue), notes)

    def __call__(
        self, stored: Stored, value_range: ValueRange | None
    ) -> tuple[FloatArray, tuple[str, ...]]:
        """Return a frame's colours (H, W, 3) in 0..1, and notes."""
        rgb = np.stack([table(stored.values) for table in self.tables], 2)
        pixels, notes = _scaled(rgb, self.tables[0].white, value_range)
        return pixels, self.notes + notes
