"""Augmentation of batches: image and mask move together, intensities change alone.

No vertical flips: the skin is at the top of an ultrasound image, and the shadow or
enhancement behind a lesion is a sign that has a direction.
"""

from __future__ import annotations

import dataclasses
import math

import torch
from torch import Tensor
from torch.nn import functional

__all__ = ["Augmentation"]


@dataclasses.dataclass(frozen=True)
class Augmentation:
    """Ranges that each image draws its own change from.

    Attributes
    ----------
    rotation
        Largest angle to either side, degrees.
    scale
        Largest relative change of size, likewise of aspect at half of it.
    shift
        Largest translation, as a share of the side.
    gain
        Largest factor on intensity, either way.
    contrast
        Largest exponent on intensity, either way (1.3: from 1/1.3 to 1.3).
    speckle
        Largest standard deviation of multiplicative noise.
    """

    rotation: float = 12.0
    scale: float = 0.2
    shift: float = 0.08
    gain: float = 1.25
    contrast: float = 1.3
    speckle: float = 0.12

    def __call__(
        self, images: Tensor, masks: Tensor, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Return changed copies of images (N, C, H, W) in 0..1 and masks (N, 1, H, W).

        The masks stay 0 or 1. The generator is the CPU's, whatever device holds them.
        """
        count, device = images.shape[0], images.device

        def draw(limit: float) -> Tensor:
            drawn = (torch.rand(count, generator=generator) * 2 - 1) * limit
            return drawn.to(device)

        angle = draw(math.radians(self.rotation))
        size, aspect = draw(self.scale), draw(self.scale / 2)
        flip = torch.where(draw(1.0) > 0, 1.0, -1.0)
        wide, high = flip * (1 + size + aspect), 1 + size - aspect
        cos, sin = angle.cos(), angle.sin()
        rows = (
            torch.stack((cos * wide, -sin * high, draw(2 * self.shift)), 1),
            torch.stack((sin * wide, cos * high, draw(2 * self.shift)), 1),
        )
        shape = [count, 1, *images.shape[2:]]
        grid = functional.affine_grid(torch.stack(rows, 1), shape, align_corners=False)
        moved = functional.grid_sample(images, grid, align_corners=False)
        lesion = functional.grid_sample(masks, grid, align_corners=False)

        def column(values: Tensor) -> Tensor:
            return values.view(-1, 1, 1, 1)

        exponent = draw(math.log(self.contrast)).exp()
        factor = draw(math.log(self.gain)).exp()
        noise = torch.randn(shape, generator=generator).to(device)
        noise = functional.avg_pool2d(noise, 3, 1, 1) * 3
        changed = moved.clamp(min=0) ** column(exponent) * column(factor)
        changed = changed * (1 + column(draw(self.speckle).abs()) * noise)
        return changed.clamp(0, 1), (lesion > 0.5).float()
