"""Int8: the arithmetic against NumPy, the choice of scales, the command."""

import os
import subprocess
import sys

import numpy as np
import pytest
from numpy_graph import NumpyGraph
from PIL import Image
from random_weights import random_images, save_random
from safetensors.numpy import load_file, save_file

import busnet
from busnet import _core, weights
from busnet.data.phantom import phantom
from busnet.networks import get_network
from busnet.quantization import Calibration, best_step, quantize

MAX_WEIGHT = 127 if _core.engine()["int8"] else 64


def int8_weights(describe, arrays):
    graph = _core.Graph()
    describe(graph)
    core_weights = _core.Weights(graph, threads=2, precision="int8")
    for name, array in arrays.items():
        core_weights.set(name, np.ascontiguousarray(array, np.float32))
    core_weights.finish()
    return core_weights


def conv_arrays(name, weight, bias, step=1.0):
    return {
        f"{name}.weight": weight,
        f"{name}.bias": bias,
        f"{name}.output_scale": np.array([step]),
        f"{name}.input_mean": np.zeros(weight.shape[1]),
    }


def integers(generator, shape):
    """Draw weights that 8 bits represent exactly: each row has MAX_WEIGHT."""
    drawn = generator.randint(-MAX_WEIGHT, MAX_WEIGHT + 1, shape)
    drawn.reshape(shape[0], -1)[:, 0] = MAX_WEIGHT
    return drawn


def codes(real, scale, zero=0):
    return np.clip(np.rint(real / scale + zero), 0, 255)


def conv(x, weight, bias, padding=0):
    """Convolve (N, C, H, W), stride 1, in doubles."""
    graph = NumpyGraph(
        {"c.weight": np.float64(weight), "c.bias": np.float64(bias)}, np.float64(x)
    )
    image = graph.input(x.shape[1], [0] * x.shape[1], [1] * x.shape[1])
    y = graph.conv(
        image, "c", len(weight), weight.shape[-1], padding=padding, bias=True
    )
    graph.output(y, "y")
    return graph.outputs["y"]


@pytest.mark.parametrize("size", [(1, 1), (7, 5), (24, 33)])
@pytest.mark.parametrize("channels", [3, 16, 33, 64])
def test_sums_are_exact(size, channels):
    """Integers that fit into 8 bits are computed exactly, also after a signed sum."""
    generator = np.random.RandomState(channels)
    height, width = size
    pixels = generator.randint(0, 256, (2, height, width))
    arrays = conv_arrays("lift", np.full((channels, 1, 1, 1), 255), np.zeros(channels))
    steps = {"left": 900.0, "both": 1100.0}
    w = {name: integers(generator, (channels, channels, 3, 3)) for name in "ab"}
    b = {name: generator.randint(-5000, 5000, channels) for name in "abc"}
    w["c"] = integers(generator, (5, channels, 1, 1))
    arrays |= conv_arrays("left", w["a"], b["a"], steps["left"])
    arrays |= conv_arrays("both", w["b"], b["b"], steps["both"])
    arrays |= conv_arrays("last", w["c"], b["c"][:5] if channels > 5 else np.zeros(5))

    def describe(graph):
        image = graph.input(1, [0], [1])
        lift = graph.conv(image, "lift", channels, 1, bias=True, relu=True)
        left = graph.conv(lift, "left", channels, 3, padding=1, bias=True)
        both = graph.conv(
            lift, "both", channels, 3, padding=1, bias=True, add=left, relu=True
        )
        graph.output(both, "both")
        graph.output(graph.conv(both, "last", 5, 1, bias=True), "last")

    core_weights = int8_weights(describe, arrays)
    images = (pixels / 255).astype(np.float32)
    outputs = _core.Plan(core_weights, 2, height, width, threads=2).run(images)

    lifted = np.repeat(pixels[:, None], channels, 1)
    left = codes(conv(lifted, w["a"], b["a"], 1), steps["left"], 128) - 128
    total = conv(lifted, w["b"], b["b"], 1) + steps["left"] * left
    expected = codes(total, steps["both"])
    got = outputs["both"].transpose(0, 3, 1, 2) / steps["both"]
    assert got.max() > 20 or got.size < 20
    # The engine divides in float32 before it rounds: ties may differ by one.
    assert np.abs(got - expected).max() <= 1
    assert (got == expected).mean() > 0.999
    # The last layer computes integers in float32: exact except for the scale.
    last = conv(got, w["c"], np.zeros(5)) * steps["both"]
    last += arrays["last.bias"].reshape(1, 5, 1, 1)
    np.testing.assert_allclose(outputs["last"].transpose(0, 3, 1, 2), last, rtol=1e-5)


def test_the_largest_numbers_do_not_overflow():
    """Sums that would overflow 16 bits: every pixel 255, every weight the maximum."""
    channels = 64
    largest = np.full((32, channels, 3, 3), MAX_WEIGHT)
    arrays = conv_arrays("lift", np.full((channels, 1, 1, 1), 255), np.zeros(channels))
    arrays |= conv_arrays("sum", largest, np.zeros(32))

    def describe(graph):
        lift = graph.conv(
            graph.input(1, [0], [1]), "lift", channels, 1, bias=True, relu=True
        )
        graph.output(graph.conv(lift, "sum", 32, 3, bias=True), "sum")

    plan = _core.Plan(int8_weights(describe, arrays), 1, 5, 6)
    got = plan.run(np.ones((1, 5, 6), np.float32))["sum"]
    np.testing.assert_allclose(got, 255 * MAX_WEIGHT * 9 * channels, rtol=1e-6)


@pytest.mark.parametrize("isa", ["AVX2", "AVX512_CORE"])
def test_other_cpus(isa):
    """Repeat the tests of the arithmetic with 7-bit weights."""
    tests = "sums_are_exact or do_not_overflow"
    command = [sys.executable, "-m", "pytest", "-q", "-k", tests, __file__]
    environment = {**os.environ, "ONEDNN_MAX_CPU_ISA": isa}
    done = subprocess.run(
        [*command, "-p", "no:cacheprovider"],
        check=False,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout[-3000:]
    assert " passed" in done.stdout


def test_graphs_that_eight_bits_do_not_do():
    zeros = np.zeros(8)
    kernel = np.ones((8, 8, 1, 1))
    arrays = conv_arrays("lift", np.ones((8, 1, 1, 1)), zeros)
    for name in ("a", "b"):
        arrays |= conv_arrays(name, kernel, zeros)

    def start(graph, relu):
        return graph.conv(graph.input(1, [0], [1]), "lift", 8, 1, bias=True, relu=relu)

    def negative(graph):
        lift = start(graph, relu=False)
        graph.conv(lift, "a", 8, 1, bias=True)
        x = graph.conv(lift, "b", 8, 1, bias=True, add=lift, relu=True)
        graph.output(x, "x")

    def sum_in_float(graph):
        lift = start(graph, relu=True)
        first = graph.conv(lift, "a", 8, 1, bias=True, relu=True)
        graph.output(graph.conv(lift, "b", 8, 1, bias=True, add=first), "x")

    with pytest.raises(ValueError, match=r"a: int8 needs an operand that is not neg"):
        int8_weights(negative, arrays)
    with pytest.raises(
        ValueError, match=r"b: int8 needs a sum of activations that all"
    ):
        int8_weights(sum_in_float, arrays)

    def good(graph):
        lift = start(graph, relu=True)
        first = graph.conv(lift, "a", 8, 1, bias=True, relu=True)
        x = graph.conv(lift, "b", 8, 1, bias=True, add=first, relu=True)
        graph.output(x, "x")

    int8_weights(good, arrays)
    for wrong, message in (
        (np.zeros(1), "0 is no scale"),
        (-np.ones(1), "-1 is no scale"),
        (np.ones(2), r"it is \(2\), expected \(1\)"),
        (np.full(1, np.nan), "not finite"),
    ):
        with pytest.raises(ValueError, match=rf"a\.output_scale: .*{message}"):
            int8_weights(good, arrays | {"a.output_scale": wrong})
    with pytest.raises(ValueError, match=r"b\.input_mean: the array is missing"):
        int8_weights(good, {k: v for k, v in arrays.items() if k != "b.input_mean"})
    plan = _core.Plan(int8_weights(good, arrays), 1, 4, 4)
    with pytest.raises(ValueError, match=r"float32 can be observed"):
        plan.observe(np.zeros((1, 4, 4), np.float32))


def bins(numbers):
    """Count magnitudes in bins as the engine does."""
    index = np.floor((np.log2(np.maximum(np.abs(numbers), 1e-30)) + 20) * 64)
    return np.bincount(np.clip(index, 0, 2047).astype(int), minlength=2048)


def test_best_step():
    generator = np.random.RandomState(0)
    even = generator.uniform(0, 3, 100_000)
    assert best_step(bins(even), 255) == pytest.approx(3 / 255, rel=0.03)
    # A single outlier among 100 million values must not make the scale of all larger.
    rare = 1000 * bins(even) + bins([12.0])
    assert best_step(rare, 255) == pytest.approx(3 / 255, rel=0.03)
    assert best_step(bins(np.zeros(10)), 255) == 1.0
    assert best_step(bins([0.0, 5.0]), 127) == pytest.approx(5 / 127, rel=0.03)
    # The best range of a bell-shaped distribution is well below its maximum.
    bell = generator.standard_normal(1_000_000)
    reach = 127 * best_step(bins(bell), 127)
    assert 3 < reach < np.abs(bell).max()
    steps = np.linspace(0.5, 2, 61) * best_step(bins(bell), 127)
    errors = [
        np.square(bell - np.clip(np.rint(bell / s), -127, 127) * s).mean()
        for s in steps
    ]
    assert steps[int(np.argmin(errors))] == pytest.approx(reach / 127, rel=0.1)


def test_observations():
    """Ranges and means are those of the activations themselves."""
    generator = np.random.RandomState(3)
    arrays = {
        "a.weight": generator.standard_normal((6, 1, 3, 3)),
        "a.bias": generator.standard_normal(6),
        "b.weight": generator.standard_normal((4, 6, 1, 1)),
        "b.bias": generator.standard_normal(4),
    }

    def describe(graph):
        image = graph.input(1, [0.5], [0.25])
        a = graph.conv(image, "a", 6, 3, padding=1, bias=True, relu=True)
        graph.output(graph.conv(a, "b", 4, 1, bias=True, add=None), "b")
        graph.output(a, "a")

    graph = _core.Graph()
    describe(graph)
    core_weights = _core.Weights(graph, precision="exact")
    for name, array in arrays.items():
        core_weights.set(name, array.astype(np.float32))
    core_weights.finish()
    plan = _core.Plan(core_weights, 2, 9, 11)
    images = random_images((2, 9, 11))
    outputs = plan.run(images)
    seen = plan.observe(images)
    assert [(name, relu) for name, relu, _, _ in seen] == [("a", True), ("b", False)]
    np.testing.assert_allclose(seen[0][2], [(images.mean() - 0.5) / 0.25], atol=1e-6)
    np.testing.assert_allclose(seen[1][2], outputs["a"].mean((0, 1, 2)), rtol=1e-5)
    for (_, _, _, counts), output in zip(seen, ("a", "b"), strict=True):
        assert counts.sum() == outputs[output].size
        numbers = outputs[output][outputs[output] != 0]
        assert counts[0] == (outputs[output] == 0).sum()
        edges = 2.0 ** (np.arange(2049) // 64 - 20) * (1 + np.arange(2049) % 64 / 64)
        expected, _ = np.histogram(np.abs(numbers), edges)
        np.testing.assert_array_equal(counts[1:], expected[1:])
    with pytest.raises(ValueError, match="images"):
        plan.observe(images[:1])


@pytest.fixture(scope="module")
def calibrated(tmp_path_factory):
    """Write two files: a model, and the same calibrated on a few phantoms."""
    folder = tmp_path_factory.mktemp("int8")
    source = save_random(
        folder / "f32.safetensors",
        get_network("resnet50", channels=1, stage_shortcuts=True),
        eight_bit=True,
    )
    target = folder / "int8.safetensors"
    images = [phantom(seed=seed)[0] for seed in range(5)]
    assert quantize(source, images, target, data="phantoms") == 5
    return source, target


def test_int8_is_near(calibrated):
    source, target = calibrated
    narrow = busnet.load(target, precision="int8")
    assert narrow.precision == "int8"
    image, _ = phantom(seed=7)
    exact = busnet.load(source, precision="exact").predict(image)
    got = narrow.predict(image)
    assert got.probabilities != exact.probabilities
    assert got.probabilities == pytest.approx(exact.probabilities, abs=0.05)
    drawn = [phantom(64, 96, seed=seed)[0] for seed in (7, 8, 9)]
    batch = np.stack(drawn)[..., None] / np.float32(255)
    stages = ("class", "mask", "layer1", "layer2", "layer3", "layer4")
    expected = busnet.load(source, precision="exact").run(batch, outputs=stages)
    computed = narrow.run(batch, outputs=stages)
    for name in stages:
        error = np.linalg.norm(computed[name] - expected[name])
        assert error < 0.1 * np.linalg.norm(expected[name]), name
    # The same bits when computed alone, and with another number of threads.
    for name, array in computed.items():
        np.testing.assert_array_equal(narrow.run(batch, outputs=[name])[name], array)
    before = busnet.get_threads()
    try:
        busnet.set_threads(1)
        for name, array in narrow.run(batch, outputs=stages).items():
            np.testing.assert_array_equal(computed[name], array)
    finally:
        busnet.set_threads(before)


def test_a_calibrated_file_is_the_old_one_and_more(calibrated):
    source, target = calibrated
    old, new = load_file(source), load_file(target)
    for name, array in old.items():
        assert array.dtype == new[name].dtype
        np.testing.assert_array_equal(array, new[name])
    extra = new.keys() - old.keys()
    convs = [name for name, array in old.items() if array.ndim == 4]
    assert len(extra) == 2 * len(convs)
    assert all((new[name] > 0).all() for name in extra if name.endswith("scale"))
    info = weights.read_info(target)
    assert info.provenance["calibration"] == {"images": 5, "data": "phantoms"}
    assert info.network == weights.read_info(source).network
    # In float32 and as a PyTorch module it computes the same as before.
    image = phantom()[0]
    assert (
        busnet.load(source).predict(image).probabilities
        == busnet.load(target).predict(image).probabilities
    )
    assert weights.read_arrays(target).keys() == weights.read_arrays(source).keys()


def test_uncalibrated_and_broken_files(calibrated, tmp_path):
    source, target = calibrated
    with pytest.raises(busnet.WeightsError, match=r"f32\.safetensors.*busnet quantize"):
        busnet.load(source, precision="int8")
    metadata = {weights.KEY: weights.read_info(target).to_json()}
    arrays = load_file(target)
    broken = tmp_path / "broken.safetensors"
    del arrays["layer1.0.conv2.input_mean"]
    save_file(arrays, broken, metadata)
    for precision in ("int8", "f32"):
        with pytest.raises(busnet.WeightsError, match=r"conv2\.input_mean is missing"):
            busnet.load(broken, precision=precision)
    with pytest.raises(busnet.ImageValueError, match="no image"):
        quantize(source, [], broken)
    assert "layer1.0.conv2.input_mean" not in load_file(broken)
    with pytest.raises(busnet.WeightsError, match="is missing"):
        weights.calibrate(source, broken, {}, weights.read_info(source))


def test_the_bias_makes_up_for_rounded_weights():
    """With weights of very different size the mean error is about zero."""
    weight = np.array([1.0, 0.0031, 0.0029, -0.0037]).reshape(1, 4, 1, 1)
    arrays = conv_arrays("lift", np.full((4, 1, 1, 1), 255.0), np.zeros(4))
    arrays |= conv_arrays("sum", weight, np.zeros(1))
    pixels = np.random.RandomState(0).randint(0, 256, (1, 16, 16))
    arrays["sum.input_mean"] = np.full(4, pixels.mean())

    def describe(graph):
        lift = graph.conv(graph.input(1, [0], [1]), "lift", 4, 1, bias=True, relu=True)
        graph.output(graph.conv(lift, "sum", 1, 1, bias=True), "sum")

    images = (pixels / 255).astype(np.float32)
    exact = pixels * weight.sum()
    errors = []
    for mean in (np.zeros(4), arrays["sum.input_mean"]):
        core_weights = int8_weights(describe, arrays | {"sum.input_mean": mean})
        got = _core.Plan(core_weights, 1, 16, 16).run(images)["sum"][..., 0]
        errors.append((got - exact).mean())
    assert abs(errors[0]) > 0.1
    assert abs(errors[1]) < 1e-3


def test_the_command(calibrated, tmp_path):
    source, _ = calibrated
    for seed in range(3):
        Image.fromarray(phantom(seed=seed)[0]).save(tmp_path / f"{seed}.png")
    out = tmp_path / "core_weights.safetensors"

    def run(*options, status=0):
        command = [sys.executable, "-m", "busnet", "quantize", str(tmp_path)]
        done = subprocess.run(
            [*command, "--model", str(source), *map(str, options)],
            check=False,
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.returncode == status, done.stderr
        return " ".join(done.stderr.split())

    assert "calibrated on 3 images" in run("--out", out)
    result = busnet.load(out, precision="int8").predict(tmp_path / "1.png")
    assert result.label in result.probabilities
    run("--out", out, "--count", 1)
    assert weights.read_info(out).provenance["calibration"]["images"] == 1
    assert ".safetensors" in run("--out", tmp_path / "few.bin", status=2)


def test_calibrations_are_the_same_in_any_chunks():
    row = ("a", True, np.array([1.0, 2.0]), np.arange(2048))
    other = ("a", True, np.array([3.0, 6.0]), np.arange(2048)[::-1].copy())
    one, two = Calibration(), Calibration()
    one.add([row], 1)
    one.add([other], 3)
    two.add([other], 3)
    two.add([row], 1)
    for name, array in one.arrays().items():
        np.testing.assert_array_equal(two.arrays()[name], array)
    np.testing.assert_array_equal(one.arrays()["a.input_mean"], [2.5, 5.0])
