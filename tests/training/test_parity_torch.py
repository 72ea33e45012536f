"""The engine against PyTorch: the same weights, every network, both heads."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy_graph import NumpyGraph
from random_weights import random_arrays, random_images

from busnet import _core
from busnet.inference.activation import class_activation, lesion_weights
from busnet.networks import NETWORKS, build, get_network
from busnet.training.graph import TorchGraph, module

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
    row = get_network("resnet152", variant="v1")
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
    row = get_network(
        name, variant=variant, stage_shortcuts=shortcuts, channels=channels
    )
    assert_parity(row, *both(row), (2, height, width))


def both_computed(describe, arrays, images):
    """Return the outputs of the PyTorch graph and of the oracle."""
    graph = TorchGraph()
    describe(graph)
    graph.load_state_dict({k: torch.from_numpy(a) for k, a in arrays.items()}, False)
    planes = images.transpose(0, 3, 1, 2).copy()
    oracle = NumpyGraph(arrays, planes)
    describe(oracle)
    with torch.no_grad():
        return graph.eval()(torch.from_numpy(planes)), oracle.outputs


@pytest.mark.parametrize("size", [(64, 64), (75, 133), (33, 40), (20, 9)])
def test_pooling_over_the_lesion_is_the_oracles(size):
    row = get_network("resnet18", pooling="lesion")
    arrays = random_arrays(row)
    got, expected = both_computed(
        lambda graph: build(row, graph, classes=3),
        arrays,
        random_images((2, *size, 3), seed=3),
    )
    assert list(got) == ["class", "mask"]
    for name, array in got.items():
        e = expected[name].reshape(array.shape)
        assert np.linalg.norm(array.numpy() - e) <= 1e-5 * np.linalg.norm(e)
    without = {**arrays, "lesion_fc.weight": 0 * arrays["lesion_fc.weight"]}
    oracle = NumpyGraph(without, random_images((2, 3, 64, 64), seed=3))
    build(row, oracle, classes=3)
    assert np.abs(oracle.outputs["class"] - expected["class"]).max() > 0.1


@pytest.mark.parametrize("factor", [1, 3, 40])
def test_lesion_pooling_of_any_sizes_is_the_oracles(factor):
    """Bins overlap where one side is not a multiple of the other."""
    arrays = {
        "lift.weight": random_images((5, 1, 1, 1)),
        "thin.weight": 20 * random_images((1, 1, 1, 1)),
        "thin.bias": np.float32([-9]),
    }

    def describe(graph):
        image = graph.input(1, [0.0], [1.0])
        src = graph.conv(image, "lift", 5, 1, stride=factor)
        graph.output(
            graph.lesion_pool(src, graph.conv(image, "thin", 1, 1, bias=True)), "y"
        )

    got, expected = both_computed(describe, arrays, random_images((2, 47, 61, 1)))
    np.testing.assert_allclose(got["y"].numpy(), expected["y"][:, :, 0, 0], rtol=1e-5)


def test_the_class_loss_does_not_reach_the_mask():
    row = get_network("resnet18", pooling="lesion")
    graph = module(row)
    outputs = graph(torch.rand(2, 3, 64, 64))
    outputs["class"].square().sum().backward()
    assert graph.lesion_fc.weight.grad.abs().max() > 0
    assert graph.layer4.get_submodule("0").conv1.weight.grad.abs().max() > 0
    for name, parameter in graph.named_parameters():
        if name.startswith("decoder."):
            assert parameter.grad is None, name


@pytest.mark.parametrize("pooling", ["mean", "lesion"])
def test_activation_and_a_constant_are_the_logit(pooling):
    row = get_network("resnet18", pooling=pooling)
    arrays = random_arrays(row)
    oracle = NumpyGraph(arrays, random_images((1, 3, 97, 130)))
    build(row, oracle, classes=3, features=True)
    for index in range(3):
        places = {"features": oracle.outputs["layer4"][0].transpose(1, 2, 0)}
        constant = arrays["fc.bias"][index]
        if pooling == "lesion":
            head = arrays["lesion_fc.weight"][index]
            coarse = oracle.outputs["coarse_mask"][0, 0]
            w = lesion_weights(coarse, places["features"].shape[:2])
            constant += arrays["lesion_fc.bias"][index]
            constant += head[-2] * w.max() + head[-1] * np.sqrt(w.mean())
            places |= {"lesion_head": head, "coarse_mask": coarse}
        activation = class_activation(head=arrays["fc.weight"][index], **places)
        expected = oracle.outputs["class"][0, index, 0, 0]
        assert activation.mean() + constant == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("mode", ["bilinear", "nearest"])
def test_resize_modes_are_the_engines(mode):
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
