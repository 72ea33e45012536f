"""How images are brought to the network's square, and maps of it back to them."""

from __future__ import annotations

import dataclasses
from typing import Literal, Protocol, TypeAlias

from busnet.images.centre_crop import CentreCrop
from busnet.images.letterbox import Letterbox
from busnet.images.picture import FloatArray
from busnet.images.resampling import Interpolation

__all__ = ["Placement", "Preprocessing", "Resize"]

#: ``"letterbox"``; or what images are resized to before their middle is cut out: their
#: shorter side, or (height, width).
Resize: TypeAlias = Literal["letterbox"] | int | tuple[int, int]


class Placement(Protocol):
    """Where an image of (height, width) and a square of ``size`` pixels meet."""

    @property
    def height(self) -> int:
        """Height of the image."""

    @property
    def width(self) -> int:
        """Width of the image."""

    @property
    def size(self) -> int:
        """Side of the square."""

    def apply(self, pixels: FloatArray, out: FloatArray | None = None) -> FloatArray:
        """Bring an image (height, width[, 3]) into the square.

        ``out``, of zeros, is what to write to; a new array by default.
        """

    def restore(self, plane: FloatArray) -> FloatArray:
        """Bring a map of the square back to (height, width).

        Pixels that the square does not show are NaN.
        """


@dataclasses.dataclass(frozen=True)
class Preprocessing:
    """How a model sees images.

    Attributes
    ----------
    size
        Side of the network's square, pixels.
    resize
        ``"letterbox"``: the whole image, its aspect kept, with black borders. A number:
        the shorter side is resized to it, and the middle is cut out. (height, width):
        the image is resized to it, its aspect not kept, and the middle is cut out.
    interpolation
        ``"bilinear"`` or ``"bicubic"``; filtered where it shrinks (antialiasing).
    """

    size: int
    resize: Resize = "letterbox"
    interpolation: Interpolation = "bilinear"

    @property
    def shows_all(self) -> bool:
        """Whether the square shows all of an image of any size."""
        return self.resize in ("letterbox", (self.size, self.size))

    def place(self, height: int, width: int) -> Placement:
        """Return where an image of (height, width) and the square meet."""
        if self.resize == "letterbox":
            return Letterbox(height, width, self.size)
        return CentreCrop(height, width, self.size, self.resize, self.interpolation)

    def __str__(self) -> str:
        """Return the steps in words."""
        if self.resize == "letterbox":
            return f"letterbox to {self.size}"
        if isinstance(self.resize, int):
            first = f"shorter side to {self.resize}"
        else:
            first = "resize to {} x {}".format(*self.resize)
        crop = "" if self.shows_all else f", centre crop of {self.size}"
        return f"{first} ({self.interpolation}){crop}"
