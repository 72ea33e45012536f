"""The frames of a DICOM file as pictures."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import BinaryIO

import pydicom
from pydicom.dataset import Dataset

from busnet.errors import BusnetError, ImageFileError
from busnet.images.arrays import ValueRange
from busnet.images.dicom.colour import Palette, to_rgb
from busnet.images.dicom.encapsulated import read_torn
from busnet.images.dicom.errors import named_errors
from busnet.images.dicom.geometry import common_spacing, pixel_spacing, regions_of
from busnet.images.dicom.grey import Greyscale
from busnet.images.dicom.objects import check_object
from busnet.images.dicom.stored import PIXELS, Stored, StoredFrames
from busnet.images.picture import FloatArray, Picture

__all__ = ["frames"]

#: Functional groups by which frames of one file can have transforms of their own.
_TRANSFORMS = ("PixelValueTransformationSequence", "FrameVOILUTSequence")

_Display = Callable[[Stored], tuple[FloatArray, tuple[str, ...]]]


def frames(
    source: str | BinaryIO, *, name: str, value_range: ValueRange | None = None
) -> Iterator[Picture]:
    """Yield the frames of a DICOM file, one at a time.

    Grey, RGB, YBR and palette; uncompressed, RLE, JPEG (lossless and 12 bits too),
    JPEG-LS, JPEG 2000. Of a torn file the whole frames are yielded before the error is
    raised.

    Parameters
    ----------
    source
        The file's path, or the file open at its start.
    name
        What error messages call it.
    value_range
        Black and white after the modality transform, in place of the file's window; of
        colours, in their samples.

    Raises
    ------
    NotAnUltrasoundImageError
        If it is an object of another kind or modality.
    ImageFileError
        If it is no DICOM image, is truncated, or cannot be decoded.
    """
    with contextlib.ExitStack() as stack:
        with named_errors(name):
            file = source
            if isinstance(file, str):
                file = stack.enter_context(open(file, "rb"))
            dataset: Dataset = pydicom.dcmread(file, force=True)
            torn = None
            if not any(keyword in dataset for keyword in PIXELS):
                dataset, torn = read_torn(file)
            notes = check_object(dataset)
            stored = StoredFrames(dataset, torn)
            notes += stored.notes
            decoded, display = iter(stored), _Displays(dataset, value_range)
        for index in range(stored.count):
            clip = stored.declared > 1
            rest = stored.count - index - 1
            label = f"{name}: frame {index + 1}" if clip else name
            with _counted(rest), named_errors(label):
                picture = _picture(dataset, index, next(decoded), display)
            yield Picture(
                picture.pixels,
                name,
                picture.spacing,
                index + 1 if clip else None,
                picture.regions,
                notes + picture.notes,
            )
        if stored.count < stored.declared:
            raise ImageFileError(
                f"{name}: truncated after frame {stored.count} of {stored.declared}"
                if stored.count
                else f"{name}: truncated within its first frame"
            )


@contextlib.contextmanager
def _counted(rest: int) -> Iterator[None]:
    """Add to an error how many frames are not read because of it."""
    try:
        yield
    except BusnetError as error:
        if rest == 0:
            raise
        frames = "frame" if rest == 1 else "frames"
        raise type(error)(f"{error}; {rest} {frames} behind it not read") from None


def _picture(
    dataset: Dataset, index: int, stored: Stored, displays: _Displays
) -> Picture:
    """Return a frame's picture, without its name."""
    pixels, notes = displays(index, stored)
    regions, region_notes = regions_of(dataset)
    spacing, spacing_notes = pixel_spacing(dataset, index)
    if regions:
        spacing, spacing_notes = common_spacing(regions), ()
    return Picture(
        pixels,
        spacing=spacing,
        regions=regions,
        notes=stored.notes + notes + region_notes + spacing_notes,
    )


class _Displays:
    """How each frame's stored values become pixels, set up once where that suffices."""

    def __init__(self, dataset: Dataset, value_range: ValueRange | None) -> None:
        self._dataset = dataset
        self._value_range = value_range
        self._own = any(
            groups.get(name)
            for groups in dataset.get("PerFrameFunctionalGroupsSequence") or ()
            for name in _TRANSFORMS
        )
        self._display: _Display | None = None
        self._kind: tuple[str, int] = ("", 0)

    def __call__(
        self, index: int, stored: Stored
    ) -> tuple[FloatArray, tuple[str, ...]]:
        """Return a frame's pixels in 0..1, and notes."""
        kind = stored.photometric, stored.bits
        if self._display is None or self._own or kind != self._kind:
            self._display, self._kind = self._make_display(index, stored), kind
        return self._display(stored)

    def _make_display(self, index: int, stored: Stored) -> _Display:
        dataset, value_range = self._dataset, self._value_range
        presentation = str(dataset.get("PixelPresentation") or "")
        if presentation in ("COLOR", "MIXED"):
            raise ImageFileError(f"PixelPresentation {presentation} is not read")
        if stored.photometric == "PALETTE COLOR":
            palette = Palette.of(dataset, signed=stored.signed)
            return lambda frame: palette(frame, value_range)
        if stored.values.ndim == 3:
            return lambda frame: to_rgb(frame, value_range)
        return Greyscale(dataset, index, stored, value_range)
