"""The PyTorch graph: a network's description as a trainable module."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from busnet.model_info import ModelInfo
from busnet.networks import LESION_EPSILON, Network, build

__all__ = ["TorchGraph", "from_arrays", "load_arrays", "module"]

#: A step finds its layers in the module that runs it, so that copies of a module
#: compute with their own.
_Step = Callable[["TorchGraph", list[Tensor]], Tensor]


class TorchGraph(nn.Module):
    """A :class:`busnet.networks.Graph` whose values are indices of recorded steps.

    Its state dict has torchvision's keys. Called with images (N, C, H, W) in 0..1 it
    returns its outputs by name: ``"class"`` (N, classes), ``"mask"`` (N, 1, H, W).
    """

    mean: Tensor
    std: Tensor

    def __init__(self) -> None:
        super().__init__()
        self._steps: list[_Step] = []
        self._channels: list[int] = []
        self._outputs: dict[str, int] = {}

    def _record(self, channels: int, step: _Step) -> int:
        self._steps.append(step)
        self._channels.append(channels)
        return len(self._steps) - 1

    def _register(self, name: str, layer: nn.Module) -> None:
        parent: nn.Module = self
        *path, leaf = name.split(".")
        for part in path:
            if not hasattr(parent, part):
                parent.add_module(part, nn.Module())
            parent = getattr(parent, part)
        parent.add_module(leaf, layer)

    def input(self, channels: int, mean: Sequence[float], std: Sequence[float]) -> int:
        """See :class:`busnet.networks.Graph`."""
        shape = (1, channels, 1, 1)
        self.register_buffer("mean", torch.tensor(mean).view(shape), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(shape), persistent=False)
        return self._record(channels, lambda g, v: (v[-1] - g.mean) / g.std)

    def conv(
        self,
        src: int,
        name: str,
        channels: int,
        kernel: int,
        *,
        stride: int = 1,
        padding: int = 0,
        norm: str = "",
        bias: bool = False,
        add: int | None = None,
        relu: bool = False,
    ) -> int:
        """See :class:`busnet.networks.Graph`."""
        conv = nn.Conv2d(
            self._channels[src], channels, kernel, stride, padding, bias=bias
        )
        nn.init.kaiming_normal_(conv.weight, mode="fan_out", nonlinearity="relu")
        self._register(name, conv)
        if norm:
            self._register(norm, nn.BatchNorm2d(channels))

        def step(graph: TorchGraph, values: list[Tensor]) -> Tensor:
            y = graph.get_submodule(name)(values[src])
            if norm:
                y = graph.get_submodule(norm)(y)
            if add is not None:
                y = y + values[add]
            return functional.relu(y, inplace=True) if relu else y

        return self._record(channels, step)

    def max_pool(
        self,
        src: int,
        kernel: int,
        stride: int,
        *,
        padding: int = 0,
        ceil: bool = False,
    ) -> int:
        """See :class:`busnet.networks.Graph`."""
        pool = nn.MaxPool2d(kernel, stride, padding, ceil_mode=ceil)
        return self._record(self._channels[src], lambda _, v: pool(v[src]))

    def mean_pool(self, src: int) -> int:
        """See :class:`busnet.networks.Graph`."""
        return self._record(self._channels[src], lambda _, v: v[src].mean((2, 3)))

    def lesion_pool(self, src: int, logits: int) -> int:
        """See :class:`busnet.networks.Graph`."""

        def step(_: TorchGraph, values: list[Tensor]) -> Tensor:
            x, lesion = values[src], values[logits].detach().float().sigmoid()
            # In float32 under autocast, too: sums over places lose digits in 16 bits.
            w = functional.adaptive_avg_pool2d(lesion, (x.shape[2], x.shape[3]))
            mean = (w * x.float()).sum((2, 3)) / (w.sum((2, 3)) + LESION_EPSILON)
            return torch.cat([mean, w.amax((2, 3)), w.mean((2, 3)).sqrt()], 1)

        return self._record(self._channels[src] + 2, step)

    def linear(
        self, src: int, name: str, features: int, *, add: int | None = None
    ) -> int:
        """See :class:`busnet.networks.Graph`."""
        self._register(name, nn.Linear(self._channels[src], features))

        def step(graph: TorchGraph, values: list[Tensor]) -> Tensor:
            y: Tensor = graph.get_submodule(name)(values[src])
            return y if add is None else y + values[add]

        return self._record(features, step)

    def resize(self, src: int, like: int, *, mode: str = "bilinear") -> int:
        """See :class:`busnet.networks.Graph`."""
        # PyTorch's plain "nearest" puts pixel centres at whole numbers.
        name, corners = (mode, False) if mode == "bilinear" else ("nearest-exact", None)

        def step(_: TorchGraph, values: list[Tensor]) -> Tensor:
            size = values[like].shape[2:]
            return functional.interpolate(
                values[src], size, mode=name, align_corners=corners
            )

        return self._record(self._channels[src], step)

    def output(self, src: int, name: str) -> None:
        """See :class:`busnet.networks.Graph`."""
        self._outputs[name] = src

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Compute all outputs for images (N, C, H, W) in 0..1."""
        values: list[Tensor] = [self._steps[0](self, [images])]
        for step in self._steps[1:]:
            values.append(step(self, values))
        return {name: values[index] for name, index in self._outputs.items()}


def module(
    network: Network,
    *,
    classes: int = 3,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
) -> TorchGraph:
    """Return ``network`` as a PyTorch module with fresh weights."""
    graph = TorchGraph()
    build(network, graph, classes=classes, mean=mean, std=std)
    return graph


def load_arrays(
    graph: TorchGraph, arrays: Mapping[str, npt.NDArray[np.float32]]
) -> None:
    """Copy a weights file's arrays into a module of the same network."""
    state = {name: torch.from_numpy(array) for name, array in arrays.items()}
    for name, value in graph.state_dict().items():  # counters, which no file holds
        state.setdefault(name, value)
    graph.load_state_dict(state)


def from_arrays(
    info: ModelInfo, arrays: Mapping[str, npt.NDArray[np.float32]]
) -> TorchGraph:
    """Return a model's network with its weights, in evaluation mode."""
    graph = module(
        info.network, classes=len(info.classes), mean=info.mean, std=info.std
    )
    load_arrays(graph, arrays)
    return graph.eval()
