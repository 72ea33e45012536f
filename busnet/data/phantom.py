"""A synthetic breast ultrasound: what examples and tests show where no data set is.

It has the textures that make such an image recognisable (fully developed speckle,
layers, a hypoechoic lesion with enhancement behind it) and claims no more.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["phantom"]

Array = npt.NDArray[np.float64]


def phantom(
    height: int = 400, width: int = 520, seed: int = 0
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.bool_]]:
    """Draw an image and the mask of its lesion, both (height, width).

    Speckle is the magnitude of filtered complex Gaussian noise, which is Rayleigh
    distributed (Burckhardt, IEEE Trans. Sonics Ultrason. 25:1, 1978), compounded from
    a few looks as scanners do, and shown in decibels.
    """
    generator = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width]
    depth, across = y / height, x / width
    lesion = _lesion(depth, across * width / height, generator)
    echo = _layers(depth, across, generator)
    inside = lesion < 1
    echo = np.where(inside, 0.012, echo)
    rim = np.exp(-(((lesion - 1.03) / 0.05) ** 2))
    echo = echo * (1 + 0.6 * rim)
    behind = np.maximum.accumulate(inside, axis=0) & ~inside
    echo = echo * np.where(behind, 1.9, 1.0)
    amplitude = np.sqrt(echo) * _speckle(height, width, generator)
    decibels = 20 * np.log10(amplitude + 1e-4)
    grey = np.clip((decibels + 24) / 40, 0, 1) * 255
    return np.rint(grey).astype(np.uint8), inside


def _lesion(depth: Array, across: Array, generator: np.random.Generator) -> Array:
    """Distance from the lesion's centre, 1 on its outline: a wobbly lying ellipse."""
    dy, dx = depth - 0.42, across - 0.62
    angle = np.arctan2(dy, dx)
    wobble = np.zeros_like(angle)
    for order in range(2, 6):
        phase = generator.uniform(0, 2 * np.pi)
        wobble += 0.05 * np.cos(order * angle + phase) / (order - 1)
    return np.asarray(np.hypot(dy / 0.13, dx / 0.21) / (1 + wobble))


def _layers(depth: Array, across: Array, generator: np.random.Generator) -> Array:
    """Mean echo power of skin, fat, gland, fascia and muscle."""
    waves = [generator.uniform(0, 2 * np.pi) for _ in range(4)]
    bend = 0.015 * np.sin(5 * across + waves[0]) + 0.008 * np.sin(
        13 * across + waves[1]
    )
    level = depth + bend
    mottle = _smooth(generator.standard_normal(depth.shape), 14, 26)
    mottle /= mottle.std()
    echo = np.full(depth.shape, 0.5) * np.exp(0.55 * mottle)
    echo = np.where(level < 0.2, 0.16 * np.exp(0.35 * mottle), echo)
    septum = np.exp(
        -(((level - 0.2 - 0.03 * np.sin(9 * across + waves[2])) / 0.012) ** 2)
    )
    echo = echo + 0.9 * septum
    echo = np.where(level < 0.045, 1.3, echo)
    muscle = 0.16 * (1.3 + np.sin(160 * (level + 0.05 * across) + waves[3]))
    echo = np.where(level > 0.76, muscle, echo)
    echo = echo + 1.2 * np.exp(-(((level - 0.76) / 0.008) ** 2))
    return echo * np.exp(-0.9 * depth)


def _speckle(height: int, width: int, generator: np.random.Generator) -> Array:
    """Speckle of mean power 1 from three looks, its grains wider than high."""
    power = sum(
        _smooth(generator.standard_normal((height, width)), 1.3, 2.4) ** 2
        for _ in range(2 * 3)
    )
    return np.asarray(np.sqrt(power / np.mean(power)))


def _smooth(noise: Array, high: float, wide: float) -> Array:
    """Filter by a Gaussian of standard deviations (high, wide) pixels, cyclically."""
    spectrum = np.fft.rfft2(noise)
    v = np.fft.fftfreq(noise.shape[0])[:, None] * high
    u = np.fft.rfftfreq(noise.shape[1])[None, :] * wide
    spectrum *= np.exp(-2 * np.pi**2 * (u**2 + v**2))
    return np.fft.irfft2(spectrum, noise.shape)
