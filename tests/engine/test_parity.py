"""Whole networks against golden outputs of PyTorch and against the NumPy oracle."""

import numpy as np
import pytest
from helpers import ROOT
from numpy_graph import NumpyGraph
from random_weights import random_arrays, random_images

from busnet import _core
from busnet.networks import (
    COARSE_MASK,
    NETWORKS,
    STAGES,
    build,
    get_network,
)

GOLDEN = ROOT / "tests" / "data" / "golden.npz"
SHAPES = ((1, 224, 224), (3, 200, 312))
STEP = 8

ROWS = {**NETWORKS, "resnet50_v1": get_network("resnet50", variant="v1")}


def finished(row, threads=2, precision="f32"):
    graph = _core.Graph()
    build(row, graph, classes=3, features=True)
    weights = _core.Weights(graph, threads=threads, precision=precision)
    for name, array in random_arrays(row).items():
        weights.set(name, array)
    weights.finish()
    return weights


def assert_parity(got, expected):
    """Allow an absolute error of 1e-3, and a relative L2 error of 1e-5."""
    difference = got - expected
    assert np.abs(difference).max() <= 1e-3
    assert np.linalg.norm(difference) <= 1e-5 * np.linalg.norm(expected)


@pytest.mark.parametrize("precision", ["f32", "exact"])
@pytest.mark.parametrize("name", ROWS)
def test_outputs_are_pytorchs(name, precision):
    row = ROWS[name]
    weights = finished(row, precision=precision)
    with np.load(GOLDEN) as golden:
        for batch, height, width in SHAPES:
            images = random_images((batch, height, width, row.channels))
            outputs = _core.Plan(weights, batch, height, width, threads=2).run(images)
            key = f"{name}/{batch}x{height}x{width}"
            assert_parity(outputs["class"][:, 0, 0, :], golden[f"{key}/class"])
            mask = outputs["mask"][:, ::STEP, ::STEP, 0]
            assert_parity(mask, golden[f"{key}/mask"])
            # If the golden outputs hardly varied, the comparison would always pass.
            assert golden[f"{key}/mask"].std() > 0.05
            assert np.ptp(golden[f"{key}/class"]) > 0.05


@pytest.mark.parametrize(
    ("name", "variant"),
    [("resnet18", "v1.5"), ("resnet50", "v1.5"), ("resnet50", "v1")],
)
@pytest.mark.parametrize("shortcuts", [False, True])
def test_outputs_are_the_oracles(name, variant, shortcuts):
    row = get_network(name, variant=variant, stage_shortcuts=shortcuts)
    assert_oracle(row, {*row.heads, *STAGES})


def test_early_strides_and_a_padded_stem_are_the_oracles():
    row = get_network("resnet50", variant="v1", ceil_pool=False, heads=("class",))
    assert_oracle(row, {*row.heads, *STAGES})


@pytest.mark.parametrize("name", ["resnet18", "mod_resnet101"])
def test_pooling_over_the_lesion_is_the_oracles(name):
    row = get_network(name, pooling="lesion")
    assert_oracle(row, {*row.heads, *STAGES, COARSE_MASK})


def assert_oracle(row, names):
    images = random_images((2, 43, 71, row.channels))
    oracle = NumpyGraph(random_arrays(row), images.transpose(0, 3, 1, 2))
    build(row, oracle, classes=3, features=True)
    assert set(oracle.outputs) == names
    outputs = _core.Plan(finished(row), 2, 43, 71, threads=2).run(images)
    for head, expected in oracle.outputs.items():
        assert_parity(outputs[head].transpose(0, 3, 1, 2), expected)


def test_a_part_of_the_batch_is_the_same_as_alone():
    row = get_network("resnet18")
    weights = finished(row)
    images = random_images((4, 96, 64, 3))
    together = _core.Plan(weights, 4, 96, 64, threads=2).run(images)
    for i in range(4):
        alone = _core.Plan(weights, 1, 96, 64, threads=2).run(images[i : i + 1])
        for head in row.heads:
            np.testing.assert_allclose(alone[head][0], together[head][i], atol=1e-5)


def test_runs_are_the_same_bits():
    row = get_network("resnet18")
    plan = _core.Plan(finished(row), 2, 96, 64, threads=2)
    images = random_images((2, 96, 64, 3))
    first = plan.run(images)
    for _ in range(5):
        again = plan.run(images)
        for head in row.heads:
            np.testing.assert_array_equal(again[head], first[head])


def test_the_order_of_plans_changes_no_bit():
    row = get_network("resnet18")
    images = random_images((8, 64, 64, 3))

    def outputs(batches):
        weights, results = finished(row), {}
        for batch in batches:
            plan = _core.Plan(weights, batch, 64, 64, threads=2)
            results[batch] = plan.steps, plan.run(images[:batch])["class"]
        return results

    up, down = outputs([1, 8]), outputs([8, 1])
    # For this shape the weights of some layers are packed for another algorithm.
    assert up[1][0] != up[8][0]
    for batch in (1, 8):
        np.testing.assert_array_equal(up[batch][1], down[batch][1])


def test_too_small_an_image_is_refused():
    weights = finished(get_network("resnet18"))
    with pytest.raises(ValueError, match="0 x 5"):
        _core.Plan(weights, 1, 0, 5)
    # All layers pad, so one pixel is enough for each.
    assert _core.Plan(weights, 1, 1, 1).run(random_images((1, 1, 1, 3)))


def test_plans_tell_what_computes_them():
    row = get_network("resnet18")
    images = random_images((1, 64, 64, 3))
    exact = _core.Plan(finished(row, precision="exact"), 1, 64, 64)
    fast = _core.Plan(finished(row), 1, 64, 64)
    assert [layer for layer, _ in exact.steps] == [layer for layer, _ in fast.steps]
    assert not any("winograd" in kernel for _, kernel in exact.steps)
    kernels = dict(fast.steps)
    if any(isa in _core.engine()["isa"] for isa in ("avx2", "avx512")):
        assert "winograd" in kernels["layer1.0.conv1"]
    assert "winograd" not in kernels["layer2.0.conv1"]  # its stride is 2
    assert "winograd" not in kernels["layer4.1.conv1"]  # it has many channels
    seconds = fast.time(images)
    assert len(seconds) == len(fast.steps)
    assert 0 < sum(seconds) < 60
    with pytest.raises(ValueError, match="images"):
        fast.time(images[:, :5])


needs_bf16 = pytest.mark.skipif(
    not _core.engine()["bf16"], reason="the CPU has no bfloat16"
)


@needs_bf16
@pytest.mark.parametrize("name", ROWS)
def test_bfloat16_is_near(name):
    row = ROWS[name]
    images = random_images((2, 96, 160, row.channels))
    exact = _core.Plan(finished(row, precision="exact"), 2, 96, 160).run(images)
    narrow = _core.Plan(finished(row, precision="bf16"), 2, 96, 160, threads=2)
    got = narrow.run(images)
    for output, expected in exact.items():
        error = np.linalg.norm(got[output] - expected) / np.linalg.norm(expected)
        assert 1e-5 < error < 3e-2, output
    for output, array in narrow.run(images).items():
        np.testing.assert_array_equal(array, got[output])
    assert not any("winograd" in kernel for _, kernel in narrow.steps)


@needs_bf16
def test_bfloat16_outputs_alone_are_those_together():
    row = get_network("resnet50", stage_shortcuts=True)
    weights = finished(row, precision="bf16")
    images = random_images((1, 64, 64, 3))
    together = _core.Plan(weights, 1, 64, 64).run(images)
    for i, (output, array) in enumerate(together.items()):
        alone = _core.Plan(weights, 1, 64, 64, outputs=[output]).run(images)
        assert list(alone) == [output]
        # Activations that other layers read are in bfloat16; outputs need not be.
        np.testing.assert_allclose(
            alone[output], array, rtol=1e-2, atol=1e-2 * np.abs(array).max()
        )
        assert i < len(together)


def test_there_are_no_other_precisions():
    graph = _core.Graph()
    build(get_network("resnet18"), graph, classes=3)
    with pytest.raises(ValueError, match=r"'f16'.*f32, exact, bf16 and int8"):
        _core.Weights(graph, precision="f16")
