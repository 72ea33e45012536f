"""The networks: one table of rows and the one builder that all graphs share.

A row says what a network is; :func:`build` says how such a row becomes layers. The
builder never learns which graph it drives: the C graph (``busnet._core.Graph``)
records nodes for the engine, the PyTorch graph of ``busnet.training`` becomes a
trainable module, :class:`busnet.counter.Counter` adds up parameters and
multiplications, and the tests compute with NumPy. Whatever one of them runs, the others
run too.

Layer and parameter names are torchvision's state-dict keys.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, Literal, Protocol, TypeVar

from busnet.errors import UnknownNetworkError

__all__ = [
    "COARSE_MASK",
    "HEADS",
    "IMAGENET_MEAN",
    "IMAGENET_STD",
    "LESION_EPSILON",
    "NETWORKS",
    "POOLINGS",
    "STAGES",
    "Graph",
    "Network",
    "build",
    "get_network",
]

V = TypeVar("V")

Head = Literal["class", "mask"]
HEADS: tuple[Head, ...] = ("class", "mask")
Pooling = Literal["mean", "lesion"]
POOLINGS: tuple[Pooling, ...] = ("mean", "lesion")

#: Names of the stages, whose maps are a network's features.
STAGES = ("layer1", "layer2", "layer3", "layer4")

#: Name of the lesion logits before they are resized to the image, where they are a
#: feature: networks whose class head looks at them.
COARSE_MASK = "coarse_mask"

#: What is added to the sum of the weights of a lesion pooling, so that an image without
#: any lesion divides by something.
LESION_EPSILON = 1e-3

#: Per-channel statistics of RGB images in 0..1 that ImageNet networks expect.
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

#: Width of the mask decoder's pyramid, and of its refinement at stride 2.
PYRAMID_CHANNELS = 128
REFINE_CHANNELS = 32


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


@dataclasses.dataclass(frozen=True)
class Network:
    """A row of the table of networks.

    Attributes
    ----------
    name
        Name of the row, such as ``"resnet50"``.
    block
        ``"basic"`` (two 3x3 convolutions) or ``"bottleneck"`` (1x1, 3x3, 1x1).
    depths
        Number of blocks in each of the four stages.
    channels
        Channels of the image: 1 for grey, 3 for RGB.
    variant
        ``"v1.5"`` strides in a bottleneck's 3x3 convolution and pads the stem's
        pooling, as torchvision does; ``"v1"`` strides in its first 1x1 and pools
        unpadded in ceil mode, as the networks of He et al. (2016) were released.
    stage_shortcuts
        Whether a projection of each stage's input joins the stage's last sum.
    heads
        Which of ``"class"`` and ``"mask"`` the network has.
    pooling
        What the class head averages over: ``"mean"`` over the whole image, or
        ``"lesion"`` over the whole image and, in a second linear layer, over the lesion
        that the mask head sees. The latter needs both heads.

    Raises
    ------
    UnknownNetworkError
        If no network can be built of these fields.
    """

    name: str
    block: Literal["basic", "bottleneck"]
    depths: tuple[int, int, int, int]
    channels: Literal[1, 3] = 3
    variant: Literal["v1", "v1.5"] = "v1.5"
    stage_shortcuts: bool = False
    heads: tuple[Head, ...] = HEADS
    pooling: Pooling = "mean"

    def __post_init__(self) -> None:
        """Refuse a row that no network can be built of."""
        if not self.heads or not set(self.heads) <= set(HEADS):
            raise UnknownNetworkError(
                f"network {self.name!r}: heads are {' and '.join(HEADS)}, "
                f"not {self.heads!r}"
            )
        if self.pooling not in POOLINGS:
            raise UnknownNetworkError(
                f"network {self.name!r}: pooling is {' or '.join(POOLINGS)}, "
                f"not {self.pooling!r}"
            )
        if self.pooling == "lesion" and set(self.heads) != set(HEADS):
            raise UnknownNetworkError(
                f"network {self.name!r}: pooling over the lesion needs the heads "
                f"{' and '.join(HEADS)}, but it has {' and '.join(self.heads)} alone"
            )

    @property
    def expansion(self) -> int:
        """Output channels of a block per unit of its width."""
        return 4 if self.block == "bottleneck" else 1

    @property
    def statistics(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Mean and std that images are normalised by where nothing else is given.

        ImageNet's, one a channel; their average for grey.
        """
        if self.channels == 1:
            return (sum(IMAGENET_MEAN) / 3,), (sum(IMAGENET_STD) / 3,)
        return IMAGENET_MEAN, IMAGENET_STD


NETWORKS: dict[str, Network] = {
    row.name: row
    for row in (
        Network("resnet18", "basic", (2, 2, 2, 2)),
        Network("resnet34", "basic", (3, 4, 6, 3)),
        Network("resnet50", "bottleneck", (3, 4, 6, 3)),
        Network("resnet101", "bottleneck", (3, 4, 23, 3)),
        Network("resnet152", "bottleneck", (3, 8, 36, 3)),
        Network(
            "mod_resnet101",
            "bottleneck",
            (3, 4, 23, 3),
            channels=1,
            stage_shortcuts=True,
        ),
    )
}


def get_network(name: str, **changes: Any) -> Network:
    """Return the row called ``name``, with the fields in ``changes`` replaced.

    Raises
    ------
    UnknownNetworkError
        If there is no such row, or no such field.
    """
    try:
        row = NETWORKS[name]
    except KeyError:
        known = ", ".join(NETWORKS)
        raise UnknownNetworkError(
            f"no network is called {name!r}; the networks are {known}"
        ) from None
    changes.setdefault("heads", row.heads)
    changes["heads"] = tuple(changes["heads"])
    try:
        return dataclasses.replace(row, **changes)
    except TypeError as error:
        raise UnknownNetworkError(f"network {name!r}: {error}") from None


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
    if network.variant == "v1":
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
