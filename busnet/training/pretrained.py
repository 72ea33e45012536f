"""Where training starts: partial ImageNet weights, made to fit any network.

The files and what is missing from them are described by their own metadata: a
ResNet-152 without most of its last stage, and a ResNet-18 with batch norms folded in
and without its last 3x3 convolutions. A smaller bottleneck network takes an even
spread of ResNet-152's blocks; ResNet-34 takes ResNet-18's blocks and starts the others
as identities. What no file has starts at random, with the last batch norm of its block
at zero, so that the block passes its input on.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from busnet.errors import WeightsError
from busnet.networks import IMAGENET_STD, Network
from busnet.training.graph import TorchGraph

__all__ = [
    "FILES",
    "initialise",
    "is_fresh_in_part",
    "re_estimate_norms",
    "zero_last_norms",
]

#: The file of each kind of blocks.
FILES = {
    "bottleneck": "resnet152_imagenet_partial.safetensors",
    "basic": "resnet18_imagenet_partial.safetensors",
}
_SOURCE_DEPTHS = {"bottleneck": (3, 8, 36, 3), "basic": (2, 2, 2, 2)}

#: Layers that start at random after ImageNet weights.
_FRESH = ("layer4.", "fc.", "lesion_fc.", "decoder.")

_BLOCK = re.compile(r"layer([1-4])\.(\d+)\.(.+)")


def is_fresh_in_part(name: str) -> bool:
    """Tell whether an array starts at random beside partial ImageNet weights."""
    return name.startswith(_FRESH) or ".shortcut." in name


def zero_last_norms(graph: TorchGraph, network: Network, stages: str = "4") -> None:
    """Set the scale of each block's last batch norm to zero, likewise of shortcuts."""
    last = "bn3" if network.block == "bottleneck" else "bn2"
    pattern = re.compile(rf"layer[{stages}]\.\d+\.{last}|layer\d\.shortcut\.1")
    for name, layer in graph.named_modules():
        if pattern.fullmatch(name):
            nn.init.zeros_(layer.weight)


def initialise(
    graph: TorchGraph, network: Network, folder: str | os.PathLike[str]
) -> list[str]:
    """Load ImageNet weights as far as they go; return the names of loaded arrays.

    Parameters
    ----------
    graph
        The module of ``network``; its arrays are changed in place.
    network
        The row that it was built from.
    folder
        Folder of the weights files.

    Raises
    ------
    WeightsError
        If the file is missing or an array in it has another shape.
    """
    path = Path(folder) / FILES[network.block]
    try:
        source = load_file(path)
    except (OSError, SafetensorError) as error:
        raise WeightsError(f"{path}: cannot be read: {error}") from error
    zero_last_norms(graph, network)
    loaded = []
    with torch.no_grad():
        for name, target in graph.state_dict().items():
            origin = _origin(name, network)
            array = _array(source, origin) if origin else None
            if array is None:
                continue
            if name == "conv1.weight" and network.channels == 1:
                std = torch.tensor(IMAGENET_STD).view(1, 3, 1, 1)
                array = (array / std).sum(1, keepdim=True) * std.mean()
            if array.shape != target.shape:
                raise WeightsError(
                    f"{path}: {origin} is {tuple(array.shape)}, "
                    f"{name} needs {tuple(target.shape)}"
                )
            target.copy_(array)
            loaded.append(name)
        _zero_extra_blocks(graph, network)
    return loaded


def _origin(name: str, network: Network) -> str | None:
    """Name of the array of the source network that ``name`` is taken from."""
    match = _BLOCK.fullmatch(name)
    if match is None:
        return name if name.startswith(("conv1.", "bn1.")) else None
    stage, block, rest = int(match[1]), int(match[2]), match[3]
    # The last stage of the bottleneck file has norms without their convolutions.
    if stage == 4 and network.block == "bottleneck":
        return None
    have, want = _SOURCE_DEPTHS[network.block][stage - 1], network.depths[stage - 1]
    if have > want:  # an even spread, the first and the last block among it
        block = round(block * (have - 1) / (want - 1))
    elif block >= have:
        return None
    return f"layer{stage}.{block}.{rest}"


def _array(source: dict[str, Tensor], name: str) -> Tensor | None:
    """Return an array of the source; of a folded norm only the shift is left.

    A norm whose convolution the file lacks is of no use without it.
    """
    if name in source:
        return source[name].float()
    layer, part = name.rsplit(".", 1)
    conv = re.sub(r"bn(\d)$", r"conv\1", layer).replace("downsample.1", "downsample.0")
    shift = source.get(f"{conv}.bias")
    if shift is None or conv == layer or f"{conv}.weight" not in source:
        return None
    shift = shift.float()
    return {
        "weight": torch.ones_like(shift),
        "bias": shift,
        "running_mean": torch.zeros_like(shift),
        "running_var": torch.ones_like(shift),
    }.get(part)


def _zero_extra_blocks(graph: TorchGraph, network: Network) -> None:
    depths = zip(network.depths, _SOURCE_DEPTHS[network.block], strict=True)
    for stage, (want, have) in enumerate(depths, 1):
        for block in range(have, want):
            nn.init.zeros_(graph.get_parameter(f"layer{stage}.{block}.bn2.weight"))


@torch.no_grad()
def re_estimate_norms(
    graph: TorchGraph,
    batches: list[Tensor],
    *,
    keep_function: bool,
    names: Collection[str] | None = None,
) -> None:
    """Measure the batch-norm statistics anew on images (N, C, H, W) in 0..1.

    ``keep_function`` moves scale and shift along, so that the network in evaluation
    computes what it did before: right for weights whose norms came folded, which have
    no statistics. ``names`` are the norms that are measured; by default all.
    """
    graph.eval()
    norms = [
        layer
        for name, layer in graph.named_modules()
        if isinstance(layer, nn.BatchNorm2d) and (names is None or name in names)
    ]
    before = [_statistics(norm) for norm in norms]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None
        norm.train()
    for batch in batches:
        graph(batch)
    for norm, momentum, (old_mean, old_var) in zip(norms, momenta, before, strict=True):
        norm.momentum = momentum
        if keep_function:
            mean, var = _statistics(norm)
            scale = norm.weight / (old_var + norm.eps).sqrt()
            norm.bias.add_(scale * (mean - old_mean))
            norm.weight.copy_(scale * (var + norm.eps).sqrt())


def _statistics(norm: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    """Return copies of the running mean and variance."""
    arrays = norm.state_dict()
    return arrays["running_mean"].clone(), arrays["running_var"].clone()
