"""Which network a state dict is of, by the names and shapes of its arrays."""

from __future__ import annotations

import math
import re

import numpy as np

from busnet.errors import UnknownNetworkError, WeightsError
from busnet.networks import (
    NETWORKS,
    STAGES,
    Counter,
    Head,
    Network,
    Variant,
    build,
    get_network,
)
from busnet.state_dicts.files import ANCHOR
from busnet.state_dicts.keys import HEAD, StateDict

__all__ = ["check_arrays", "recognise", "recognise_blocks"]

#: Keys that give an architecture away: pattern, what it is, and why it is refused.
_ARCHITECTURES = (
    (
        r"conv1\.0\.weight",
        "a ResNet-C, -D or -S",
        "its stem is several convolutions",
    ),
    (
        r"layer\d\.\d+\.downsample\.[12]\.weight#4",
        "a ResNet-D",
        "its shortcuts average before they project",
    ),
    (
        r"layer\d\.\d+\.(se|se_module|attn|eca|ca|sa)\..*",
        "an SE network",
        "its blocks weigh their channels",
    ),
    (
        r"layer\d\.\d+\.convs\.\d+\.weight",
        "a Res2Net",
        "its blocks divide their channels",
    ),
    (
        r"layer\d\.\d+\.conv2\.conv\.weight",
        "a ResNeSt",
        "its blocks split their attention",
    ),
    (
        r"(.*\.)?stages\.\d\.blocks\.\d+\.conv1\.weight|(.*\.)?root\.conv\.weight|"
        r"(.*\.)?block\d\.unit\d+\..*",
        "a pre-activation ResNet (ResNetV2, BiT)",
        "its blocks normalise before they convolve",
    ),
)

#: Widths of the four stages.
_WIDTHS = (64, 128, 256, 512)


def recognise(
    state: StateDict,
    *,
    network: str | None = None,
    variant: Variant | None = None,
    ceil_pool: bool | None = None,
) -> Network:
    """Return the network that a state dict is of.

    Parameters
    ----------
    state
        What :func:`busnet.state_dicts.normalise` returned.
    network
        Name of the row that it must be; by default any row of
        :data:`busnet.networks.NETWORKS`.
    variant
        ``"v1"`` or ``"v1.5"``, which no array shows; ``"v1.5"``, as torchvision and
        timm have it, where not given.
    ceil_pool
        See :class:`busnet.networks.Network`.

    Returns
    -------
    Network
        A row with the channels, heads, pooling and stage shortcuts of the arrays.

    Raises
    ------
    UnknownNetworkError
        If the state dict is of another architecture, or of another network than the
        one named.
    """
    row = None if network is None else get_network(network)
    block, depths = recognise_blocks(state)
    shortcuts = "layer1.shortcut.0.weight" in state.arrays
    if row is None:
        row = _find_row(state, block, depths, shortcuts)
    elif (row.block, row.depths) != (block, depths):
        raise UnknownNetworkError(
            f"{state.name}: {row.name} has {row.block} blocks {row.depths}, the arrays "
            f"are of {block} blocks {depths}"
        )
    stem = state.arrays.get("conv1.weight")
    if stem is None:
        raise WeightsError(f"{state.name}: {state.key('conv1.weight')} is missing")
    channels = stem.shape[1] if stem.ndim == 4 else 0
    if channels not in (1, 3):
        raise UnknownNetworkError(
            f"{state.name}: {state.key('conv1.weight')} is {stem.shape}; networks take "
            f"1 or 3 channels, (64, 1, 7, 7) or (64, 3, 7, 7)"
        )
    return get_network(
        row.name,
        channels=channels,
        heads=_heads(state),
        stage_shortcuts=shortcuts,
        pooling="lesion" if "lesion_fc.weight" in state.arrays else "mean",
        variant=variant if variant is not None else row.variant,
        ceil_pool=ceil_pool,
    )


def recognise_blocks(state: StateDict) -> tuple[str, tuple[int, ...]]:
    """Return the kind of a ResNet's blocks, and how many of them each stage has.

    Raises
    ------
    UnknownNetworkError
        If the state dict is of another architecture.
    """
    _refuse_architectures(state)
    _refuse_variants(state)
    block = "bottleneck" if "layer1.0.conv3.weight" in state.arrays else "basic"
    return block, tuple(_depth(state, stage) for stage in STAGES)


def check_arrays(state: StateDict, network: Network, classes: int) -> None:
    """Check that the arrays are those of a network.

    Raises
    ------
    WeightsError
        If one is missing, extra, mis-shaped or not finite.
    """
    counter = Counter()
    build(network, counter, classes=classes)
    for name, shape in counter.arrays.items():
        if name not in state.arrays:
            raise WeightsError(
                f"{state.name}: {state.key(name)} is missing; {network.name} needs it, "
                f"{shape}"
            )
        array = state.arrays[name]
        if array.shape != shape:
            raise WeightsError(
                f"{state.name}: {state.key(name)} is {array.shape}, {network.name} "
                f"needs {shape}"
            )
        if name.endswith("running_var") and array.min() < 0:
            raise WeightsError(
                f"{state.name}: {state.key(name)} holds a negative variance"
            )
        # A sum is finite unless a number is not, and needs no array of its size.
        with np.errstate(invalid="ignore"):
            total = float(array.sum(dtype=float))
        if not math.isfinite(total):
            raise WeightsError(
                f"{state.name}: {state.key(name)} holds numbers that are not finite"
            )
    extra = [name for name in state.arrays if name not in counter.arrays]
    if extra:
        more = f" (and {len(extra) - 1} more)" if len(extra) > 1 else ""
        raise WeightsError(
            f"{state.name}: {state.key(extra[0])} {state.arrays[extra[0]].shape} is no "
            f"array of {network.name}{more}"
        )


def _heads(state: StateDict) -> tuple[Head, ...]:
    heads: list[Head] = []
    if f"{HEAD}.weight" in state.arrays:
        heads.append("class")
    if "decoder.logit.weight" in state.arrays:
        heads.append("mask")
    if not heads:
        raise WeightsError(f"{state.name}: there is no head, a linear layer {HEAD!r}")
    return tuple(heads)


def _refuse_architectures(state: StateDict) -> None:
    """Refuse architectures whose keys give them away."""
    for pattern, what, why in _ARCHITECTURES:
        regex, _, rank = pattern.partition("#")
        for name, array in state.arrays.items():
            if re.fullmatch(regex, name) and (not rank or array.ndim == int(rank)):
                raise UnknownNetworkError(
                    f"{state.name}: it is {what}, which busnet does not have: {why} "
                    f"({state.key(name)} {array.shape})"
                )
    if ANCHOR not in state.arrays:
        keys = ", ".join(list(state.arrays)[:3]) or "none"
        raise UnknownNetworkError(
            f"{state.name}: it is no ResNet: there is no {ANCHOR}; the first keys are "
            f"{keys}"
        )


def _depth(state: StateDict, stage: str) -> int:
    """Return how many blocks a stage has."""
    number = 0
    while f"{stage}.{number}.conv1.weight" in state.arrays:
        number += 1
    return number


def _refuse_variants(state: StateDict) -> None:
    """Refuse ResNets whose layers have other shapes, or whose norms are others."""
    for stage, width in zip(STAGES, _WIDTHS, strict=True):
        first, second = (
            state.arrays.get(f"{stage}.0.{layer}.weight")
            for layer in ("conv1", "conv2")
        )
        if first is None or second is None:
            continue
        if first.ndim != 4 or second.ndim != 4:
            raise UnknownNetworkError(
                f"{state.name}: {state.key(f'{stage}.0.conv1.weight')} is "
                f"{first.shape}; convolutions have rank 4"
            )
        key = state.key(f"{stage}.0.conv2.weight")
        if second.shape[1] < first.shape[0] == second.shape[0]:
            groups = first.shape[0] // max(second.shape[1], 1)
            raise UnknownNetworkError(
                f"{state.name}: it is a ResNeXt, which busnet does not have: its 3x3 "
                f"convolutions have {groups} groups ({key} {second.shape})"
            )
        if first.shape[0] != width:
            kind = "Wide ResNet" if first.shape[0] > width else "narrow ResNet"
            raise UnknownNetworkError(
                f"{state.name}: it is a {kind}, which busnet does not have: {stage} is "
                f"{first.shape[0]} channels wide, not {width} "
                f"({state.key(f'{stage}.0.conv1.weight')} {first.shape})"
            )
    if "bn1.weight" in state.arrays and "bn1.running_mean" not in state.arrays:
        raise UnknownNetworkError(
            f"{state.name}: its norms have no running statistics "
            f"({state.key('bn1.running_mean')} is missing): batch norms have, group "
            f"norms do not"
        )
    entry = state.arrays.get("layer2.0.bn1.weight")
    expected = (_WIDTHS[1],)
    if entry is not None and entry.shape != expected:
        raise UnknownNetworkError(
            f"{state.name}: it is a pre-activation ResNet, which busnet does not have: "
            f"its blocks normalise before they convolve "
            f"({state.key('layer2.0.bn1.weight')} {entry.shape}, not {expected})"
        )


def _find_row(
    state: StateDict, block: str, depths: tuple[int, ...], shortcuts: bool
) -> Network:
    """Return the row of the table with these blocks; one with shortcuts, if any has."""
    rows = [
        row for row in NETWORKS.values() if (row.block, row.depths) == (block, depths)
    ]
    if not rows:
        known = ", ".join(f"{row.name} {row.depths}" for row in NETWORKS.values())
        raise UnknownNetworkError(
            f"{state.name}: no network has {block} blocks {depths}; there are {known}"
        )
    return next((row for row in rows if row.stage_shortcuts == shortcuts), rows[0])
