"""Every operator of the engine against the NumPy oracle, on random shapes."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy_graph import NumpyGraph

from busnet import _core

SIDES = st.integers(1, 23)
CHANNELS = st.sampled_from((1, 3, 4, 8, 16, 24, 33))
BATCHES = st.integers(1, 3)
SEEDS = st.integers(0, 2**16)

quick = settings(max_examples=60, deadline=None)


def compare(describe, arrays, images, tolerance=1e-5):
    """Check that both graphs compute the same outputs from ``describe``."""
    oracle = NumpyGraph(arrays, images.transpose(0, 3, 1, 2))
    describe(oracle)
    graph = _core.Graph()
    describe(graph)
    weights = _core.Weights(graph, threads=2)
    for name, array in arrays.items():
        weights.set(name, array)
    weights.finish()
    batch, height, width, _ = images.shape
    before = images.copy()
    outputs = _core.Plan(weights, batch, height, width, threads=2).run(images)
    np.testing.assert_array_equal(images, before)
    assert outputs.keys() == oracle.outputs.keys()
    for name, expected in oracle.outputs.items():
        got = outputs[name].transpose(0, 3, 1, 2)
        assert got.shape == expected.shape
        scale = max(1.0, np.abs(expected).max())
        np.testing.assert_allclose(got, expected, rtol=0, atol=tolerance * scale)
        error = np.linalg.norm(got - expected)
        assert error <= 1e-5 * max(1.0, np.linalg.norm(expected))


def uniform(generator, *shape):
    return generator.uniform(-1, 1, shape).astype(np.float32)


def norm_arrays(generator, name, channels):
    return {
        f"{name}.weight": uniform(generator, channels),
        f"{name}.bias": uniform(generator, channels),
        f"{name}.running_mean": uniform(generator, channels),
        f"{name}.running_var": np.abs(uniform(generator, channels)) + np.float32(0.1),
    }


def lift(graph, arrays, generator, channels):
    """Append an input and a 1x1 convolution that gives ``channels`` channels."""
    image = graph.input(1, [0.4], [0.3])
    arrays.setdefault("lift.weight", uniform(generator, channels, 1, 1, 1))
    arrays.setdefault("lift.bias", uniform(generator, channels))
    return image, graph.conv(image, "lift", channels, 1, bias=True)


@quick
@given(
    n=BATCHES,
    h=SIDES,
    w=SIDES,
    source=CHANNELS,
    channels=CHANNELS,
    kernel=st.sampled_from((1, 2, 3, 5, 7)),
    stride=st.integers(1, 3),
    data=st.data(),
    seed=SEEDS,
)
def test_conv(n, h, w, source, channels, kernel, stride, data, seed):
    padding = data.draw(st.integers(0, kernel - 1))
    assume(min(h, w) + 2 * padding >= kernel)
    norm, bias, add, relu = (data.draw(st.booleans()) for _ in range(4))
    generator = np.random.RandomState(seed)
    arrays = {"conv.weight": uniform(generator, channels, source, kernel, kernel)}
    arrays["other.weight"] = uniform(generator, channels, source, kernel, kernel)
    if bias:
        arrays["conv.bias"] = uniform(generator, channels)
    if norm:
        arrays |= norm_arrays(generator, "bn", channels)
    if not add:
        del arrays["other.weight"]
    geometry = {"stride": stride, "padding": padding}

    def describe(graph):
        _, src = lift(graph, arrays, generator, source)
        other = graph.conv(src, "other", channels, kernel, **geometry) if add else None
        y = graph.conv(
            src,
            "conv",
            channels,
            kernel,
            **geometry,
            norm="bn" if norm else "",
            bias=bias,
            add=other,
            relu=relu,
        )
        graph.output(y, "y")

    compare(describe, arrays_after(describe, arrays), _image(generator, n, h, w))


@quick
@given(
    n=BATCHES,
    h=SIDES,
    w=SIDES,
    source=st.sampled_from((16, 32, 48, 144)),
    channels=st.sampled_from((32, 64, 160)),
    add=st.booleans(),
    relu=st.booleans(),
    seed=SEEDS,
)
def test_conv_by_winograd(n, h, w, source, channels, add, relu, seed):
    generator = np.random.RandomState(seed)
    arrays = {
        "conv.weight": uniform(generator, channels, source, 3, 3),
        **norm_arrays(generator, "bn", channels),
    }
    if add:
        arrays["other.weight"] = uniform(generator, channels, source, 1, 1)

    def describe(graph):
        _, src = lift(graph, arrays, generator, source)
        other = graph.conv(src, "other", channels, 1) if add else None
        y = graph.conv(
            src, "conv", channels, 3, padding=1, norm="bn", add=other, relu=relu
        )
        graph.output(y, "y")

    # A single value may have a larger rounding error than the L2 norm of all.
    compare(
        describe,
        arrays_after(describe, arrays),
        _image(generator, n, h, w),
        tolerance=5e-5,
    )


@quick
@given(n=BATCHES, h=SIDES, w=SIDES, channels=CHANNELS, seed=SEEDS)
def test_sum_whose_operand_is_read_again(n, h, w, channels, seed):
    generator = np.random.RandomState(seed)
    arrays = {"conv.weight": uniform(generator, channels, channels, 1, 1)}
    arrays["last.weight"] = uniform(generator, channels, channels, 1, 1)

    def describe(graph):
        _, src = lift(graph, arrays, generator, channels)
        y = graph.conv(src, "conv", channels, 1, add=src)
        graph.output(graph.conv(y, "last", channels, 1, add=src), "y")
        graph.output(src, "src")

    compare(describe, arrays_after(describe, arrays), _image(generator, n, h, w))


@quick
@given(
    n=BATCHES,
    h=SIDES,
    w=SIDES,
    channels=CHANNELS,
    kernel=st.integers(1, 4),
    stride=st.integers(1, 3),
    ceil=st.booleans(),
    data=st.data(),
    seed=SEEDS,
)
def test_max_pool(n, h, w, channels, kernel, stride, ceil, data, seed):
    padding = data.draw(st.integers(0, kernel // 2))
    assume(min(h, w) + 2 * padding >= kernel)
    if ceil:
        # Libraries differ in whether a window that begins beyond the image counts.
        assume(all((s + 2 * padding - kernel) % stride < kernel for s in (h, w)))
        last = [-(-(s + 2 * padding - kernel) // stride) * stride for s in (h, w)]
        assume(all(a < s + padding for a, s in zip(last, (h, w), strict=True)))
    generator = np.random.RandomState(seed)
    arrays = {}

    def describe(graph):
        _, src = lift(graph, arrays, generator, channels)
        graph.output(
            graph.max_pool(src, kernel, stride, padding=padding, ceil=ceil), "y"
        )

    compare(describe, arrays_after(describe, arrays), _image(generator, n, h, w))


@quick
@given(
    n=BATCHES,
    h=SIDES,
    w=SIDES,
    channels=CHANNELS,
    features=CHANNELS,
    factor=st.integers(1, 4),
    seed=SEEDS,
)
def test_lesion_pool_and_a_sum_of_linears(n, h, w, channels, features, factor, seed):
    generator = np.random.RandomState(seed)
    arrays = {
        "thin.weight": 6 * uniform(generator, 1, 1, 1, 1),
        "thin.bias": uniform(generator, 1),
        "fc.weight": uniform(generator, features, channels),
        "fc.bias": uniform(generator, features),
        "lesion_fc.weight": uniform(generator, features, channels + 2),
        "lesion_fc.bias": uniform(generator, features),
    }

    def describe(graph):
        image, src = lift(graph, arrays, generator, channels)
        src = graph.max_pool(src, min(factor, h, w), min(factor, h, w), ceil=True)
        logits = graph.conv(image, "thin", 1, 1, bias=True)
        lesion = graph.lesion_pool(src, logits)
        graph.output(lesion, "lesion")
        mean = graph.linear(graph.mean_pool(src), "fc", features)
        graph.output(graph.linear(lesion, "lesion_fc", features, add=mean), "y")

    compare(describe, arrays_after(describe, arrays), _image(generator, n, h, w))


@quick
@given(n=BATCHES, h=SIDES, w=SIDES, channels=CHANNELS, features=CHANNELS, seed=SEEDS)
def test_mean_pool_and_linear(n, h, w, channels, features, seed):
    generator = np.random.RandomState(seed)
    arrays = {
        "fc.weight": uniform(generator, features, channels),
        "fc.bias": uniform(generator, features),
    }

    def describe(graph):
        _, src = lift(graph, arrays, generator, channels)
        mean = graph.mean_pool(src)
        graph.output(mean, "mean")
        graph.output(graph.linear(mean, "fc", features), "y")

    compare(describe, arrays_after(describe, arrays), _image(generator, n, h, w))


@quick
@given(
    n=BATCHES,
    h=SIDES,
    w=SIDES,
    channels=CHANNELS,
    stride=st.integers(1, 4),
    mode=st.sampled_from(("bilinear", "nearest")),
    seed=SEEDS,
)
def test_resize(n, h, w, channels, stride, mode, seed):
    generator = np.random.RandomState(seed)
    arrays = {"small.weight": uniform(generator, channels, 1, 1, 1)}

    def describe(graph):
        image, _ = lift(graph, arrays, generator, channels)
        small = graph.conv(image, "small", channels, 1, stride=stride)
        graph.output(graph.resize(small, image, mode=mode), "y")

    compare(describe, arrays_after(describe, arrays), _image(generator, n, h, w))


def arrays_after(describe, arrays):
    """Return ``arrays`` with what describing a graph adds to them."""
    describe(_core.Graph())
    return arrays


def _image(generator, n, h, w):
    return np.abs(uniform(generator, n, h, w, 1))


@pytest.mark.parametrize("channels", [1, 3])
def test_input_is_normalised(channels):
    images = np.random.RandomState(0).uniform(0, 1, (2, 9, 7, channels))
    arrays = {"conv.weight": np.eye(channels, dtype=np.float32)[:, :, None, None]}

    def describe(graph):
        x = graph.input(
            channels, [0.1, 0.2, 0.3][:channels], [0.5, 0.6, 0.7][:channels]
        )
        graph.output(graph.conv(x, "conv", channels, 1), "y")

    compare(describe, arrays, images.astype(np.float32))
