"""Weights files: round trips, and every fault that a file may have."""

import dataclasses
import json
import math

import numpy as np
import pytest
from random_weights import CLASSES, random_arrays, random_info, save_random
from safetensors import SafetensorError, safe_open
from safetensors.numpy import load_file, save_file

import busnet
from busnet import errors, weights
from busnet.networks import get_network

ROW = get_network("resnet18", channels=1)


@pytest.fixture(scope="module")
def stored(weights_file):
    """Return arrays and metadata of a good file."""
    with safe_open(weights_file, framework="numpy") as file:
        return load_file(weights_file), file.metadata()


def test_arrays_come_back(weights_file):
    expected = random_arrays(ROW)
    got = weights.read_arrays(weights_file)
    assert got.keys() == expected.keys()
    for name, array in expected.items():
        np.testing.assert_array_equal(got[name], array)


def test_info_comes_back(tmp_path):
    info = random_info(
        get_network("resnet50", channels=1, stage_shortcuts=True, heads=("class",)),
        image_size=96,
        temperature=1.5,
        mask_threshold=0.4,
        lesion_peak=0.9,
        operating_points={"sensitivity 0.90": 0.31},
        provenance={"fold": 0, "phases": [1, 2]},
    )
    path = tmp_path / "x.safetensors"
    weights.save(path, random_arrays(info.network), info)
    assert weights.read_info(path) == info


def test_files_without_a_pooling_average(tmp_path, stored):
    arrays, metadata = stored
    document = json.loads(metadata["busnet"])
    del document["network"]["pooling"]
    path = tmp_path / "old.safetensors"
    save_file(arrays, path, {"busnet": json.dumps(document)})
    assert weights.read_info(path).network == ROW
    assert busnet.load(path).predict(np.zeros((64, 64))).label in CLASSES


def test_pooling_comes_back(tmp_path):
    row = get_network("resnet18", pooling="lesion")
    path = save_random(tmp_path / "x.safetensors", row)
    assert weights.read_info(path).network == row
    assert weights.read_arrays(path)["lesion_fc.weight"].shape == (3, 514)


def test_eight_bits_are_a_quarter_and_close(tmp_path, weights_file):
    path = save_random(tmp_path / "small.safetensors", ROW, eight_bit=True)
    assert path.stat().st_size < 0.26 * weights_file.stat().st_size
    exact, rounded = random_arrays(ROW), weights.read_arrays(path)
    for name, array in exact.items():
        if array.ndim > 1:
            rows = np.abs(array.reshape(len(array), -1))
            limit = rows.max(1) / 254 * 1.01
            off = np.abs(rounded[name] - array).reshape(len(array), -1).max(1)
            assert (off <= limit).all(), name
        else:
            np.testing.assert_array_equal(rounded[name], array)
    image = np.random.RandomState(0).uniform(0, 1, (64, 64))
    a, b = busnet.load(path).predict(image), busnet.load(weights_file).predict(image)
    assert np.abs(a.lesion_probability - b.lesion_probability).max() < 0.05


def test_eight_bit_engine_and_expanded_arrays_agree(tmp_path):
    path = save_random(tmp_path / "small.safetensors", ROW, eight_bit=True)
    info = weights.read_info(path)
    expanded = tmp_path / "expanded.safetensors"
    weights.save(expanded, weights.read_arrays(path), info)
    image = np.random.RandomState(0).uniform(0, 1, (64, 64))
    a, b = busnet.load(path).predict(image), busnet.load(expanded).predict(image)
    np.testing.assert_array_equal(a.lesion_probability, b.lesion_probability)
    assert a.probabilities == b.probabilities


def test_half_precision_is_read(tmp_path, stored):
    arrays, metadata = stored
    path = tmp_path / "half.safetensors"
    save_file({k: v.astype(np.float16) for k, v in arrays.items()}, path, metadata)
    assert busnet.load(path).predict(np.zeros((64, 64))).label in CLASSES


def test_bad_arrays_are_not_saved(tmp_path):
    arrays, info = random_arrays(ROW), random_info(ROW)
    path = tmp_path / "x.safetensors"
    cases = {
        "fc.bias": (np.zeros(4, np.float32), r"fc\.bias.*\(4,\).*\(3,\)"),
        "bn1.weight": (np.full(64, np.nan, np.float32), r"bn1\.weight.*finite"),
        "odd": (np.zeros(1, np.float32), r"odd is not of the network"),
    }
    for name, (array, fact) in cases.items():
        with pytest.raises(errors.WeightsError, match=fact):
            weights.save(path, {**arrays, name: array}, info)
    del arrays["conv1.weight"]
    with pytest.raises(errors.WeightsError, match=r"conv1\.weight is missing"):
        weights.save(path, arrays, info)
    assert list(tmp_path.iterdir()) == []


def test_numpys_numbers_are_pythons_in_the_metadata(tmp_path):
    provenance = {"fold": np.int64(1), "rate": np.float32(0.5)}
    path = save_random(tmp_path / "w.safetensors", ROW, provenance=provenance)
    assert weights.read_info(path).provenance == {"fold": 1, "rate": 0.5}
    with pytest.raises(errors.WeightsError, match="cannot hold <object"):
        random_info(ROW, provenance={"fold": object()}).to_json()


def test_a_full_disk_is_an_error_that_names_the_file(tmp_path, monkeypatch):
    def fail(*arguments):
        raise SafetensorError("No space left on device")

    monkeypatch.setattr(weights, "save_file", fail)
    with pytest.raises(errors.OutputError, match=r"w\.safetensors: cannot .*No space"):
        save_random(tmp_path / "w.safetensors", ROW)
    assert not list(tmp_path.iterdir())


def nan_in(array):
    array = array.copy()
    array.flat[-1] = np.nan
    return array


@pytest.mark.parametrize(
    ("change", "fact"),
    [
        (lambda a: a.pop("fc.bias"), r"fc\.bias is missing"),
        (lambda a: a.update(odd=np.zeros(1, np.float32)), "odd is not of the network"),
        (lambda a: a.update({"fc.bias": np.zeros(4, np.float32)}), r"fc\.bias.*\(4\)"),
        (
            lambda a: a.update({"conv1.weight": a["conv1.weight"][:, :, :5]}),
            r"conv1\.weight.*\(64, 1, 5, 7\).*\(64, 1, 7, 7\)",
        ),
        (
            lambda a: a.update({"fc.weight": nan_in(a["fc.weight"])}),
            r"fc\.weight.*not finite",
        ),
        (
            lambda a: a.update({"bn1.running_var": -a["bn1.running_var"]}),
            r"bn1\.running_var.*variance",
        ),
        (
            lambda a: a.update({"fc.weight": a["fc.weight"].astype(np.int8)}),
            r"fc\.weight.*scales",
        ),
        (
            lambda a: a.update({"fc.weight.scale": np.ones(3, np.float32)}),
            r"fc\.weight.*scales",
        ),
        (
            lambda a: a.update(
                {
                    "fc.weight": a["fc.weight"].astype(np.int8),
                    "fc.weight.scale": np.ones(2, np.float32),
                }
            ),
            r"fc\.weight.*3 rows.*scales for 2",
        ),
        (
            lambda a: a.update(
                {
                    "fc.weight": a["fc.weight"].astype(np.int8),
                    "fc.weight.scale": np.full(3, np.inf, np.float32),
                }
            ),
            r"fc\.weight.*not finite",
        ),
        (
            lambda a: a.update({"fc.bias": a["fc.bias"].astype(np.float64)}),
            r"fc\.bias.*float64",
        ),
    ],
)
def test_bad_arrays_are_refused(tmp_path, stored, change, fact):
    arrays, metadata = stored
    arrays = dict(arrays)
    change(arrays)
    path = tmp_path / "bad.safetensors"
    save_file(arrays, path, metadata)
    with pytest.raises(errors.WeightsError, match=fact) as caught:
        busnet.load(path)
    assert "bad.safetensors" in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "fact"),
    [
        ({"network": {"name": "resnet19"}}, "resnet19"),
        ({"network": {"name": "resnet18", "depths": [9, 9, 9, 9]}}, "depths|blocks"),
        ({"network": {"name": "resnet18", "odd": 1}}, "odd"),
        ({"network": 7}, "type"),
        ({"network": {"name": "resnet18", "pooling": "max"}}, "mean or lesion"),
        (
            {"network": {"name": "resnet18", "pooling": "lesion", "heads": ["mask"]}},
            "has mask alone",
        ),
        ({"classes": []}, "classes"),
        ({"classes": ["a", "a"]}, "distinct"),
        ({"classes": "abc"}, "classes"),
        ({"image_size": 7}, "image size"),
        ({"image_size": "large"}, "image size 'large'"),
        ({"image_size": 224.9}, "image size 224.9 is no whole number"),
        ({"image_size": math.inf}, "image size inf is no whole number"),
        ({"image_size": math.nan}, "image size nan is no whole number"),
        ({"image_size": True}, "image size True"),
        ({"image_size": 10**400}, "image size 1000"),
        ({"mean": 0.5}, "type"),
        ({"mean": ["0.5"]}, "type.*'0.5' is no number"),
        ({"mean": [True]}, "type.*True is no number"),
        ({"mean": [1e300]}, "mean.*1e.300.* at most 1e.15"),
        ({"mean": [math.nan]}, "mean.*nan"),
        ({"mean": [10**400]}, "a number of 401 digits is too large"),
        ({"std": [1e-300]}, "std 1e-300 is not positive, from 1e-15 to 1e.15"),
        ({"std": [math.inf]}, "std inf"),
        ({"temperature": 10**400}, "a number of 401 digits is too large"),
        ({"temperature": 1e300}, "temperature 1e.300"),
        ({"temperature": "1.5"}, "type.*'1.5' is no number"),
        ({"operating_points": {"high": 10**400}}, "401 digits"),
        ({"operating_points": [["high", 0.5]]}, "type.*is no object"),
        ({"class_shares": {"normal": 10**400}}, "401 digits"),
        ({"provenance": [["a", 1]]}, "type.*is no object"),
        ({"content_hashes": {"a": 7}}, "type.*a: 7 is no string"),
        ({"network": {"name": "resnet18", "depths": [2.9, 2, 2, 2]}}, "blocks"),
        ({"network": {"name": "resnet18", "channels": 1.0}}, "1 or 3 channels.*1.0"),
        ({"network": {"name": "resnet18", "channels": 2}}, "1 or 3 channels, not 2"),
        ({"network": {"name": "resnet18", "ceil_pool": 7}}, "ceil_pool is true or"),
        ({"mean": [0.1, 0.2]}, "mean"),
        ({"std": [0.0]}, "std"),
        ({"temperature": 0}, "temperature"),
        ({"temperature": None}, "type"),
        ({"mask_threshold": 1}, "threshold"),
        ({"format": 2}, "format"),
        ({"extra": 1}, "extra"),
        ({"operating_points": {"high": 1.5}}, "high.*1.5"),
        ({"abstain_below": -1}, "abstain"),
        ({"lesion_peak": 1.5}, "lesion peak.*1.5"),
    ],
)
def test_bad_metadata_is_refused(tmp_path, stored, changes, fact):
    arrays, metadata = stored
    document = {**json.loads(metadata["busnet"]), **changes}
    path = tmp_path / "bad.safetensors"
    save_file(arrays, path, {"busnet": json.dumps(document)})
    with pytest.raises(errors.BusnetError, match=fact) as caught:
        busnet.load(path)
    assert "bad.safetensors" in str(caught.value)


def test_files_that_are_none_are_refused(tmp_path, weights_file, stored):
    with pytest.raises(errors.MissingWeightsError, match=r"none\.safetensors"):
        busnet.load(tmp_path / "none.safetensors")
    with pytest.raises(errors.MissingWeightsError, match=r"resnet99.*mod_resnet101"):
        busnet.load("resnet99")
    path = tmp_path / "bad.safetensors"
    save_file(stored[0], path)
    with pytest.raises(errors.WeightsError, match=r"bad\.safetensors.*metadata"):
        busnet.load(path)
    for text in ("{", "[" * 100_000):
        save_file(stored[0], path, {"busnet": text})
        with pytest.raises(errors.WeightsError, match=r"bad\.safetensors.*JSON"):
            busnet.load(path)
    data = weights_file.read_bytes()
    for size in (0, 4, 8, 100, len(data) // 2, len(data) - 1):
        path.write_bytes(data[:size])
        with pytest.raises(errors.WeightsError, match=r"bad\.safetensors"):
            busnet.load(path)
    path.write_bytes(b"\xff" * 1000)
    with pytest.raises(errors.WeightsError, match=r"bad\.safetensors"):
        busnet.load(path)


def test_info_refuses_what_no_model_can_be():
    info = random_info(ROW)
    for field, value in (("std", (-1.0,)), ("mean", (np.inf,)), ("image_size", 5000)):
        with pytest.raises(errors.WeightsError):
            dataclasses.replace(info, **{field: value})
