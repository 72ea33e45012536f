"""Changes of images that happen between a scanner and a data set.

Those that move pixels move the lesion's mask with them.
"""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter

__all__ = ["PERTURBATIONS", "Perturbation"]

#: An image (H, W[, 3]) in 0..1 and its lesion mask (H, W), or None.
Pixels = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_] | None
Change = Callable[[Pixels, Mask, np.random.Generator], tuple[Pixels, Mask]]


@dataclasses.dataclass(frozen=True)
class Perturbation:
    """A change of images, with what it does in words."""

    name: str
    description: str
    change: Change

    def __call__(self, pixels: Pixels, mask: Mask, index: int) -> tuple[Pixels, Mask]:
        """Return changed copies; what is random in it depends on ``index`` alone."""
        return self.change(pixels.copy(), mask, np.random.default_rng(index))


def _pointwise(function: Callable[[Pixels], Pixels]) -> Change:
    def change(
        pixels: Pixels, mask: Mask, _: np.random.Generator
    ) -> tuple[Pixels, Mask]:
        return np.clip(function(pixels), 0, 1).astype(np.float32), mask

    return change


def _with_pillow(function: Callable[[Image.Image], Image.Image]) -> Change:
    def change(
        pixels: Pixels, mask: Mask, _: np.random.Generator
    ) -> tuple[Pixels, Mask]:
        image = Image.fromarray(np.rint(pixels * 255).astype(np.uint8))
        changed = np.array(function(image), np.float32)
        changed /= 255
        return changed, mask

    return change


def _blur(image: Image.Image) -> Image.Image:
    return image.filter(ImageFilter.GaussianBlur(0.006 * max(image.size)))


def _jpeg(image: Image.Image) -> Image.Image:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=25)
    return Image.open(buffer)


def _rescaled(factor: float) -> Callable[[Image.Image], Image.Image]:
    def there_and_back(image: Image.Image) -> Image.Image:
        size = [max(1, round(side * factor)) for side in image.size]
        middle = image.resize((size[0], size[1]), Image.Resampling.BICUBIC)
        return middle.resize(image.size, Image.Resampling.BICUBIC)

    return there_and_back


def _speckle(
    pixels: Pixels, mask: Mask, generator: np.random.Generator
) -> tuple[Pixels, Mask]:
    noise = generator.standard_normal(pixels.shape[:2]).astype(np.float32)
    noise = noise.reshape(noise.shape + (1,) * (pixels.ndim - 2))
    noisy = np.clip(pixels * (1 + np.float32(0.25) * noise), 0, 1)
    return noisy.astype(np.float32), mask


def _flip(pixels: Pixels, mask: Mask, _: np.random.Generator) -> tuple[Pixels, Mask]:
    return pixels[:, ::-1], None if mask is None else mask[:, ::-1]


def _crop(pixels: Pixels, mask: Mask, _: np.random.Generator) -> tuple[Pixels, Mask]:
    height, width = pixels.shape[:2]
    y, x = height // 16, width // 16
    inner = np.s_[y : height - y, x : width - x]
    return pixels[inner], None if mask is None else mask[inner]


def _shadow(
    pixels: Pixels, mask: Mask, generator: np.random.Generator
) -> tuple[Pixels, Mask]:
    height, width = pixels.shape[:2]
    band = width // 6
    left = int(generator.integers(0, max(1, width - band)))
    pixels[height // 4 :, left : left + band] *= 0.25
    return pixels, mask


def _calipers(
    pixels: Pixels, mask: Mask, generator: np.random.Generator
) -> tuple[Pixels, Mask]:
    """Paste two crosses and a dotted line: across the lesion, or somewhere without."""
    height, width = pixels.shape[:2]
    arm = max(3, round(0.015 * max(height, width)))
    if mask is not None and mask.any():
        rows, columns = np.nonzero(mask)
        ends = [
            (int(rows[i]), int(columns[i]))
            for i in (columns.argmin(), columns.argmax())
        ]
    else:
        row = int(generator.integers(height // 4, 3 * height // 4))
        middle = int(generator.integers(width // 3, 2 * width // 3))
        ends = [(row, middle - width // 8), (row, middle + width // 8)]
    for y, x in ends:
        pixels[max(0, y - arm) : y + arm + 1, x] = 1
        pixels[y, max(0, x - arm) : x + arm + 1] = 1
    (y0, x0), (y1, x1) = ends
    for t in np.linspace(0, 1, max(2, abs(x1 - x0) // (2 * arm))):
        pixels[round(y0 + t * (y1 - y0)), round(x0 + t * (x1 - x0))] = 1
    return pixels, mask


PERTURBATIONS = (
    Perturbation("gain down", "intensities times 0.7", _pointwise(lambda x: x * 0.7)),
    Perturbation("gain up", "intensities times 1.4", _pointwise(lambda x: x * 1.4)),
    Perturbation("contrast down", "exponent 0.7", _pointwise(lambda x: x**0.7)),
    Perturbation("contrast up", "exponent 1.4", _pointwise(lambda x: x**1.4)),
    Perturbation("blur", "Gaussian, 0.6 % of the longer side", _with_pillow(_blur)),
    Perturbation("speckle", "multiplicative noise of deviation 0.25", _speckle),
    Perturbation("JPEG", "quality 25", _with_pillow(_jpeg)),
    Perturbation("half size", "shrunk to 1/2 and back", _with_pillow(_rescaled(0.5))),
    Perturbation(
        "quarter size", "shrunk to 1/4 and back", _with_pillow(_rescaled(0.25))
    ),
    Perturbation("double size", "enlarged to 2 and back", _with_pillow(_rescaled(2))),
    Perturbation("flip", "left and right exchanged", _flip),
    Perturbation("crop", "1/16 cut off at each side", _crop),
    Perturbation("shadow", "a sixth of the width darkened to 1/4", _shadow),
    Perturbation("calipers", "two crosses and a dotted line", _calipers),
)
