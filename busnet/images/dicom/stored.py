"""Stored values of frames: what the pixel data hold, before any transform."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.pixels.decoders.base import get_decoder
from pydicom.pixels.utils import as_pixel_options, get_j2k_parameters
from pydicom.uid import (
    JPEG2000TransferSyntaxes,
    JPEGLSTransferSyntaxes,
    JPEGTransferSyntaxes,
    RLELossless,
)

from busnet.errors import ImageFileError
from busnet.images.dicom.description import (
    check_description,
    declared_frames,
    native_frames,
    transfer_syntax,
)
from busnet.images.dicom.encapsulated import fragments_of, split_frames
from busnet.images.dicom.jpeg import decode_jpeg, read_header

__all__ = ["PIXELS", "Stored", "StoredFrames"]

#: Where pixels can be; of the floating-point ones a value has no bits.
PIXELS = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")

#: The end of JPEG, JPEG-LS and JPEG 2000 streams.
_STREAM_END = b"\xff\xd9"


@dataclasses.dataclass(frozen=True)
class Stored:
    """A frame's stored values.

    Attributes
    ----------
    values
        (H, W) or (H, W, 3), integers, or floating point (H, W).
    photometric
        What they are, as PhotometricInterpretation names it.
    bits
        Bits of a value; 0 for floating point.
    signed
        Whether values are two's complement.
    notes
        What differs from what the file says.
    """

    values: npt.NDArray[Any]
    photometric: str
    bits: int
    signed: bool
    notes: tuple[str, ...] = ()

    @property
    def limits(self) -> tuple[int, int]:
        """The smallest and the largest value that the bits can hold."""
        if self.signed:
            return -(2 ** (self.bits - 1)), 2 ** (self.bits - 1) - 1
        return 0, 2**self.bits - 1


class StoredFrames:
    """The frames of a dataset, each decoded when its turn comes.

    Parameters
    ----------
    dataset
        The dataset; checked for what decoding needs.
    torn
        Encapsulated pixel data of a file that ends within them.

    Attributes
    ----------
    declared
        Number of frames that the file says it has.
    count
        Number of frames that are there; fewer where the file is torn.
    notes
        What of the pixel data is not read.

    Raises
    ------
    ImageFileError
        If there is no image, or its description contradicts itself.
    """

    def __init__(self, dataset: Dataset, torn: bytes | None = None) -> None:
        self._dataset = dataset
        self._syntax = transfer_syntax(dataset)
        self.declared = declared_frames(dataset)
        self.notes: tuple[str, ...] = ()
        self._fragments: list[bytes] = []
        keyword = next((k for k in PIXELS if k in dataset), None)
        if keyword is None and torn is None:
            raise ImageFileError("it holds no image, or ends before it")
        check_description(dataset, floating=keyword in PIXELS[1:])
        if not self._syntax.is_encapsulated:
            self.count, self.notes = native_frames(dataset, str(keyword), self.declared)
        else:
            self.count = self._divide(torn)

    def _divide(self, torn: bytes | None) -> int:
        """Find the streams of the frames; return how many are whole."""
        if torn is None:
            fragments = fragments_of(self._dataset.PixelData, delimited=False)
        else:
            fragments = fragments_of(torn, delimited=True)
        rle = self._syntax == RLELossless
        streams = split_frames(fragments, self._dataset, self.declared, by_item=rle)
        self._fragments = streams
        if fragments.torn and streams and not rle:  # the last one may lack fragments
            return len(streams) - (streams[-1].rstrip(b"\0")[-2:] != _STREAM_END)
        return len(streams)

    def __iter__(self) -> Iterator[Stored]:
        """Decode frame after frame."""
        if not self._syntax.is_encapsulated:
            yield from self._native()
            return
        for stream in self._fragments[: self.count]:
            if self._syntax in JPEGTransferSyntaxes:
                yield self._jpeg(stream)
            else:
                yield self._stream(stream)

    def _native(self) -> Iterator[Stored]:
        options: dict[str, Any] = {"correct_unused_bits": False}
        photometric = str(self._dataset.PhotometricInterpretation)
        if photometric == "YBR_PARTIAL_422":  # laid out as the other 4:2:2
            options["photometric_interpretation"] = "YBR_FULL_422"
        frames = get_decoder(self._syntax).iter_array(
            self._dataset,
            raw=True,
            number_of_frames=self.count,
            allow_excess_frames=False,
            **options,
        )
        for array, _ in frames:
            yield self._unpacked(array, photometric)

    def _unpacked(self, array: npt.NDArray[Any], photometric: str) -> Stored:
        """Take a value's bits out of its container (PS3.5 8.1.1)."""
        dataset = self._dataset
        if array.dtype.kind == "f":
            return Stored(array, photometric, 0, signed=True)
        bits, high = int(dataset.BitsStored), int(dataset.HighBit)
        signed = bool(dataset.get("PixelRepresentation"))
        whole = high + 1 == bits == 8 * array.dtype.itemsize
        if not whole and int(dataset.BitsAllocated) > 1:
            words = array.astype(array.dtype.newbyteorder("="), copy=False)
            words = words.view(f"u{array.dtype.itemsize}")
            array = (words >> (high + 1 - bits)) & (2**bits - 1)
        return _stored(array, photometric, bits, signed)

    def _jpeg(self, stream: bytes) -> Stored:
        dataset = self._dataset
        tag = str(dataset.PhotometricInterpretation)
        values, photometric, precision = decode_jpeg(stream, tag)
        return self._described(values, photometric, precision)

    def _described(
        self, values: npt.NDArray[Any], photometric: str, precision: int
    ) -> Stored:
        """Check a decoded stream against what the file says of it."""
        dataset = self._dataset
        rows, columns = int(dataset.Rows), int(dataset.Columns)
        samples = 1 if values.ndim == 2 else values.shape[2]
        if values.shape[:2] != (rows, columns):
            raise ImageFileError(
                f"its stream has {values.shape[0]} x {values.shape[1]} pixels, but "
                f"Rows and Columns are {rows} x {columns}"
            )
        if samples != int(dataset.SamplesPerPixel):
            raise ImageFileError(
                f"its stream has {samples} components, but SamplesPerPixel is "
                f"{dataset.SamplesPerPixel}"
            )
        bits = int(dataset.BitsStored)
        notes: tuple[str, ...] = ()
        if int(dataset.HighBit) != bits - 1:
            raise ImageFileError(
                f"HighBit is {dataset.HighBit} and BitsStored {bits} in a compressed "
                f"file: it does not tell which bits count"
            )
        if precision < bits:
            notes = (f"BitsStored is {bits}, but its stream has {precision} bits",)
            bits = precision
        stored = _stored(
            values, photometric, bits, bool(dataset.get("PixelRepresentation"))
        )
        return dataclasses.replace(stored, notes=notes)

    def _stream(self, stream: bytes) -> Stored:
        """Decode what is compressed by anything but JPEG."""
        dataset, syntax = self._dataset, self._syntax
        options = as_pixel_options(dataset, number_of_frames=1)
        options.pop("extended_offsets", None)
        photometric, precision = str(dataset.PhotometricInterpretation), 0
        if syntax == RLELossless:
            options["correct_unused_bits"] = False
        elif syntax in JPEGLSTransferSyntaxes:
            precision = read_header(stream).frame.precision
        elif syntax in JPEG2000TransferSyntaxes or stream.startswith(b"\xff\x4f"):
            precision = int(get_j2k_parameters(stream).get("precision", 0))
            if photometric in ("YBR_ICT", "YBR_RCT") or _has_transform(stream):
                photometric = "RGB"  # which decoders return
        if syntax != RLELossless and _STREAM_END not in stream[-16:]:
            raise ImageFileError("a stream is torn: it has no end")
        array, _ = get_decoder(syntax).as_array(
            encapsulate([stream]), index=0, raw=True, **options
        )
        if syntax == RLELossless:
            return self._unpacked(array, photometric)
        return self._described(array, photometric, precision or int(dataset.BitsStored))


def _has_transform(stream: bytes) -> bool:
    """Tell whether a JPEG 2000 stream has had a colour transform (T.800 A.6.1)."""
    place = stream.find(b"\xff\x52")
    return 0 <= place < len(stream) - 8 and stream[place + 8] == 1


def _stored(
    array: npt.NDArray[Any], photometric: str, bits: int, signed: bool
) -> Stored:
    """Check that values have no more bits than they should; give them their sign."""
    if signed:
        words: npt.NDArray[np.int64] = array.astype(np.int64)
        half = 1 << (bits - 1)
        array = ((words & (2 * half - 1)) ^ half) - half
    elif bits < 8 * array.dtype.itemsize and array.max() >= 2**bits:
        raise ImageFileError(
            f"it has the value {array.max()}, more than BitsStored, which is {bits}, "
            f"allows"
        )
    return Stored(array, photometric, bits, signed)
