"""Lesion masks: which pixels of a mask file are lesion, however they are stored."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

from busnet.errors import ImageFileError
from busnet.images.files import FileLike, named_errors, open_checked
from busnet.images.pil import deep_colours, find_pages, is_deep_colour, is_inverted
from busnet.images.recognise import describe_unknown, whole_directories
from busnet.lesions import components

__all__ = ["read_mask"]

#: Maximum number of different values that can be labels; a photograph has more.
MAX_LABELS = 16

#: Labels are either all small, or no more than this many and at least so far apart.
MAX_DISTANT_LABELS, LABEL_GAP = 5, 16

#: Values up to this share of the largest are background where compression or smoothing
#: has blurred two levels; the lesion is above one half.
NEAR = 0.25

#: Of two blurred levels at most this share of the lesion's pixels lies between them.
MAX_BETWEEN = 0.5

#: Blur lies along borders: four windows of five pixels a side, in each of which values
#: differ by this share of the largest at most, are a level of their own.
WINDOW, FLAT, MIN_WINDOWS = 5, 0.05, 4

#: Values up to this share of the largest can be noise of compression in flat windows.
NOISE = 0.1

#: Pixels of a component, of those above NEAR, that has none of the upper level.
MIN_ISLAND = 9

#: Of a few labels at most this share of the lesion's pixels may look like noise.
MAX_NOISE = 0.1

#: Formats that change values when they compress.
_LOSSY = {"JPEG", "MPO", "WEBP", "JPEG2000", "AVIF"}


def read_mask(path: FileLike) -> npt.NDArray[np.bool_]:
    """Read a lesion mask.

    Every pixel that is not background is lesion, whatever its value is: 0/1, 0/255,
    several labels, colours, 16 bits, opacity. Background is zero, black or transparent;
    in a palette without black it is the first colour. Two levels that compression or
    smoothing has blurred are divided at half of the upper one.

    Parameters
    ----------
    path
        The mask's path, or a file that is open for reading bytes.

    Returns
    -------
    numpy.ndarray
        (H, W) bool, True where the lesion is.

    Raises
    ------
    MissingImageError
        If there is no such file.
    ImageFileError
        If it cannot be read, has several pages, or its values cannot be a mask: many
        levels, no background, or labels that may as well be noise.
    """
    source, name, head = open_checked(path)
    with named_errors(name):
        try:
            with Image.open(source) as image:
                pages = find_pages(image, whole_directories(head, source))
                if pages.is_torn:
                    raise ImageFileError(f"{name}: truncated or damaged")
                if pages.several:
                    raise _MaskError("it has several pages")
                lossy = image.format in _LOSSY
                return _lesion(_levels(image, source), lossy=lossy)
        except UnidentifiedImageError:
            raise ImageFileError(f"{name}: {describe_unknown(head)}") from None
        except _MaskError as error:
            raise ImageFileError(f"{name}: not a mask: {error}") from None


class _MaskError(Exception):
    """The values cannot be a mask."""


def _levels(image: Image.Image, source: str | BinaryIO) -> npt.NDArray[Any]:
    """Return a number for each pixel that is zero in the background, (H, W)."""
    if image.mode == "P" and not image.has_transparency_data:
        return _palette_levels(image)
    if image.mode in ("1", "L", "F") or image.mode.startswith("I"):
        inverted, bits = is_inverted(image), image.mode == "1"
        values = np.asarray(image)
        if inverted:
            raise _MaskError("it is WhiteIsZero: its values do not tell background")
        return values.astype(np.uint8) if bits else values
    deep = is_deep_colour(image)
    colours = deep_colours(image, functools.partial(Image.open, source))
    if colours is None:
        if deep:
            raise _MaskError(f"colours of 16 bits in mode {image.mode} are not read")
        opaque = image.mode in ("RGB", "YCbCr", "RGBX") and (
            not image.has_transparency_data
        )
        colours = np.asarray(image.convert("RGB" if opaque else "RGBA"))
    if colours.shape[2] == 3:
        return np.asarray(colours.max(axis=2))
    return _opaque_levels(np.asarray(colours[:, :, :3].max(axis=2)), colours[:, :, 3])


def _palette_levels(image: Image.Image) -> npt.NDArray[Any]:
    """Return the brightness of a palette's colours; indices where there is no black."""
    indices = np.asarray(image)
    colours = np.asarray(image.convert("RGB")).max(axis=2)
    used = np.unique(colours)
    if used[0] == 0 and len(used) > 1:
        return np.asarray(colours)
    if indices.min() < indices.max():
        return indices
    # Of a single colour the rest of the palette tells whether it is the background's.
    black = [not any(colour) for colour in _palette(image)]
    if all(black) or not any(black):
        return indices
    if used[0] > 0 and indices[0, 0] == 0:
        raise _MaskError("it has one colour, which can be background or lesion")
    return np.asarray(colours)


def _palette(image: Image.Image) -> list[tuple[int, ...]]:
    """Return the colours of a palette, red, green and blue."""
    channels = image.getpalette("RGB") or []
    return [tuple(channels[i : i + 3]) for i in range(0, len(channels), 3)]


def _opaque_levels(
    brightness: npt.NDArray[Any], opacity: npt.NDArray[Any]
) -> npt.NDArray[Any]:
    """Return the levels of an image with an opacity channel."""
    if opacity.min() == opacity.max():
        return brightness
    if brightness.max() == 0:
        return opacity
    visible = np.where(opacity > 0, brightness, 0)
    if visible.max() == 0:
        raise _MaskError("what is not black is transparent")
    return visible


def _lesion(levels: npt.NDArray[Any], *, lossy: bool) -> npt.NDArray[np.bool_]:
    """Tell lesion from background by the levels that occur."""
    if levels.dtype.kind == "f" and not np.isfinite(levels).all():
        raise _MaskError("it has values that are NaN or infinite")
    values, counts = np.unique(levels, return_counts=True)
    low, high = float(values[0]), float(values[-1])
    if low < 0:
        raise _MaskError(f"it has negative values: {_listed(values)}")
    if high == 0 or len(values) == 1:
        return np.asarray(levels > 0)
    if lossy and high < 128:
        raise _MaskError(
            f"its values are {_listed(values)}: after lossy compression so low a "
            f"level cannot be told from noise"
        )
    integers = levels.dtype.kind != "f" or bool((values == np.rint(values)).all())
    few = len(values) <= MAX_LABELS and low == 0 and not lossy
    if few and (_are_labels(values) if integers else len(values) == 2):
        return np.asarray(levels > 0)
    near = NEAR * high
    above = int(counts[values >= high - near].sum())
    between = int(counts[(values > near) & (values < high - near)].sum())
    if low > near:
        raise _MaskError(f"no value is background: {_listed(values)}")
    noise = int(counts[(values > 0) & (values <= near)].sum())
    if between > MAX_BETWEEN * above or (
        few and integers and noise > MAX_NOISE * above
    ):
        raise _MaskError(f"its values are {_listed(values)}")
    lower = _lower_level(levels, high)
    if lower is not None:
        raise _MaskError(
            f"it has areas of about {lower:g} beside {high:g}, which may be another "
            f"lesion; save it without compression and smoothing"
        )
    return np.asarray(levels > high / 2)


def _lower_level(levels: npt.NDArray[Any], high: float) -> float | None:
    """Return a level below half of the upper one that is not its blur, or None.

    It has flat areas, or lies where no pixel of the upper level is beside it.
    """
    middle = levels[WINDOW // 2 : -(WINDOW // 2), WINDOW // 2 : -(WINDOW // 2)]
    spread = _extreme(np.maximum, levels) - _extreme(np.minimum, levels)
    flat = (spread <= FLAT * high) & (middle > NOISE * high) & (middle <= high / 2)
    if flat.sum() >= MIN_WINDOWS:
        return float(np.median(middle[flat]))
    inner, labels, count = components(levels > NEAR * high)
    upper = np.bincount(labels[levels[inner] > high / 2], minlength=count + 1) > 0
    sizes = np.bincount(labels.ravel(), minlength=count + 1)
    sizes[0] = 0
    sizes[upper] = 0
    if sizes.max() >= MIN_ISLAND:
        return float(np.median(levels[inner][labels == sizes.argmax()]))
    return None


def _extreme(
    which: Callable[..., npt.NDArray[Any]], levels: npt.NDArray[Any]
) -> npt.NDArray[Any]:
    """Return the extreme of the window around each pixel that has a whole one."""
    for _ in levels.shape:
        count = max(0, levels.shape[0] - WINDOW + 1)
        shifted = (levels[shift : shift + count] for shift in range(WINDOW))
        levels = functools.reduce(which, shifted).T
    return levels


def _are_labels(values: npt.NDArray[Any]) -> bool:
    """Tell whether whole numbers are labels: all small, or far apart."""
    if values[-1] <= 2 * MAX_LABELS:
        return True
    gaps = np.diff(values.astype(np.int64))
    return len(values) <= MAX_DISTANT_LABELS + 1 and int(gaps.min()) >= LABEL_GAP


def _listed(values: npt.NDArray[Any]) -> str:
    """Return values as text, the first and last of many."""
    texts = [f"{value:g}" for value in values.astype(np.float64)]
    if len(texts) > 8:
        texts = [*texts[:4], "...", *texts[-3:], f"({len(values)} values)"]
    return " ".join(texts)
