"""The operators that networks are built from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeVar

__all__ = ["LESION_EPSILON", "Graph"]

V = TypeVar("V")

#: What is added to the sum of the weights of a lesion pooling, so that an image without
#: any lesion divides by something.
LESION_EPSILON = 1e-3


class Graph(Protocol[V]):
    """The operators that a network is built from.

    ``V`` is whatever the graph calls a value: an index, an array, a shape. Values are
    feature maps (N, C, H, W) by meaning; their memory layout is the graph's business.
    """

    def input(self, channels: int, mean: Sequence[float], std: Sequence[float]) -> V:
        """Declare the image, in 0..1 and normalised by ``(x - mean) / std``."""

    def conv(
        self,
        src: V,
        name: str,
        channels: int,
        kernel: int,
        *,
        stride: int = 1,
        padding: int = 0,
        norm: str = "",
        bias: bool = False,
        add: V | None = None,
        relu: bool = False,
    ) -> V:
        """Convolve, then batch-normalise, add a map of the same shape, and rectify."""

    def max_pool(
        self, src: V, kernel: int, stride: int, *, padding: int = 0, ceil: bool = False
    ) -> V:
        """Take the maximum of each window; ``ceil`` lets the last one overhang."""

    def mean_pool(self, src: V) -> V:
        """Average over height and width."""

    def lesion_pool(self, src: V, logits: V) -> V:
        """Average over the lesion, and measure it: (N, C + 2, 1, 1).

        ``logits`` (N, 1, H', W') are lesion logits of any size. Their probabilities,
        averaged onto the (H, W) of ``src`` by adaptive average pooling (bin i of H
        covers rows floor(i H' / H) to ceil((i + 1) H' / H)), are weights w. The first C
        values are ``sum(w * src) / (sum(w) + LESION_EPSILON)`` over height and width,
        the next is the maximum of w, the last the square root of its mean. In training
        no gradient flows into ``logits``.
        """

    def linear(self, src: V, name: str, features: int, *, add: V | None = None) -> V:
        """Apply a fully connected layer with bias, and add a value of its shape."""

    def resize(self, src: V, like: V, *, mode: str = "bilinear") -> V:
        """Resample to the height and width of ``like``, pixel centres at halves."""

    def output(self, src: V, name: str) -> None:
        """Make a value a result of the network."""
