"""Changes of intensity: what scanners and displays make of the same tissue.

Each is a function of a batch (N, C, S, S) in 0..1, of random numbers that are uniform
in 0..1, (N, count, 1, 1, 1), and of a strength, of which 0 would change nothing.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

__all__ = [
    "Change",
    "Noise",
    "Scene",
    "blur",
    "contrast",
    "depth_gain",
    "dynamic_range",
    "exchange",
    "gain",
    "grain",
    "resolution",
    "speckle",
]

#: Planes of noise that images draw from, and their side in that of an image.
_PLANES, _SPREAD = 16, 2

#: Grains of the noise, pixels.
_GRAINS = (1, 2, 4)

#: Spatial frequencies to either side whose amplitudes may be exchanged.
_FREQUENCIES = 6


class Noise:
    """Fields of noise with standard deviation 1, in grains of one to four pixels.

    They are drawn once; an image takes a window of one of them.
    """

    def __init__(self, size: int, device: torch.device, seed: int) -> None:
        generator = torch.Generator().manual_seed(seed)
        side = size * _SPREAD
        self._size = size
        self._fields = {}
        for grain in _GRAINS:
            coarse = -(-side // grain)
            field = torch.randn(_PLANES, 1, coarse, coarse, generator=generator)
            # Smooth over three pixels: speckle is not white.
            field = functional.avg_pool2d(field, 3, 1, 1, count_include_pad=False)
            field = functional.interpolate(
                field, (side, side), mode="bilinear", align_corners=False
            )
            self._fields[grain] = (field[:, 0] / field.std()).to(device)
        self._pixels = torch.arange(size, device=device)

    def __call__(self, grain: int, numbers: Tensor) -> Tensor:
        """Return noise (N, 1, S, S) for numbers (N, 1, 1, 1) in 0..1."""
        field = self._fields[grain]
        room = self._size * (_SPREAD - 1)
        place = (numbers[:, 0, 0, 0] * (_PLANES * room * room)).long()
        place = place.clamp(max=_PLANES * room * room - 1)
        plane, place = place // (room * room), place % (room * room)
        rows = (place // room)[:, None] + self._pixels
        columns = (place % room)[:, None] + self._pixels
        return field[plane[:, None, None], rows[:, :, None], columns[:, None, :]][
            :, None
        ]


@dataclasses.dataclass(frozen=True)
class Scene:
    """What a change may need besides the images.

    Attributes
    ----------
    inside
        1 where the image is, 0 in the bars around it, (N, 1, S, S).
    noise
        Noise to take windows of.
    partners
        Images of other sources, uint8 (N, C, B, B).
    rows, columns
        Coordinates in 0..1, (1, 1, S, 1) and (1, 1, 1, S).
    """

    inside: Tensor
    noise: Noise
    partners: Tensor
    rows: Tensor
    columns: Tensor

    @classmethod
    def of(cls, inside: Tensor, noise: Noise, partners: Tensor) -> Scene:
        """Return the scene with its coordinates."""
        size = inside.shape[-1]
        axis = (torch.arange(size, device=inside.device) + 0.5) / size
        return cls(
            inside, noise, partners, axis.view(1, 1, -1, 1), axis.view(1, 1, 1, -1)
        )


#: A change: images, numbers, strength, scene -> images.
Change = Callable[[Tensor, Tensor, float, Scene], Tensor]


def _signed(numbers: Tensor) -> Tensor:
    return numbers * 2 - 1


def gain(x: Tensor, numbers: Tensor, strength: float, scene: Scene) -> Tensor:
    """Multiply by a factor of up to 1 + strength, either way."""
    return x * (_signed(numbers[:, 0]) * math.log1p(strength)).exp()


def contrast(x: Tensor, numbers: Tensor, strength: float, scene: Scene) -> Tensor:
    """Raise to an exponent of up to 1 + strength, either way."""
    return x.clamp(min=0) ** (_signed(numbers[:, 0]) * math.log1p(strength)).exp()


def speckle(x: Tensor, numbers: Tensor, strength: float, scene: Scene) -> Tensor:
    """Multiply by fine noise around 1."""
    return x * (1 + strength * numbers[:, 0] * scene.noise(1, numbers[:, 1]))


def grain(x: Tensor, numbers: Tensor, strength: float, scene: Scene) -> Tensor:
    """Multiply by noise in grains of two and of four pixels."""
    for i, size in enumerate((2, 4)):
        amount = strength * numbers[:, 2 * i]
        x = x * (1 + amount * scene.noise(size, numbers[:, 2 * i + 1]))
    return x.clamp(min=0)


def depth_gain(x: Tensor, numbers: Tensor, strength: float, scene: Scene) -> Tensor:
    """Multiply by a smooth curve along the depth, and by one across."""
    size = x.shape[-1]
    levels = _signed(numbers[:, :, 0]).movedim(1, -1)  # (N, 1, 1, 10)
    along = _curve(levels[..., :6], size).transpose(2, 3)
    across = _curve(levels[..., 6:], size)
    return x * (strength * along + strength / 2 * across).exp()


def _curve(levels: Tensor, size: int) -> Tensor:
    """Return a smooth curve (N, 1, 1, size) through levels (N, 1, 1, points)."""
    return functional.interpolate(levels, (1, size), mode="bicubic", align_corners=True)


def dynamic_range(x: Tensor, numbers: Tensor, strength: float, scene: Scene) -> Tensor:
    """Change black and white level, curve, and logarithmic compression."""
    black = 0.15 * strength * numbers[:, 0]
    white = 1 - 0.3 * strength * numbers[:, 1]
    x = ((x - black) / (white - black)).clamp(0, 1)
    bend = strength * _signed(numbers[:, 2])
    x = x + bend * x * (1 - x) * (2 * x - 1)  # monotone for |bend| <= 1
    steep = 4 * strength * numbers[:, 3] + 1e-3
    brighter = torch.log1p(steep * x) / torch.log1p(steep)
    darker = torch.expm1(torch.log1p(steep) * x) / steep
    return torch.where(numbers[:, 4] < 0.5, brighter, darker)


def blur(x: Tensor, numbers: Tensor, strength: float, scene: Scene) -> Tensor:
    """Smooth or sharpen by what a binomial filter of five pixels takes away."""
    smooth = functional.pad(x, (2, 2, 2, 2), mode="replicate")
    for axis in (2, 3):
        length = smooth.shape[axis] - 4
        parts = [smooth.narrow(axis, i, length) for i in range(5)]
        smooth = (parts[0] + parts[4] + 4 * (parts[1] + parts[3]) + 6 * parts[2]) / 16
    return (x + strength * (2.2 * numbers[:, 0] - 1) * (x - smooth)).clamp(0, 1)


def resolution(x: Tensor, numbers: Tensor, strength: float, scene: Scene) -> Tensor:
    """Mix with the image at half, and more rarely at a quarter of its resolution."""
    for i, factor in enumerate((2, 4)):
        chosen = numbers[:, 2 * i] < strength / factor * 2
        amount = numbers[:, 2 * i + 1] * chosen
        small = functional.avg_pool2d(x, factor, ceil_mode=True)
        coarse = functional.interpolate(
            small, x.shape[2:], mode="bilinear", align_corners=False
        )
        x = torch.lerp(x, coarse, amount)
    return x


def exchange(x: Tensor, numbers: Tensor, strength: float, scene: Scene) -> Tensor:
    """Take amplitudes of the lowest frequencies from images of another source.

    Amplitudes are mixed by their logarithms, the phases stay: where things are does
    not change. The bars count as grey, so that no image takes on another's aspect.
    """
    size = x.shape[-1]
    other = functional.interpolate(
        scene.partners.float() / 255, (size, size), mode="bilinear", align_corners=False
    )
    mean = _mean(x, scene.inside)
    spectrum = torch.fft.rfft2(torch.where(scene.inside > 0, x, mean))
    covered = (other.amax(1, keepdim=True) > 0).float()
    other = torch.where(covered > 0, other, _mean(other, covered))
    target = torch.fft.rfft2(other).abs()
    axis = torch.arange(size, device=x.device)
    rows = torch.minimum(axis, size - axis).view(1, 1, -1, 1)
    columns = axis[: size // 2 + 1].view(1, 1, 1, -1)
    radius = 1 + numbers[:, 1] * (_FREQUENCIES - 1)
    near = torch.exp(-0.5 * (rows**2 + columns**2) / radius**2)
    amount = strength * numbers[:, 0] * near
    ratio = ((target + 1e-3) / (spectrum.abs() + 1e-3)).log().clamp(-1.5, 1.5)
    changed: Tensor = torch.fft.irfft2(
        spectrum * (amount * ratio).exp(), s=(size, size)
    )
    return changed.clamp(0, 1)


def _mean(x: Tensor, inside: Tensor) -> Tensor:
    """Return each plane's mean over where the image is, (N, C, 1, 1)."""
    area = inside.sum((2, 3), keepdim=True).clamp(min=1)
    return (x * inside).sum((2, 3), keepdim=True) / area
