"""Which network a state dict is of, by names and shapes alone."""

import numpy as np
import pytest

from busnet.errors import UnknownNetworkError
from busnet.networks import NETWORKS, Counter, build, get_network
from busnet.state_dicts import normalise, recognise


def empty_arrays(row, classes=3):
    """Return arrays of the right shapes that take no memory."""
    counter = Counter()
    build(row, counter, classes=classes)
    zero = np.zeros(1, np.float32)
    return {n: np.broadcast_to(zero, s) for n, s in counter.arrays.items()}


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("heads", [("class",), ("mask",), ("class", "mask")])
@pytest.mark.parametrize("name", NETWORKS)
def test_every_row_is_recognised(name, heads, channels):
    row = get_network(name, heads=heads, channels=channels)
    state = normalise(empty_arrays(row), "w")
    assert recognise(state) == row
    assert recognise(state, network=name) == row
    assert recognise(state, variant="v1").variant == "v1"


@pytest.mark.parametrize("prefix", ["module.", "model.net.", "encoder."])
def test_prefixes_are_part_of_messages(prefix):
    row = get_network("resnet50", heads=("class",))
    arrays = {prefix + name: a for name, a in empty_arrays(row).items()}
    state = normalise(arrays, "w")
    assert recognise(state) == row
    assert state.key("conv1.weight") == f"{prefix}conv1.weight"
    assert state.key("fc.bias") == f"{prefix}fc.bias"


@pytest.mark.parametrize(
    ("keys", "match"),
    [
        (
            ["patch_embed.proj.weight", "cls_token"],
            "no ResNet.*patch_embed.proj.weight",
        ),
        (["features.0.weight", "classifier.1.weight"], "no ResNet"),
        (["stages.0.blocks.0.conv1.weight"], "pre-activation"),
        (["root.conv.weight", "block1.unit01.conv1.weight"], "pre-activation"),
        (["layer1.0.convs.0.weight"], "Res2Net"),
        ([], "the first keys are none"),
    ],
)
def test_other_architectures_are_refused(keys, match):
    arrays = {key: np.zeros((64, 64, 1, 1), np.float32) for key in keys}
    with pytest.raises(UnknownNetworkError, match=match):
        recognise(normalise(arrays, "w"))


def test_pre_activation_by_its_shapes():
    arrays = empty_arrays(get_network("resnet18", heads=("class",)))
    arrays["layer2.0.bn1.weight"] = np.zeros(64, np.float32)
    with pytest.raises(UnknownNetworkError, match=r"pre-activation.*\(64,\), not"):
        recognise(normalise(arrays, "w"))


def test_convolutions_of_three_dimensions_are_refused():
    arrays = empty_arrays(get_network("resnet18", heads=("class",)))
    arrays["layer1.0.conv1.weight"] = np.zeros((64, 64, 3, 3, 3), np.float32)
    with pytest.raises(UnknownNetworkError, match="rank 4"):
        recognise(normalise(arrays, "w"))
