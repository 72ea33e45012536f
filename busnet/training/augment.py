"""Augmentation of batches: image and mask move together, intensities change alone.

All that is random is drawn on the CPU, a row of numbers an image, so that every device
sees the same images; all pixels are computed on the device, without looking at them
from the CPU, so that a step can be recorded as a CUDA graph.

No vertical flips: the skin is at the top of an ultrasound image, and the shadow or
enhancement behind a lesion is a sign that has a direction.
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from busnet.errors import DataError
from busnet.training import artefacts, intensity
from busnet.training.intensity import Noise, Scene
from busnet.training.sampling import Draws

__all__ = ["CHANGES", "MACHINES", "Augmentation", "Augmenter", "affine"]

Floats = npt.NDArray[np.float64]

#: The changes of intensity by the field that switches each on, in their order, and how
#: many random numbers each takes for an image: first the tissue and the scanner, then
#: the display, then what is drawn over the picture.
CHANGES: dict[str, tuple[intensity.Change, int]] = {
    "exchange": (intensity.exchange, 2),
    "depth_gain": (intensity.depth_gain, 10),
    "shadow": (artefacts.shadow, 7),
    "grain": (intensity.grain, 4),
    "contrast": (intensity.contrast, 1),
    "gain": (intensity.gain, 1),
    "speckle": (intensity.speckle, 2),
    "dynamic_range": (intensity.dynamic_range, 5),
    "blur": (intensity.blur, 1),
    "resolution": (intensity.resolution, 4),
    "text": (artefacts.text, 8),
    "marks": (artefacts.marks, 18),
    "border": (artefacts.border, 8),
}

#: Random numbers that the changes take for an image.
COLUMNS = sum(count for _, count in CHANGES.values())


@dataclasses.dataclass(frozen=True)
class Augmentation:
    """Ranges that each image draws its own change from; 0 switches a change off.

    Attributes
    ----------
    rotation
        Largest angle to either side, degrees.
    scale
        Largest relative change of size, likewise of aspect at half of it.
    shift
        Largest translation, as a share of the side.
    gain
        Largest relative change of intensity (.25: by factors from 1/1.25 to 1.25).
    contrast
        Largest relative change of the exponent on intensity, likewise.
    speckle
        Largest standard deviation of fine multiplicative noise.
    exchange
        Largest share in which the amplitudes of the lowest spatial frequencies are
        taken from an image of another source (Yang and Soatto, CVPR 2020).
    depth_gain
        Largest logarithm of a smooth gain along the depth, likewise at half of it
        across.
    dynamic_range
        How far the display's black and white level, curve and compression change, 0
        to 1.
    blur
        How far the image is smoothed or sharpened, 0 to 1.
    resolution
        Probability of a loss of resolution.
    grain
        Largest standard deviation of multiplicative noise of two and four pixels.
    shadow
        Probability of an acoustic shadow.
    text
        Probability of strokes like text at an edge.
    marks
        Probability of calipers.
    border
        Probability of black bars.
    """

    rotation: float = 12.0
    scale: float = 0.2
    shift: float = 0.08
    gain: float = 0.25
    contrast: float = 0.3
    speckle: float = 0.12
    exchange: float = 0.0
    depth_gain: float = 0.0
    dynamic_range: float = 0.0
    blur: float = 0.0
    resolution: float = 0.0
    grain: float = 0.0
    shadow: float = 0.0
    text: float = 0.0
    marks: float = 0.0
    border: float = 0.0

    def __post_init__(self) -> None:
        """Check that ranges are not negative."""
        for name, value in dataclasses.asdict(self).items():
            if not 0 <= value < math.inf:
                raise DataError(f"augmentation: {name} is {value}, not 0 or above")

    def changed(self, factor: float, *names: str) -> Augmentation:
        """Return the augmentation with the ranges of these fields times a factor."""
        return dataclasses.replace(
            self, **{name: getattr(self, name) * factor for name in names}
        )


#: What images of other machines may look like, beside the plain changes.
MACHINES = Augmentation(
    gain=0.35,
    contrast=0.4,
    exchange=0.7,
    depth_gain=0.5,
    dynamic_range=0.7,
    blur=0.7,
    resolution=0.35,
    grain=0.15,
    shadow=0.2,
    text=0.15,
    marks=0.2,
    border=0.2,
)


def affine(
    augmentation: Augmentation, draws: Draws, rng: np.random.Generator
) -> tuple[Floats, Floats]:
    """Return how the squares that a network sees lie in the examples' squares.

    A lesion-free crop turns half as far and never shows more than its window, so that
    it stays beside the lesion.

    Returns
    -------
    theta
        (S, N, 2, 3), from the network's square to the example's, both in -1..1, column
        before row, as PyTorch's ``affine_grid`` takes it.
    extent
        Half width and half height of what is not black in the network's square,
        (S, N, 2): the window keeps its aspect.
    """
    shape = draws.index.shape

    def draw(limit: float) -> Floats:
        return rng.uniform(-limit, limit, shape)

    free = draws.lesion_free
    angle = draw(math.radians(augmentation.rotation)) * np.where(free, 0.5, 1)
    size, aspect = draw(augmentation.scale), draw(augmentation.scale / 2)
    flip = np.where(draw(1.0) > 0, 1.0, -1.0)
    wide, high = 1 + size + aspect, 1 + size - aspect
    wide, high = (np.where(free, np.minimum(x, 1), x) for x in (wide, high))
    row, column, height, width = np.moveaxis(draws.window, -1, 0)
    side = np.maximum(height, width)
    # A crop was drawn from anywhere in its image; only whole images are shifted.
    right, down = (draw(2 * augmentation.shift) * ~draws.cropped for _ in range(2))
    cos, sin = np.cos(angle) * side, np.sin(angle) * side
    theta = np.stack(
        (
            np.stack((cos * wide * flip, -sin * high, 2 * column - 1), -1),
            np.stack((sin * wide * flip, cos * high, 2 * row - 1), -1),
        ),
        -2,
    )
    theta[..., 0, 2] += right
    theta[..., 1, 2] += down
    return theta, np.stack((width / side, height / side), -1)


class Augmenter:
    """Turns examples into what a step sees, on their device.

    Parameters
    ----------
    augmentation
        The ranges.
    size
        Side of the squares that come out, pixels.
    device
        Where it computes.
    seed
        Seed of the noise.
    """

    def __init__(
        self, augmentation: Augmentation, size: int, device: torch.device, seed: int
    ) -> None:
        self.augmentation = augmentation
        self.size = size
        self._axis = (torch.arange(size, device=device) * 2 + 1) / size - 1
        self._noise = Noise(size, device, seed)

    @torch.no_grad()
    def __call__(
        self,
        images: Tensor,
        masks: Tensor,
        partners: Tensor,
        frames: Tensor,
        theta: Tensor,
        extent: Tensor,
        numbers: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """Return float32 images (N, C, S, S) in 0..1 and masks (N, 1, S, S), 0 or 1.

        Parameters
        ----------
        images, partners
            uint8 (N, C, B, B): the examples, and those to exchange amplitudes with.
        masks
            uint8 (N, 1, B, B).
        frames
            What images cover of their squares, (N, 4), see ``Examples.frames``.
        theta, extent
            See :func:`affine`, (N, 2, 3) and (N, 2).
        numbers
            Uniform in 0..1, (N, :data:`COLUMNS`).
        """
        grid = self._grid(theta)
        both = torch.cat((images.float() / 255, masks.float()), 1)
        both = functional.grid_sample(both, grid, align_corners=False)
        inside = self._inside(grid, frames, extent)
        x, lesion = both[:, :-1] * inside, (both[:, -1:] * inside > 0.5).float()
        scene = Scene.of(inside, self._noise, partners)
        position = 0
        for name, (change, count) in CHANGES.items():
            strength = getattr(self.augmentation, name)
            if strength:
                columns = numbers[:, position : position + count]
                x = change(x, columns[:, :, None, None, None], strength, scene)
            position += count
        return (x.clamp(0, 1) * inside).contiguous(), lesion

    def _grid(self, theta: Tensor) -> Tensor:
        """Return where the pixels lie in the examples, (N, S, S, 2) in -1..1.

        As ``affine_grid`` computes it, but exactly: a GPU may round the matrix product
        to 10 bits.
        """
        right, down = self._axis.view(1, 1, -1, 1), self._axis.view(1, -1, 1, 1)
        a = theta[:, None, None]  # (N, 1, 1, 2, 3)
        return a[..., 0] * right + a[..., 1] * down + a[..., 2]

    def _inside(self, grid: Tensor, frames: Tensor, extent: Tensor) -> Tensor:
        """Return 1 where the image is, 0 in the bars around it, (N, 1, S, S)."""
        low, high = (
            torch.stack((edge[:, 1], edge[:, 0]), 1)[:, None, None] * 2 - 1
            for edge in (frames[:, :2], frames[:, 2:])
        )
        within = ((grid >= low) & (grid <= high)).all(-1)
        columns = self._axis.abs() <= extent[:, :1]
        rows = self._axis.abs() <= extent[:, 1:]
        seen = rows[:, :, None] & columns[:, None, :]
        return (within & seen)[:, None].float()
