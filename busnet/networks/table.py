"""The table of networks: a row says what a network is."""

from __future__ import annotations

import dataclasses
from typing import Any, Literal

from busnet.errors import UnknownNetworkError

__all__ = [
    "HEADS",
    "IMAGENET_MEAN",
    "IMAGENET_STD",
    "NETWORKS",
    "POOLINGS",
    "STAGES",
    "Head",
    "Network",
    "get_network",
]

Head = Literal["class", "mask"]
HEADS: tuple[Head, ...] = ("class", "mask")
Variant = Literal["v1", "v1.5"]
VARIANTS: tuple[Variant, ...] = ("v1", "v1.5")
Pooling = Literal["mean", "lesion"]
POOLINGS: tuple[Pooling, ...] = ("mean", "lesion")

#: Names of the stages, whose activations are a network's features.
STAGES = ("layer1", "layer2", "layer3", "layer4")

#: Per-channel statistics of RGB images in 0..1 that ImageNet networks expect.
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


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
        ``"v1.5"`` strides in a bottleneck's 3x3 convolution, as torchvision does;
        ``"v1"`` in its first 1x1, as He et al. (2016) did.
    ceil_pool
        Whether the stem pools unpadded in ceil mode, as the networks of He et al. were
        released, and not padded, as PyTorch's do; None for what goes with the variant:
        ``"v1"`` pools in ceil mode.
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
    variant: Variant = "v1.5"
    stage_shortcuts: bool = False
    heads: tuple[Head, ...] = HEADS
    pooling: Pooling = "mean"
    ceil_pool: bool | None = None

    def __post_init__(self) -> None:
        """Refuse a row that no network can be built of."""
        if self.ceil_pool == (self.variant == "v1"):
            object.__setattr__(
                self, "ceil_pool", None
            )  # rows that are equal compare so
        if type(self.channels) is not int or self.channels not in (1, 3):
            raise UnknownNetworkError(
                f"network {self.name!r}: it takes 1 or 3 channels, not "
                f"{self.channels!r}"
            )
        for field in ("stage_shortcuts", "ceil_pool"):
            value = getattr(self, field)
            if value is not None and not isinstance(value, bool):
                raise UnknownNetworkError(
                    f"network {self.name!r}: {field} is true or false, not {value!r}"
                )
        if not self.heads or not set(self.heads) <= set(HEADS):
            raise UnknownNetworkError(
                f"network {self.name!r}: heads are {' and '.join(HEADS)}, "
                f"not {self.heads!r}"
            )
        if self.variant not in VARIANTS:
            raise UnknownNetworkError(
                f"network {self.name!r}: variant is {' or '.join(VARIANTS)}, "
                f"not {self.variant!r}"
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
    def pools_in_ceil_mode(self) -> bool:
        """Whether the stem pools unpadded in ceil mode."""
        return self.variant == "v1" if self.ceil_pool is None else self.ceil_pool

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
