"""The exported ONNX model in ONNX Runtime, compared with the engine."""

import numpy as np
import pytest
from numpy_graph import NumpyGraph
from random_weights import random_arrays, random_images, save_random

import busnet
from busnet.networks import build, get_network

onnxruntime = pytest.importorskip("onnxruntime", reason="needs busnet[onnx]")
pytest.importorskip("onnx", reason="needs busnet[onnx]")


@pytest.mark.parametrize("size", [(64, 64), (75, 133), (33, 200)])
def test_pooling_over_the_lesion_is_the_oracles(size):
    from busnet.export.onnx import to_onnx

    row = get_network("resnet18", pooling="lesion")
    arrays = random_arrays(row)
    model = to_onnx(row, arrays, *size)
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    names = [output.name for output in session.get_outputs()]
    assert names == ["class", "mask"]
    for batch in (1, 3):
        planes = random_images((batch, 3, *size), seed=batch)
        oracle = NumpyGraph(arrays, planes)
        build(row, oracle, classes=3)
        for name, array in zip(
            names, session.run(names, {"image": planes}), strict=True
        ):
            expected = oracle.outputs[name].reshape(array.shape)
            assert np.linalg.norm(array - expected) <= 1e-5 * np.linalg.norm(expected)


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("resnet18", {}),
        ("resnet50", {"variant": "v1"}),
        ("resnet50", {"variant": "v1", "ceil_pool": False, "heads": ("class",)}),
        ("mod_resnet101", {}),
        ("resnet18", {"heads": ("class",)}),
    ],
)
@pytest.mark.parametrize("size", [(64, 64), (70, 94)])
def test_onnx_runtime_computes_the_same(tmp_path, name, changes, size):
    from busnet.export.onnx import export

    path = save_random(tmp_path / "w.safetensors", get_network(name, **changes), 64)
    target = tmp_path / "w.onnx"
    export(path, target, size=size)
    model = busnet.load(path)
    images = random_images((2, *size, model.info.network.channels))
    expected = model.run(images)
    session = onnxruntime.InferenceSession(target, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    assert names == list(model.info.network.heads)
    got = session.run(names, {"image": images.transpose(0, 3, 1, 2)})
    for head, array in zip(names, got, strict=True):
        e = expected[head]
        assert np.abs(array.reshape(e.shape) - e).max() <= 1e-3
        assert np.linalg.norm(array.reshape(e.shape) - e) <= 1e-4 * np.linalg.norm(e)


def test_a_model_is_found_by_its_name(tmp_path):
    from busnet.export.onnx import export

    export("resnet18", tmp_path / "x.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "x.onnx")
    info = busnet.load("resnet18").info
    assert session.get_inputs()[0].shape[1:] == [1, info.image_size, info.image_size]
    with pytest.raises(busnet.MissingWeightsError, match="resnet19"):
        export("resnet19", tmp_path / "y.onnx")


@pytest.mark.parametrize("size", [224, (0, 0), (-5, 64), (64,), (64.0, 64), "64"])
def test_sizes_that_are_none_are_refused(tmp_path, size):
    from busnet.export.onnx import export

    path = save_random(tmp_path / "w.safetensors", get_network("resnet18"))
    with pytest.raises(busnet.ModelError, match=r"size is the height.*not "):
        export(path, tmp_path / "w.onnx", size=size)
    assert not (tmp_path / "w.onnx").exists()
