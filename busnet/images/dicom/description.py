"""What a dataset says of its pixel data, checked before they are decoded."""

from __future__ import annotations

from PIL import Image
from pydicom.dataset import Dataset
from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import (
    UID,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from busnet.errors import ImageFileError

__all__ = ["check_description", "declared_frames", "native_frames", "transfer_syntax"]

#: Photometric interpretations that are read. Of the retired ones old scanners wrote
#: YBR_PARTIAL_422.
PHOTOMETRIC = frozenset(
    (
        *("MONOCHROME1", "MONOCHROME2", "PALETTE COLOR", "RGB"),
        *("YBR_FULL", "YBR_FULL_422", "YBR_PARTIAL_422", "YBR_PARTIAL_420"),
        *("YBR_ICT", "YBR_RCT"),
    )
)


def check_description(dataset: Dataset, *, floating: bool) -> None:
    """Check what decoding and display rely on.

    Raises
    ------
    ImageFileError
        If a value is missing, contradicts another, or is not read.
    """
    rows, columns = int(dataset.get("Rows") or 0), int(dataset.get("Columns") or 0)
    if rows < 1 or columns < 1:
        raise ImageFileError(f"Rows and Columns are {rows} x {columns}")
    limit = Image.MAX_IMAGE_PIXELS
    if limit is not None and rows * columns > limit:
        raise ImageFileError(
            f"{columns} x {rows} pixels are more than the limit of {limit} "
            f"(PIL.Image.MAX_IMAGE_PIXELS)"
        )
    photometric = str(dataset.get("PhotometricInterpretation") or "")
    samples = int(dataset.get("SamplesPerPixel") or 1)
    grey = photometric.startswith("MONOCHROME") or photometric == "PALETTE COLOR"
    if photometric not in PHOTOMETRIC or samples != (1 if grey else 3):
        raise ImageFileError(
            f"PhotometricInterpretation {photometric!r} with {samples} samples a pixel "
            f"is not read"
        )
    allocated, stored, high = (
        int(dataset.get(name) or 0)
        for name in ("BitsAllocated", "BitsStored", "HighBit")
    )
    if not floating and not 0 < stored <= high + 1 <= allocated <= 32:
        raise ImageFileError(
            f"BitsAllocated {allocated}, BitsStored {stored} and HighBit {high} are "
            f"not read: they contradict each other, or are more than 32"
        )


def transfer_syntax(dataset: Dataset) -> UID:
    """Return how the pixel data are encoded.

    Raises
    ------
    ImageFileError
        If no decoder reads that.
    """
    meta = getattr(dataset, "file_meta", None)
    syntax = None if meta is None else meta.get("TransferSyntaxUID")
    if syntax is not None:
        try:
            get_decoder(syntax)
        except NotImplementedError:
            raise ImageFileError(
                f"its transfer syntax, {UID(syntax).name}, is not read"
            ) from None
        return UID(syntax)
    implicit, little = dataset.original_encoding
    if implicit:
        return ImplicitVRLittleEndian
    return ExplicitVRLittleEndian if little else ExplicitVRBigEndian


def declared_frames(dataset: Dataset) -> int:
    """Return the number of frames that a file says it has.

    Raises
    ------
    ImageFileError
        If that is no number above 0.
    """
    value = dataset.get("NumberOfFrames")
    try:
        count = int(value or 1)
    except (TypeError, ValueError):
        count = 0
    if count < 1:
        raise ImageFileError(f"NumberOfFrames is {value!r}")
    return count


def native_frames(
    dataset: Dataset, keyword: str, declared: int
) -> tuple[int, tuple[str, ...]]:
    """Return how many whole frames uncompressed pixel data hold, and notes.

    Raises
    ------
    ImageFileError
        If they hold more than the description says.
    """
    pixels = int(dataset.Rows) * int(dataset.Columns) * int(dataset.SamplesPerPixel)
    bits = pixels * int(dataset.BitsAllocated)
    if str(dataset.get("PhotometricInterpretation")) in (
        "YBR_FULL_422",
        "YBR_PARTIAL_422",
    ):
        bits = bits * 2 // 3
    if bits <= 0:
        raise ImageFileError("its frames have no pixels")
    data: bytes = dataset[keyword].value or b""
    size, needed = len(data), -(-bits * declared // 8)
    if size >= needed + max(2, -(-bits // 8)):
        raise ImageFileError(
            f"its pixel data hold {size * 8 // bits} frames, but NumberOfFrames is "
            f"{declared}: its description does not fit"
        )
    if size <= needed + needed % 2:
        return min(declared, size * 8 // bits), ()
    excess = size - needed
    if any(data[needed:]):
        raise ImageFileError(
            f"its pixel data are {excess} bytes longer than {declared} frames of "
            f"{dataset.Rows} x {dataset.Columns}: its description does not fit"
        )
    return declared, (f"{excess} zero bytes behind its pixels are not read",)
