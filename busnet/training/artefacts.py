"""What covers tissue: shadows, and what is drawn over the picture.

Functions as those of :mod:`busnet.training.intensity`. Calipers and text stand on
images of every class alike, so that they tell none.
"""

from __future__ import annotations

import torch
from torch import Tensor

from busnet.training.intensity import Scene

__all__ = ["border", "marks", "shadow", "text"]

#: Calipers on an image that has some.
_CALIPERS = 4


def shadow(x: Tensor, numbers: Tensor, strength: float, scene: Scene) -> Tensor:
    """Darken a wedge that begins at some depth, with soft edges."""
    chosen, place, slope, width, begin, spread, dark = numbers.unbind(1)
    middle = place + 0.4 * (slope - 0.5) * scene.rows
    half = 0.02 + 0.1 * width + 0.1 * spread * scene.rows
    beside = torch.sigmoid((half - (scene.columns - middle).abs()) / 0.015)
    below = torch.sigmoid((scene.rows - 0.7 * begin) / 0.03)
    amount = (chosen < strength) * (0.3 + 0.6 * dark)
    return x * (1 - amount * beside * below)


def marks(x: Tensor, numbers: Tensor, strength: float, scene: Scene) -> Tensor:
    """Draw calipers, upright or diagonal crosses, and dots from one to the next."""
    chosen, grey, size, dotted = numbers[:, :4].unbind(1)
    level = 0.6 + 0.4 * grey
    arm, thick = 0.012 + 0.02 * size, 0.6 / x.shape[-1]
    drawn = torch.zeros_like(scene.inside)
    ends = []
    for i in range(_CALIPERS):
        row, column, keep = numbers[:, 4 + 3 * i : 7 + 3 * i].unbind(1)
        row, column = 0.1 + 0.8 * row, 0.1 + 0.8 * column
        ends.append((row, column))
        down, right = scene.rows - row, scene.columns - column
        diagonal = numbers[:, 16] < 0.3
        a = torch.where(diagonal, down + right, down)
        b = torch.where(diagonal, down - right, right)
        near = torch.maximum(a.abs(), b.abs()) <= arm
        cross = near & (torch.minimum(a.abs(), b.abs()) <= thick)
        drawn = torch.maximum(drawn, (cross & ((i < 2) | (keep < 0.5))).float())
    line = _dots(scene, ends[0], ends[1], thick) & (dotted < 0.5)
    drawn = torch.maximum(drawn, line.float())
    return torch.where((drawn > 0) & (chosen < strength), level, x)


def _dots(
    scene: Scene,
    start: tuple[Tensor, Tensor],
    end: tuple[Tensor, Tensor],
    thick: float,
) -> Tensor:
    """Return where a dotted line runs, bool (N, 1, S, S)."""
    down, right = end[0] - start[0], end[1] - start[1]
    length = (down**2 + right**2).sqrt().clamp(min=1e-3)
    y, x = scene.rows - start[0], scene.columns - start[1]
    along = (y * down + x * right) / length
    across = (y * right - x * down) / length
    on = (along >= 0) & (along <= length) & (across.abs() <= thick)
    return on & (torch.remainder(along, 0.03) < 0.01)


def text(x: Tensor, numbers: Tensor, strength: float, scene: Scene) -> Tensor:
    """Draw strokes like letters in a box at the top or bottom edge."""
    chosen, place, edge, wide, high, grey, look, scale = numbers.unbind(1)
    height = 0.02 + 0.03 * high
    top = torch.where(edge < 0.5, 0.01 + 0.05 * scale, 0.95 - height - 0.05 * scale)
    left = 0.9 * place
    box = (scene.rows >= top) & (scene.rows < top + height)
    box = box & (scene.columns >= left) & (scene.columns < left + 0.1 + 0.3 * wide)
    stroke = scene.noise(2, look) > 0.4
    level = 0.6 + 0.4 * grey
    return torch.where(box & stroke & (chosen < strength), level, x)


def border(x: Tensor, numbers: Tensor, strength: float, scene: Scene) -> Tensor:
    """Black out bars of up to an eighth of the picture at some of its edges.

    The picture's own edges, where bars already are, so that a bar is seen at all.
    """
    rows, columns = scene.inside.amax(3), scene.inside.amax(2)
    high = rows.mean(2)[..., None, None]
    wide = columns.mean(2)[..., None, None]
    edges = (
        (scene.rows - (0.5 - high / 2), high),
        ((0.5 + high / 2) - scene.rows, high),
        (scene.columns - (0.5 - wide / 2), wide),
        ((0.5 + wide / 2) - scene.columns, wide),
    )
    for i, (distance, extent) in enumerate(edges):
        chosen, depth = numbers[:, 2 * i], numbers[:, 2 * i + 1]
        bar = (distance < extent * depth / 8) & (chosen < strength / 2)
        x = x * ~bar
    return x
