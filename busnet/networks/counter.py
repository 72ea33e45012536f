"""Counting: what a network's layers hold and cost, from its description alone."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TypeAlias

__all__ = ["Counter", "Layer"]

#: (channels, height, width)
Shape: TypeAlias = tuple[int, int, int]


@dataclasses.dataclass(frozen=True)
class Layer:
    """One layer as :class:`Counter` saw it.

    Attributes
    ----------
    name
        Name of the layer's parameters; the operator's name where it has none.
    operator
        ``"conv"``, ``"linear"``, ``"max_pool"``, ``"mean_pool"``, ``"lesion_pool"`` or
        ``"resize"``.
    shape
        (channels, height, width) of what it computes.
    parameters
        Trainable numbers: weights, biases, and the scales and shifts of batch norms.
    macs
        Multiply-accumulate operations of convolutions and linear layers.
    """

    name: str
    operator: str
    shape: Shape
    parameters: int
    macs: int


class Counter:
    """A graph whose values are shapes: it computes nothing and adds up everything.

    Parameters
    ----------
    height, width
        Size of the image.

    Attributes
    ----------
    layers
        The :class:`Layer` s in the order in which they were appended.
    arrays
        Name and shape of every array that a weights file of this network holds.
    """

    def __init__(self, height: int = 224, width: int = 224) -> None:
        self._size = (height, width)
        self.layers: list[Layer] = []
        self.arrays: dict[str, tuple[int, ...]] = {}

    @property
    def parameters(self) -> int:
        """Trainable numbers of all layers."""
        return sum(layer.parameters for layer in self.layers)

    @property
    def macs(self) -> int:
        """Multiply-accumulate operations of all layers, for one image."""
        return sum(layer.macs for layer in self.layers)

    def _append(
        self,
        name: str,
        operator: str,
        shape: Shape,
        parameters: int = 0,
        macs: int = 0,
    ) -> Shape:
        self.layers.append(Layer(name, operator, shape, parameters, macs))
        return shape

    def input(
        self, channels: int, mean: Sequence[float], std: Sequence[float]
    ) -> Shape:
        """See :class:`busnet.networks.Graph`."""
        return (channels, *self._size)

    def conv(
        self,
        src: Shape,
        name: str,
        channels: int,
        kernel: int,
        *,
        stride: int = 1,
        padding: int = 0,
        norm: str = "",
        bias: bool = False,
        add: Shape | None = None,
        relu: bool = False,
    ) -> Shape:
        """See :class:`busnet.networks.Graph`."""
        height, width = ((s + 2 * padding - kernel) // stride + 1 for s in src[1:])
        weight = (channels, src[0], kernel, kernel)
        self.arrays[f"{name}.weight"] = weight
        parameters = channels * src[0] * kernel * kernel
        macs = parameters * height * width
        if bias:
            self.arrays[f"{name}.bias"] = (channels,)
            parameters += channels
        if norm:
            for part in ("weight", "bias", "running_mean", "running_var"):
                self.arrays[f"{norm}.{part}"] = (channels,)
            parameters += 2 * channels
        return self._append(name, "conv", (channels, height, width), parameters, macs)

    def max_pool(
        self,
        src: Shape,
        kernel: int,
        stride: int,
        *,
        padding: int = 0,
        ceil: bool = False,
    ) -> Shape:
        """See :class:`busnet.networks.Graph`."""
        extra = stride - 1 if ceil else 0
        height, width = (
            (s + 2 * padding - kernel + extra) // stride + 1 for s in src[1:]
        )
        return self._append("max_pool", "max_pool", (src[0], height, width))

    def mean_pool(self, src: Shape) -> Shape:
        """See :class:`busnet.networks.Graph`."""
        return self._append("mean_pool", "mean_pool", (src[0], 1, 1))

    def lesion_pool(self, src: Shape, logits: Shape) -> Shape:
        """See :class:`busnet.networks.Graph`."""
        return self._append("lesion_pool", "lesion_pool", (src[0] + 2, 1, 1))

    def linear(
        self,
        src: Shape,
        name: str,
        features: int,
        *,
        add: Shape | None = None,
    ) -> Shape:
        """See :class:`busnet.networks.Graph`."""
        inputs = src[0] * src[1] * src[2]
        self.arrays[f"{name}.weight"] = (features, inputs)
        self.arrays[f"{name}.bias"] = (features,)
        macs = features * inputs
        return self._append(name, "linear", (features, 1, 1), macs + features, macs)

    def resize(
        self,
        src: Shape,
        like: Shape,
        *,
        mode: str = "bilinear",
    ) -> Shape:
        """See :class:`busnet.networks.Graph`."""
        return self._append("resize", "resize", (src[0], like[1], like[2]))

    def output(self, src: Shape, name: str) -> None:
        """See :class:`busnet.networks.Graph`."""
