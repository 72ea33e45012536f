"""PIL images to pictures, with the bits and the polarity that their file has."""

from __future__ import annotations

import dataclasses
import itertools
import sys
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from busnet.errors import ImageFileError, ImageTypeError, ImageValueError
from busnet.images.arrays import ValueRange, scale
from busnet.images.picture import Picture

__all__ = [
    "deep_colours",
    "find_pages",
    "from_pil",
    "has_two_values",
    "is_deep_colour",
    "is_inverted",
]

#: Pillow modes that become RGB, and those that carry transparency.
_COLOUR_MODES = {"RGB", "CMYK", "YCbCr", "LAB", "HSV", "P", "RGBX"}
_ALPHA_MODES = {"RGBA", "LA", "PA", "La", "RGBa"}

#: Formats whose further images are not pages of the same kind: previews, layers, sizes.
_FIRST_ONLY = {"MPO", "PSD", "ICO", "ICNS", "CUR"}

#: The other byte of a sample of 16 bits, of which Pillow keeps the high one.
_OTHER_BYTE = {
    ";16B": ";16L",
    ";16L": ";16B",
    ";16N": ";16B" if sys.byteorder == "little" else ";16L",
}

#: TIFF's NewSubfileType, and its bits of a thumbnail and of a transparency mask.
_SUBFILE_TYPE, _THUMBNAIL, _MASK = 254, 1, 4

#: Tags of TIFF and Exif. Pillow's modules of their names take long to import.
_BITS_PER_SAMPLE, _PHOTOMETRIC, _ORIENTATION, _SAMPLE_FORMAT = 258, 262, 274, 339

#: TIFF's SampleFormat of signed integers.
_SIGNED = 2

#: By what Pillow multiplies grey samples of 2 and 4 bits.
_STEPS = {"2": 85, "4": 17}

#: TIFF's PhotometricInterpretation of which low values are bright.
_WHITE_IS_ZERO = 0


def from_pil(
    image: Image.Image,
    name: str,
    value_range: ValueRange | None = None,
    *,
    reopen: Callable[[], Image.Image] | None = None,
) -> Picture:
    """Return the current frame of a PIL image as a picture.

    Parameters
    ----------
    image
        The image.
    name
        Its file's path, or what it is, for error messages.
    value_range
        What is black and what is white in its samples.
    reopen
        Opens the same image again, at the same frame. With it colours of 16 bits are
        read in full; Pillow's own images hold 8.

    Raises
    ------
    ImageFileError
        If it is too large, or its samples are not accepted.
    """
    limit = Image.MAX_IMAGE_PIXELS
    if limit is not None and image.width * image.height > limit:
        raise ImageFileError(
            f"{name}: {image.width} x {image.height} pixels are more than the limit "
            f"of {limit} (PIL.Image.MAX_IMAGE_PIXELS)"
        )
    mode, deep = image.mode, is_deep_colour(image)
    inverted = is_inverted(image)
    step, was_inverted = _packing(image)  # before it is loaded
    try:
        array = deep_colours(image, reopen) if deep and reopen else None
        if array is None:
            if deep and value_range is not None:
                raise ImageValueError(
                    "its colours have 16 bits, of which Pillow keeps 8: value_range "
                    "cannot be used; convert it to 8 bits, or to grey"
                )
            if value_range is not None and _is_rescaled(image):
                raise ImageValueError(
                    f"Pillow scales the samples of {image.format}: value_range cannot "
                    f"be used; save it as PNG or TIFF"
                )
            array, white = _samples(image)
            if value_range is not None and (step > 1 or was_inverted):
                array, inverted = _stored(array, step, was_inverted), was_inverted
        else:
            white = None
        pixels, notes = scale(array, value_range, white=white, inverted=inverted)
    except (ImageTypeError, ImageValueError) as error:
        raise ImageFileError(f"{name}: mode {mode}: {error}") from None
    if has_two_values(pixels):
        notes += ("it has two values alone, as masks have",)
    if _is_turned(image):
        notes += ("its EXIF orientation is not applied: the pixels are as stored",)
    return Picture(pixels, notes=notes)


def has_two_values(pixels: npt.NDArray[np.float32]) -> bool:
    """Tell whether an image has two values alone, as masks have.

    Most images show a third one at once.
    """
    if len(np.unique(pixels.reshape(-1)[::499])) > 2:
        return False
    low, high = pixels.min(), pixels.max()
    return bool(low < high and ((pixels == low) | (pixels == high)).all())


def _samples(image: Image.Image) -> tuple[npt.NDArray[Any], float | None]:
    """Return an image's samples, and what is white where their dtype does not tell."""
    mode = image.mode
    key = image.info.get("transparency")
    if mode.startswith("I") and isinstance(key, int):  # of PNG, in 16 bits
        array = np.asarray(image)
        return np.where(array == key, 0, array).astype(array.dtype), 65535.0
    if mode in _ALPHA_MODES or image.has_transparency_data:
        image = image.convert("RGBA")
    elif mode in _COLOUR_MODES:
        image = image.convert("RGB")
    elif mode == "1":
        image = image.convert("L")
    array = np.asarray(image)
    if mode == "I" and image.format in ("PNG", "PPM"):
        return array, 65535.0  # so Pillow opens 16 bits: of PNG, older versions do
    bits, form = (_tiff_tag(image, tag) for tag in (_BITS_PER_SAMPLE, _SAMPLE_FORMAT))
    if mode == "I;16" and bits == (12,):
        return array, 4095.0
    if mode == "I" and bits == (32,) and form != (_SIGNED,):
        array = array.view(np.uint32)
    elif mode == "L" and bits == (8,) and form == (_SIGNED,):
        array = array.view(np.int8)
    return array, None


def _packing(image: Image.Image) -> tuple[int, bool]:
    """Return what Pillow does to the grey samples of an image that is not loaded.

    Returns
    -------
    int
        By what it multiplies them: those of 2 and 4 bits become 0 to 255.
    bool
        Whether it inverts them, in a TIFF whose zero is white.
    """
    for tile in _tiles(image):
        raw = tile[3][0] if isinstance(tile[3], tuple) and tile[3] else tile[3]
        kind, _, form = str(raw).partition(";")
        if kind == "L":
            return _STEPS.get(form[:1], 1), "I" in form
    return 1, False


def _stored(array: npt.NDArray[Any], step: int, was_inverted: bool) -> npt.NDArray[Any]:
    """Return grey samples as the file has them, of what :func:`_packing` says.

    Raises
    ------
    ImageValueError
        If they have become colours.
    """
    if array.ndim > 2:
        raise ImageValueError(
            "its grey has a transparent value: value_range cannot be used"
        )
    return (255 - array if was_inverted else array) // step


def is_deep_colour(image: Image.Image) -> bool:
    """Tell whether the file of an image that is not loaded has colours of 16 bits."""
    return any(";16" in str(tile[3]) for tile in _tiles(image)) and not (
        image.mode.startswith("I")
    )


def _is_rescaled(image: Image.Image) -> bool:
    """Tell whether Pillow's samples may have another scale than the file's."""
    if image.format == "PPM":
        return any(tile[0] == "ppm" for tile in _tiles(image))
    return image.format == "AVIF" or (image.format == "JPEG2000" and image.mode != "L")


def _tiles(image: Image.Image) -> list[Any]:
    return list(getattr(image, "tile", ()))


def deep_colours(
    image: Image.Image, reopen: Callable[[], Image.Image]
) -> npt.NDArray[np.uint16] | None:
    """Return the 16-bit samples of an RGB or RGBA image that is not loaded.

    Pillow keeps the high byte of each sample. Read as if its bytes stood in the other
    order, the file gives the low bytes. None where that is not possible.
    """
    if image.mode not in ("RGB", "RGBA") or image.info.get("transparency") is not None:
        return None
    tiles = [_other_byte(tile) for tile in _tiles(image)]
    if not tiles or None in tiles:
        return None
    with reopen() as again:
        if len(_tiles(again)) != len(tiles):
            return None
        setattr(again, "tile", tiles)  # noqa: B010  only files' images have tiles
        low = np.asarray(again)
    high = np.asarray(image)
    if high.shape != low.shape or high.dtype != np.uint8:
        return None
    return np.asarray(high.astype(np.uint16) << 8 | low)


def _other_byte(tile: Any) -> Any:
    """Return a tile that is decoded with the bytes of a sample exchanged, or None."""
    codec, extents, offset, args = tile
    raw = args if isinstance(args, str) else args[0]
    mode, ending = str(raw)[:-4], str(raw)[-4:]
    if mode not in ("RGB", "RGBA", "RGBX") or ending not in _OTHER_BYTE:
        return None
    other = mode + _OTHER_BYTE[ending]
    return type(tile)(
        codec, extents, offset, other if isinstance(args, str) else (other, *args[1:])
    )


def is_inverted(image: Image.Image) -> bool:
    """Tell whether low values are bright; Pillow sees to that in up to 8 bits only."""
    return image.mode.startswith(("I", "F")) and (
        _tiff_tag(image, _PHOTOMETRIC) == _WHITE_IS_ZERO
    )


def _tiff_tag(image: Image.Image, number: int) -> Any:
    """Return a TIFF tag's value; None where the image has none or is no TIFF."""
    tags = getattr(image, "tag_v2", None)
    return None if tags is None else tags.get(number)


def _is_turned(image: Image.Image) -> bool:
    """Tell whether the file asks for another orientation than that of its pixels."""
    if "exif" not in image.info and image.format != "TIFF":
        return False
    try:
        return int(image.getexif().get(_ORIENTATION, 1)) != 1
    except Exception:  # Pillow raises much of what reading a torn table can raise
        return False


@dataclasses.dataclass(frozen=True)
class Pages:
    """The pages of an image file.

    Attributes
    ----------
    numbers
        Their numbers, from 0; without end where the file does not tell.
    several
        Whether there are several.
    notes
        What is not read.
    is_torn
        Whether the file names one more that cannot be found.
    """

    numbers: Iterable[int]
    several: bool
    notes: tuple[str, ...] = ()
    is_torn: bool = False


def find_pages(image: Image.Image, whole: int | None = None) -> Pages:
    """Find the pages of an image file.

    Thumbnails and transparency masks of TIFF are no pages; nor are previews, layers
    and sizes in formats that have such.

    Parameters
    ----------
    image
        The file as Pillow opens it.
    whole
        Number of whole directories of a TIFF; by default all are.
    """
    try:
        several = bool(getattr(image, "is_animated", False))
    except Exception:  # it is torn behind the first frame
        return Pages(itertools.count(), several=True)
    if not several:
        return Pages((0,), several=False)
    if image.format in _FIRST_ONLY:
        count = getattr(image, "n_frames", 1)
        note = f"the file holds {count} images; only the first is read"
        return Pages((0,), several=False, notes=(note,))
    if image.format != "TIFF":
        return Pages(itertools.count(), several=True)
    numbers: list[int] = []
    number = 0
    while True:
        try:
            image.seek(number)
        except EOFError:
            return Pages(numbers or (0,), several=len(numbers) > 1)
        except Exception:  # Pillow raises much of what a torn directory can raise
            whole = number
        if whole is not None and number >= whole:
            return Pages(numbers or (0,), several=True, is_torn=True)
        if int(_tiff_tag(image, _SUBFILE_TYPE) or 0) & (_THUMBNAIL | _MASK) == 0:
            numbers.append(number)
        number += 1
