"""Naming a state dict's arrays as busnet does, whatever wraps the network.

torchvision and timm name the arrays of a ResNet alike, and busnet as they do. Wrappers
put a prefix before all of them (``module.``, ``model.``, ``backbone.``), and heads have
many names: a single linear layer behind the last stage is one, whatever it is called.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from busnet.errors import WeightsError
from busnet.state_dicts.files import ANCHOR, NUMBERED_ANCHOR, Arrays

__all__ = ["HEAD", "Layout", "StateDict", "normalise"]

#: The linear layer that gives the class logits.
HEAD = "fc"

#: What a network's own keys start with, apart from its head's.
_PARTS = ("conv1.", "bn1.", "maxpool", "layer", "decoder.", "lesion_fc.")

#: torchvision's children by their number.
_CHILDREN = {
    "0": "conv1",
    "1": "bn1",
    "3": "maxpool",
    "4": "layer1",
    "5": "layer2",
    "6": "layer3",
    "7": "layer4",
}


@dataclasses.dataclass(frozen=True)
class Layout:
    """How the keys of a state dict differ from busnet's.

    Attributes
    ----------
    prefix
        What stands before the network's keys, such as ``"module."``; often nothing.
    head
        What the linear layer is called, prefix and all, such as ``"model.fc.1"``; None
        where there is none.
    children
        Whether the layers have the numbers that they have among torchvision's children,
        as in ``nn.Sequential(*resnet.children())``: ``"4.0.conv1"`` is
        ``"layer1.0.conv1"``.
    """

    prefix: str = ""
    head: str | None = HEAD
    children: bool = False

    def __str__(self) -> str:
        """Return the layout in words."""
        prefix = f"prefix {self.prefix}" if self.prefix else "no prefix"
        head = "no head" if self.head is None else f"head {self.head}"
        return f"{prefix}, {head}{', numbered layers' if self.children else ''}"

    def key(self, name: str) -> str:
        """Return the key of an array or a layer of busnet's, or the key itself."""
        first, _, rest = name.partition(".")
        if first == HEAD:
            return name if self.head is None else f"{self.head}.{rest}"
        if not name.startswith(_PARTS):
            return name
        if self.children:
            number = next((n for n, part in _CHILDREN.items() if part == first), first)
            name = f"{number}.{rest}" if rest else number
        return self.prefix + name

    def name(self, key: str) -> str | None:
        """Return busnet's name of a key outside the head, None if it has none."""
        if not key.startswith(self.prefix):
            return None
        name = key.removeprefix(self.prefix)
        if self.children:
            number, _, rest = name.partition(".")
            name = f"{_CHILDREN.get(number, number)}.{rest}"
        return name if name.startswith(_PARTS) else None


@dataclasses.dataclass(frozen=True)
class StateDict:
    """The arrays of a network by busnet's names.

    Attributes
    ----------
    arrays
        float32 arrays by name. Those that no network has keep their keys.
    layout
        How the keys were.
    name
        What messages call it: the file's name, for example.
    """

    arrays: Arrays
    layout: Layout
    name: str

    def key(self, name: str) -> str:
        """Return the key that an array of busnet's had."""
        return self.layout.key(name)


def normalise(arrays: Arrays, name: str) -> StateDict:
    """Name the arrays of a state dict as busnet does.

    Parameters
    ----------
    arrays
        Arrays by key.
    name
        What messages call the state dict.

    Returns
    -------
    StateDict
        Of a network whose keys are not a ResNet's, the keys as they are, for
        :func:`busnet.state_dicts.recognise` to say so.

    Raises
    ------
    WeightsError
        If there are several networks, or several linear layers.
    """
    layouts = list(_find_layouts(arrays))
    if len(layouts) > 1:
        prefixes = " and ".join(repr(layout.prefix) for layout in layouts)
        raise WeightsError(
            f"{name}: it holds several networks, with the prefixes {prefixes}; save "
            f"the one that is meant alone"
        )
    if not layouts:
        return StateDict(arrays, Layout(head=None), name)
    (layout,) = layouts
    names = {key: layout.name(key) for key in arrays}
    others = {key: array for key, array in arrays.items() if names[key] is None}
    layout = dataclasses.replace(layout, head=_find_head(others, name))
    named: Arrays = {}
    for key, array in arrays.items():
        layer, _, part = key.rpartition(".")
        is_head = key in others and layer == layout.head
        named[f"{HEAD}.{part}" if is_head else names[key] or key] = array
    return StateDict(named, layout, name)


def _find_layouts(arrays: Arrays) -> Iterator[Layout]:
    """Yield the layout of each network that the keys show."""
    for key in arrays:
        for anchor, children in ((ANCHOR, False), (NUMBERED_ANCHOR, True)):
            if key == anchor or key.endswith(f".{anchor}"):
                prefix = key.removesuffix(anchor)
                if not children or f"{prefix}0.weight" in arrays:
                    yield Layout(prefix, None, children)


def _find_head(others: Arrays, name: str) -> str | None:
    """Return the layer among arrays outside the stages that is linear, if any."""
    layers = [
        key.removesuffix(".weight")
        for key, array in others.items()
        if key.endswith(".weight") and array.ndim == 2
    ]
    if len(layers) > 1:
        shapes = (
            f"{layer}.weight {others[f'{layer}.weight'].shape}" for layer in layers
        )
        raise WeightsError(
            f"{name}: its head has several linear layers, {', '.join(shapes)}; "
            f"networks here have one"
        )
    return layers[0] if layers else None
