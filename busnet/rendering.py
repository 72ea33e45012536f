"""How results look: drawn images and HTML."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
from PIL import Image

__all__ = ["draw", "draw_compact", "outline", "to_html", "to_png"]

#: Colour of a lesion's outline: orange stands out from grey for every kind of sight.
OUTLINE = (255, 160, 0)

#: Pixels of an image's longer side for each pixel of an outline's width.
PIXELS_PER_WIDTH = 200

Mask = npt.NDArray[np.bool_]


def draw(image: npt.NDArray[np.float32], mask: Mask | None = None) -> Image.Image:
    """Draw an image, and the outline of a mask in it.

    Parameters
    ----------
    image
        float32 in 0..1, (H, W) or (H, W, 3).
    mask
        bool (H, W), or None.

    Returns
    -------
    PIL.Image.Image
        RGB, of the image's size.
    """
    drawn = _to_pil(image).convert("RGB")
    if mask is not None:
        drawn.paste(OUTLINE, mask=_outline_of(mask))
    return drawn


def draw_compact(
    image: npt.NDArray[np.float32], mask: Mask | None = None
) -> Image.Image:
    """Draw as :func:`draw` does, with a byte a pixel where that holds all colours.

    Parameters
    ----------
    image, mask
        See :func:`draw`.

    Returns
    -------
    PIL.Image.Image
        With a palette if the image is grey and one of the 256 levels is unused, else
        RGB; of the same colours and size as :func:`draw` gives.
    """
    drawn = _to_pil(image)
    counts = drawn.histogram()
    if drawn.mode != "L" or 0 not in counts:
        return draw(image, mask)
    unused = counts.index(0)
    palette = np.repeat(np.arange(256, dtype=np.uint8)[:, None], 3, 1)
    palette[unused] = OUTLINE
    if mask is not None:
        drawn.paste(unused, mask=_outline_of(mask))
    drawn.putpalette(palette.tobytes())
    return drawn


def _to_pil(image: npt.NDArray[np.float32]) -> Image.Image:
    return Image.fromarray(np.rint(image * np.float32(255)).astype(np.uint8))


def _outline_of(mask: Mask) -> Image.Image:
    return Image.fromarray(
        outline(mask, max(1, round(max(mask.shape) / PIXELS_PER_WIDTH)))
    )


def to_png(image: Image.Image) -> bytes:
    """Return an image as the bytes of a PNG file."""
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def to_html(title: str, image: bytes, facts: Mapping[str, str], notice: str) -> str:
    """Return HTML with an image beside a table of facts and a notice.

    Parameters
    ----------
    title
        What stands for the image where it is not shown.
    image
        Bytes of a PNG file.
    facts
        Text by name.
    notice
        What stands below the table.
    """
    data = base64.b64encode(image).decode()
    rows = "".join(
        f"<tr><th style='text-align:left'>{html.escape(key)}</th>"
        f"<td style='text-align:left'>{html.escape(text)}</td></tr>"
        for key, text in facts.items()
    )
    return (
        "<div style='display:flex;gap:1em;align-items:flex-start'>"
        f"<img alt='{html.escape(title)}' style='max-width:20em;max-height:20em' "
        f"src='data:image/png;base64,{data}'>"
        f"<div><table>{rows}</table><small>{html.escape(notice)}</small></div>"
        "</div>"
    )


def outline(mask: Mask, width: int) -> Mask:
    """Return the pixels of a mask that are near to its background.

    Near is a distance of at most ``width``, along rows and along columns. What lies
    beyond the image counts as background, so that a lesion at the image's edge has an
    outline there. Takes time in proportion to the pixels of the mask's bounding box
    and the logarithm of the width.

    Parameters
    ----------
    mask
        bool (H, W).
    width
        Width of the outline in pixels, at least 1.

    Returns
    -------
    numpy.ndarray
        bool (H, W), a part of the mask.
    """
    edge = np.zeros_like(mask)
    if not mask.any():
        return edge
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    box = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    part = mask[box]
    edge[box] = part
    # A square window is a window along rows after one along columns.
    interior = _windows(_windows(part, width).T, width).T
    if interior.size:
        edge[box][width:-width, width:-width] &= ~interior
    return edge


def _windows(mask: Mask, width: int) -> Mask:
    """Tell which windows of ``2 * width + 1`` rows are all True.

    Windows that reach beyond the mask are left out. A window is the overlap of two
    windows of about half its length, so their length doubles from step to step.
    """
    length, target = 1, 2 * width + 1
    while length < target and len(mask):
        step = min(length, target - length)
        mask = mask[:-step] & mask[step:]
        length += step
    return mask
