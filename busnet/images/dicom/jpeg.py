"""JPEG frames: what their stream says of itself, and their samples.

Streams of 8 bits go to Pillow. Lossless JPEG and 12 bits go to imagecodecs (BSD-3, on
libjpeg-turbo): of the decoders with a free licence it alone reads them all.
"""

from __future__ import annotations

import dataclasses
import io
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from busnet.errors import ImageFileError, requires_extra

__all__ = ["JpegHeader", "decode_jpeg", "read_header"]

_START, _END, _SCAN, _APP0, _APP14 = 0xD8, 0xD9, 0xDA, 0xE0, 0xEE

#: Start of frame, by its process; what is not in here is a table or a comment.
_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC} | {0xF7}
_LOSSLESS = {0xC3, 0xC7, 0xCB, 0xCF}

#: Markers without content.
_BARE = {0x01, *range(0xD0, 0xD8)}

_RGB_IDS = ((82, 71, 66), (114, 103, 98))


@dataclasses.dataclass(frozen=True)
class JpegFrame:
    """A frame header.

    Attributes
    ----------
    process
        The second byte of its marker.
    precision
        Bits of a sample.
    ids, sampling
        Each component's identifier, and its sampling factors in one byte.
    """

    process: int
    precision: int
    ids: tuple[int, ...]
    sampling: tuple[int, ...]


@dataclasses.dataclass(frozen=True)
class JpegHeader:
    """What stands in a stream before its samples.

    Attributes
    ----------
    frame
        The frame header.
    transform
        The colour transform of an Adobe marker, or None without one.
    jfif
        Whether it has a JFIF marker.
    scan
        Where the first scan begins.
    """

    frame: JpegFrame
    transform: int | None
    jfif: bool
    scan: int

    @property
    def lossless(self) -> bool:
        """Whether the process is lossless JPEG."""
        return self.frame.process in _LOSSLESS

    def is_rgb(self, tag: str) -> bool:
        """Tell whether three components are red, green and blue.

        The stream decides: by the components' names, a JFIF marker (which means YCbCr;
        writers of lossless streams set it by habit), an Adobe marker, or components of
        different resolution. Where it says nothing, the file's tag decides.
        """
        if self.frame.ids in _RGB_IDS:
            return True
        if self.jfif and not self.lossless:
            return False
        if self.transform is not None:
            return self.transform == 0
        if len(set(self.frame.sampling)) > 1:
            return False
        return tag == "RGB"


def read_header(data: bytes) -> JpegHeader:
    """Read the header of a JPEG stream, JPEG-LS included.

    Raises
    ------
    ImageFileError
        If it is not a JPEG stream, or is torn.
    """
    if data[:2] != bytes((0xFF, _START)):
        raise ImageFileError("a frame is no JPEG stream")
    frame: JpegFrame | None = None
    transform: int | None = None
    jfif, place = False, 2
    while place + 4 <= len(data):
        if data[place] != 0xFF:
            raise ImageFileError("a JPEG stream is torn")
        marker = data[place + 1]
        if marker == 0xFF or marker in _BARE:
            place += 1 if marker == 0xFF else 2
            continue
        length = int.from_bytes(data[place + 2 : place + 4], "big")
        content = data[place + 4 : place + 2 + length]
        if marker in _FRAMES:
            frame = _frame(marker, content)
        elif marker == _APP14 and content[:5] == b"Adobe" and len(content) >= 12:
            transform = content[11]
        elif marker == _APP0 and content[:5] == b"JFIF\0":
            jfif = True
        elif marker == _SCAN and frame is not None:
            return JpegHeader(frame, transform, jfif, place)
        elif marker in (_SCAN, _END):
            break
        place += 2 + length
    raise ImageFileError("a JPEG stream is torn")


def _frame(marker: int, content: bytes) -> JpegFrame:
    if len(content) < 6 or len(content) < 6 + 3 * content[5]:
        raise ImageFileError("a JPEG stream is torn")
    count = content[5]
    return JpegFrame(
        process=marker,
        precision=content[0],
        ids=tuple(content[6 : 6 + 3 * count : 3]),
        sampling=tuple(content[7 : 6 + 3 * count : 3]),
    )


def decode_jpeg(data: bytes, tag: str) -> tuple[npt.NDArray[Any], str, int]:
    """Return the samples of a JPEG stream.

    Parameters
    ----------
    data
        The stream.
    tag
        The file's photometric interpretation, for streams that do not name theirs.

    Returns
    -------
    samples : numpy.ndarray
        (H, W) or (H, W, 3), unsigned.
    photometric : str
        What they are: ``tag`` for one component, RGB or YBR_FULL for three.
    precision : int
        Bits of a sample.

    Raises
    ------
    ImageFileError
        If the stream is torn, or of neither one nor three components.
    MissingExtraError
        If it needs a decoder that is not installed.
    """
    header = read_header(data)
    if data.rfind(bytes((0xFF, _END)), header.scan) < 0:
        raise ImageFileError("a JPEG stream is torn: it has no end")
    if len(header.frame.ids) not in (1, 3):
        raise ImageFileError(f"a JPEG stream has {len(header.frame.ids)} components")
    rgb = len(header.frame.ids) == 3 and header.is_rgb(tag)
    if header.frame.precision > 8 or header.lossless:
        samples = _decode_deep(data, colour=len(header.frame.ids) == 3)
        photometric = tag if samples.ndim == 2 else "RGB" if rgb else "YBR_FULL"
        return samples, photometric, header.frame.precision
    if len(header.frame.ids) == 3:
        data = _with_transform(data, header, 0 if rgb else 1)
    with Image.open(io.BytesIO(data)) as image:
        samples = np.asarray(image)
    return samples, "RGB" if samples.ndim == 3 else tag, 8


def _with_transform(data: bytes, header: JpegHeader, transform: int) -> bytes:
    """Return a stream that says by an Adobe marker what its components are."""
    content = b"Adobe" + bytes((0, 100, 0, 0, 0, 0, transform))
    length = (2 + len(content)).to_bytes(2, "big")
    head, rest = data[2 : header.scan], data[header.scan :]
    if transform == 0:  # to decoders a JFIF marker counts more
        head = head.replace(b"JFIF\0", b"none\0")
    return data[:2] + bytes((0xFF, _APP14)) + length + content + head + rest


def _decode_deep(data: bytes, *, colour: bool) -> npt.NDArray[Any]:
    """Return samples of more than 8 bits or of lossless JPEG, colours as they are."""
    with requires_extra("dicom"):
        import imagecodecs
    if not colour:
        return np.asarray(imagecodecs.jpeg8_decode(data))
    return np.asarray(
        imagecodecs.jpeg8_decode(data, colorspace="RGB", outcolorspace="RGB")
    )
