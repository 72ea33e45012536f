"""The engine against PyTorch, live: the same weights, every network, both heads."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from random_weights import random_arrays, random_images

from busnet import _core
from busnet.networks import NETWORKS, build, network
from busnet.training.graph import module

SIZES = ((224, 224), (256, 256), (200, 312))


def both(row, seed=0):
    """Return the same random network as a PyTorch module and as engine weights."""
    arrays = random_arrays(row, seed=seed)
    graph = module(row).eval()
    missing, extra = graph.load_state_dict(
        {name: torch.from_numpy(array) for name, array in arrays.items()}, strict=False
    )
    assert extra == []
    assert all(name.endswith("num_batches_tracked") for name in missing)
    core = _core.Graph()
    build(row, core, classes=3)
    weights = _core.Weights(core, threads=2)
    for name, array in arrays.items():
        weights.set(name, array)
    weights.finish()
    return graph, weights


def assert_parity(row, graph, weights, shape):
    images = random_images((*shape, row.channels), seed=sum(shape))
    with torch.no_grad():
        expected = graph(torch.from_numpy(images.transpose(0, 3, 1, 2).copy()))
    got = _core.Plan(weights, *shape, threads=2).run(images)
    for head in row.heads:
        e = expected[head].numpy()
        g = got[head].transpose(0, 3, 1, 2).reshape(e.shape)
        assert np.abs(g - e).max() <= 1e-3
        assert np.linalg.norm(g - e) <= 1e-5 * np.linalg.norm(e)


@pytest.mark.parametrize("name", NETWORKS)
def test_networks(name):
    row = NETWORKS[name]
    graph, weights = both(row)
    for batch in (1, 3):
        for size in SIZES:
            assert_parity(row, graph, weights, (batch, *size))


def test_the_v1_variant():
    row = network("resnet152", variant="v1")
    assert_parity(row, *both(row), (1, 224, 224))


@settings(max_examples=12, deadline=None)
@given(
    st.sampled_from(("resnet18", "resnet50")),
    st.sampled_from(("v1", "v1.5")),
    st.booleans(),
    st.sampled_from((1, 3)),
    st.integers(33, 130),
    st.integers(33, 130),
)
def test_rows_of_ones_own(name, variant, shortcuts, channels, height, width):
    row = network(name, variant=variant, stage_shortcuts=shortcuts, channels=channels)
    assert_parity(row, *both(row), (2, height, width))


@pytest.mark.parametrize("mode", ["bilinear", "nearest"])
def test_resize_modes_are_the_engines(mode):
    from busnet.training.graph import TorchGraph

    images = random_images((2, 13, 29, 1))

    def describe(graph):
        image = graph.input(1, [0.0], [1.0])
        small = graph.conv(image, "thin", 1, 1, stride=3)
        graph.output(graph.resize(small, image, mode=mode), "y")

    graph = TorchGraph()
    describe(graph)
    torch.nn.init.ones_(graph.thin.weight)
    core = _core.Graph()
    describe(core)
    weights = _core.Weights(core)
    weights.set("thin.weight", np.ones((1, 1, 1, 1), np.float32))
    weights.finish()
    with torch.no_grad():
        expected = graph(torch.from_numpy(images.transpose(0, 3, 1, 2).copy()))["y"]
    got = _core.Plan(weights, 2, 13, 29).run(images)["y"]
    np.testing.assert_allclose(got[..., 0], expected[:, 0].numpy(), atol=1e-6)
