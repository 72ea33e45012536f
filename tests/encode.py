"""Images as files, also those that Pillow does not write: 16-bit colours, any TIFF."""

import io
import struct
import zlib

from PIL import Image


def jpeg(array, **options):
    """Encode (H, W[, 3]) of 8 bits as a JPEG stream."""
    return _pillow(array, "JPEG", quality=98, **options)


def jpeg2000(array, **options):
    """Encode (H, W[, 3]) as a JPEG 2000 codestream without a file around it."""
    return _pillow(array, "JPEG2000", no_jp2=True, **options)


def _pillow(array, form, **options):
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, form, **options)
    return buffer.getvalue()


def png(array):
    """Encode (H, W[, 2 | 3 | 4]) of 8 or 16 bits as PNG."""
    channels = 1 if array.ndim == 2 else array.shape[2]
    kind = {1: 0, 2: 4, 3: 2, 4: 6}[channels]
    rows = array.astype(array.dtype.newbyteorder(">"))
    data = b"".join(b"\0" + row.tobytes() for row in rows)
    height, width = array.shape[:2]
    bits = 8 * array.dtype.itemsize

    def chunk(name, content):
        check = struct.pack(">I", zlib.crc32(name + content))
        return struct.pack(">I", len(content)) + name + content + check

    head = struct.pack(">IIBBBBB", width, height, bits, kind, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + chunk(b"IDAT", zlib.compress(data))
        + chunk(b"IEND", b"")
    )


def tiff(*pages, photometric=None, order="<", subfile=None, bits=None):
    """Encode arrays (H, W[, 3]) of any type as an uncompressed TIFF of several pages.

    ``subfile`` gives each page's NewSubfileType. ``bits`` below 16 packs grey pages.
    """
    mark = b"II*\0" if order == "<" else b"MM\0*"
    out = bytearray(mark + b"\0" * 4)
    link = 4
    for number, array in enumerate(pages):
        data = array.astype(array.dtype.newbyteorder(order)).tobytes()
        if bits is not None:
            digits = "".join(f"{value:0{bits}b}" for value in array.ravel())
            data = int(digits, 2).to_bytes(len(digits) // 8, "big")
        samples = 1 if array.ndim == 2 else array.shape[2]
        default = 1 if samples == 1 else 2
        width = bits or 8 * array.dtype.itemsize
        offset = len(out)
        out += data + b"\0" * (len(data) % 2)
        per_sample = len(out)
        out += struct.pack(f"{order}{samples}H", *[width] * samples)
        out += b"\0" * (len(out) % 2)
        tags = [
            (254, 4, 1, 0 if subfile is None else subfile[number]),
            (256, 4, 1, array.shape[1]),
            (257, 4, 1, array.shape[0]),
            (258, 3, samples, width if samples == 1 else per_sample),
            (259, 3, 1, 1),
            (262, 3, 1, default if photometric is None else photometric),
            (273, 4, 1, offset),
            (277, 3, 1, samples),
            (278, 4, 1, array.shape[0]),
            (279, 4, 1, len(data)),
            (339, 3, 1, {"u": 1, "i": 2, "f": 3}[array.dtype.kind]),
        ]
        struct.pack_into(f"{order}I", out, link, len(out))
        out += struct.pack(f"{order}H", len(tags))
        for tag, kind, count, value in tags:
            out += struct.pack(f"{order}HHI", tag, kind, count)
            if kind == 3 and count == 1:
                out += struct.pack(f"{order}HH", value, 0)
            else:
                out += struct.pack(f"{order}I", value)
        link = len(out)
        out += b"\0" * 4
    return bytes(out)
