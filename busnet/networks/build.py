"""The builder: how a row of the table becomes layers.

It never learns which graph it drives: the C graph (``busnet._core.Graph``) records
nodes for the engine, the PyTorch graph of ``busnet.training`` becomes a trainable
module, :class:`busnet.networks.Counter` adds up parameters and multiplications, and the
tests compute with NumPy. Whatever one of them runs, the others run too.

Layer and parameter names are torchvision's state-dict keys.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from busnet.networks.graph import Graph
from busnet.networks.table import STAGES, Network

__all__ = ["COARSE_MASK", "build"]

V = TypeVar("V")

#: Name of the lesion logits before they are resized to the image, where they are a
#: feature: networks whose class head looks at them.
COARSE_MASK = "coarse_mask"

#: Width of the mask decoder's pyramid, and of its refinement at stride 2.
PYRAMID_CHANNELS = 128
REFINE_CHANNELS = 32


def build(
    network: Network,
    graph: Graph[V],
    *,
    classes: int = 1000,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    features: bool = False,
) -> None:
    """Append the layers of ``network`` to ``graph``.

    The results are called ``"class"``, logits (N, ``classes``), and ``"mask"``, lesion
    logits (N, 1, H, W) of the input's own height and width, as far as
    ``network.heads`` has them.

    Parameters
    ----------
    network
        A row of :data:`NETWORKS`, or one of your own.
    graph
        What receives the layers.
    classes
        Number of classes of the linear layer.
    mean, std
        Statistics that the image is normalised by, one a channel;
        ``network.statistics`` where not given.
    features
        Whether the maps of the four :data:`STAGES` are results too, by their names,
        and the :data:`COARSE_MASK` of a network that pools over the lesion.
    """
    default_mean, default_std = network.statistics
    mean, std = mean or default_mean, std or default_std
    image = graph.input(network.channels, mean, std)
    stem = graph.conv(image, "conv1", 64, 7, stride=2, padding=3, norm="bn1", relu=True)
    if network.pools_in_ceil_mode:
        x = graph.max_pool(stem, 3, 2, ceil=True)
    else:
        x = graph.max_pool(stem, 3, 2, padding=1)
    stages = []
    for index, depth in enumerate(network.depths):
        x = _stage(network, graph, x, index, depth)
        stages.append(x)
        if features:
            graph.output(x, STAGES[index])
    if network.pooling == "lesion":
        coarse = _decoder(graph, stem, stages)
        if features:
            graph.output(coarse, COARSE_MASK)
        logits = graph.linear(graph.mean_pool(x), "fc", classes)
        pooled = graph.lesion_pool(x, coarse)
        logits = graph.linear(pooled, "lesion_fc", classes, add=logits)
        graph.output(logits, "class")
        graph.output(graph.resize(coarse, image), "mask")
        return
    if "class" in network.heads:
        graph.output(graph.linear(graph.mean_pool(x), "fc", classes), "class")
    if "mask" in network.heads:
        graph.output(graph.resize(_decoder(graph, stem, stages), image), "mask")


def _stage(network: Network, graph: Graph[V], x: V, index: int, depth: int) -> V:
    """Append stage ``index`` (0 to 3), called layer1 to layer4."""
    width = 64 << index
    channels = width * network.expansion
    name = STAGES[index]
    entry, entry_stride = x, 1 if index == 0 else 2
    for i in range(depth):
        stride = entry_stride if i == 0 else 1
        identity, block = x, f"{name}.{i}"
        y = _block_inner(network, graph, x, block, width, stride)
        if i == 0 and (stride != 1 or network.block == "bottleneck"):
            identity = graph.conv(
                x,
                f"{block}.downsample.0",
                channels,
                1,
                stride=stride,
                norm=f"{block}.downsample.1",
            )
        if network.stage_shortcuts and i == depth - 1:
            identity = graph.conv(
                entry,
                f"{name}.shortcut.0",
                channels,
                1,
                stride=entry_stride,
                norm=f"{name}.shortcut.1",
                add=identity,
            )
        last = 3 if network.block == "bottleneck" else 2
        x = graph.conv(
            y,
            f"{block}.conv{last}",
            channels,
            1 if network.block == "bottleneck" else 3,
            padding=0 if network.block == "bottleneck" else 1,
            norm=f"{block}.bn{last}",
            add=identity,
            relu=True,
        )
    return x


def _block_inner(
    network: Network, graph: Graph[V], x: V, block: str, width: int, stride: int
) -> V:
    """Append a block's convolutions before its last one."""
    if network.block == "basic":
        return graph.conv(
            x,
            f"{block}.conv1",
            width,
            3,
            stride=stride,
            padding=1,
            norm=f"{block}.bn1",
            relu=True,
        )
    first, second = (stride, 1) if network.variant == "v1" else (1, stride)
    y = graph.conv(
        x, f"{block}.conv1", width, 1, stride=first, norm=f"{block}.bn1", relu=True
    )
    return graph.conv(
        y,
        f"{block}.conv2",
        width,
        3,
        stride=second,
        padding=1,
        norm=f"{block}.bn2",
        relu=True,
    )


def _decoder(graph: Graph[V], stem: V, stages: Sequence[V]) -> V:
    """Append the feature pyramid (Lin et al., CVPR 2017) that draws the mask.

    The logits are one channel before they are resized to the image: a 1x1 convolution
    commutes with bilinear resampling, and one plane costs less to resample than
    thirty-two.
    """

    def unit(
        src: V,
        name: str,
        channels: int,
        kernel: int,
        add: V | None = None,
        relu: bool = False,
    ) -> V:
        return graph.conv(
            src,
            f"decoder.{name}.conv",
            channels,
            kernel,
            padding=kernel // 2,
            norm=f"decoder.{name}.bn",
            add=add,
            relu=relu,
        )

    x = unit(stages[3], "lateral4", PYRAMID_CHANNELS, 1)
    for level in (3, 2, 1):
        stage = stages[level - 1]
        above = graph.resize(x, stage)
        x = unit(stage, f"lateral{level}", PYRAMID_CHANNELS, 1, above, relu=True)
        x = unit(x, f"smooth{level}", PYRAMID_CHANNELS, 3, relu=True)
    x = unit(x, "reduce", REFINE_CHANNELS, 1)
    above = graph.resize(x, stem)
    x = unit(stem, "lateral0", REFINE_CHANNELS, 1, above, relu=True)
    x = unit(x, "refine", REFINE_CHANNELS, 3, relu=True)
    return graph.conv(x, "decoder.logit", 1, 1, bias=True)
