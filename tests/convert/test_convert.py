"""Conversion without PyTorch: safetensors files, and every fault that they may have."""

import copy
import gc
import os
import pickle
import shutil
import sys

import numpy as np
import pytest
from helpers import call
from random_weights import CLASSES, random_arrays, random_images
from safetensors.numpy import save_file

import busnet
from busnet.convert import convert
from busnet.engine import cache
from busnet.errors import WeightsError
from busnet.networks import get_network
from busnet.quantization import quantize

ROW = get_network("resnet18", heads=("class",))

#: Class shares of a training's data.
SHARES = {"normal": 0.1, "benign": 0.6, "malignant": 0.3}


@pytest.fixture
def arrays():
    return {name: array.copy() for name, array in random_arrays(ROW).items()}


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    path = tmp_path_factory.mktemp("theirs") / "theirs.safetensors"
    save_file(random_arrays(ROW), path)
    return path


def test_a_converted_model_does_all_that_a_model_does(source, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    out = tmp_path / "mine.safetensors"
    info = convert(source, out, classes=CLASSES, image_size=64, resize=(64, 64))
    model = busnet.load(out)
    assert model.info == info
    image = random_images((80, 100))
    result = model.classify(image)
    assert result.label in CLASSES
    logits = model.run(
        np.repeat(info.preprocessing.place(80, 100).apply(image)[None, ..., None], 3, 3)
    )["class"][0]
    shares = np.exp(logits - logits.max())
    assert [*result.probabilities.values()] == pytest.approx(
        shares / shares.sum(), rel=1e-4
    )
    assert model.features(image).shape == (512,)
    assert model.activation_map(image).shape == (80, 100)
    with pytest.raises(busnet.ModelError, match="no mask head"):
        model.segment(image)
    calibrated = tmp_path / "int8.safetensors"
    assert quantize(out, [image, image.T], calibrated) == 2
    eight = busnet.load(calibrated, precision="int8").classify(image)
    assert eight.probabilities[result.label] == pytest.approx(
        result.probabilities[result.label], abs=0.1
    )


def test_the_file_says_what_was_assumed(source, tmp_path):
    info = convert(source, tmp_path / "mine.safetensors", classes=CLASSES)
    assert info.network == ROW
    assert (info.image_size, info.resize) == (224, 256)
    assert info.mean == (0.485, 0.456, 0.406)
    assert info.std == (0.229, 0.224, 0.225)
    assert info.provenance["data"] == "unknown (converted)"
    converted = info.provenance["converted"]
    assert converted["file"] == "theirs.safetensors"
    assert converted["keys"] == "no prefix, head fc"
    assert converted["strides"] == "v1.5, assumed"
    assert len(converted["sha256"]) == 64


@pytest.mark.parametrize(
    ("damage", "match"),
    [
        (
            lambda a: a.pop("layer3.1.bn2.running_var"),
            r"layer3.1.bn2.running_var is missing; resnet18 needs it, \(256,\)",
        ),
        (lambda a: a.pop("conv1.weight"), r"conv1.weight is missing"),
        (lambda a: a.pop("fc.bias"), r"fc.bias is missing; resnet18 needs it, \(3,\)"),
        (lambda a: a.pop("fc.weight"), r"there is no head"),
        (
            lambda a: a.update({"conv1.bias": np.zeros(64, np.float32)}),
            r"conv1.bias \(64,\) is no array of resnet18$",
        ),
        (
            lambda a: a.update({"loss.w": np.ones(1, "f4"), "x": np.ones(2, "f4")}),
            r"loss.w \(1,\) is no array of resnet18 \(and 1 more\)",
        ),
        (
            lambda a: a.update({"layer2.1.conv1.weight": np.zeros((128, 128, 1, 1))}),
            r"layer2.1.conv1.weight is \(128, 128, 1, 1\), resnet18 needs "
            r"\(128, 128, 3, 3\)",
        ),
        (
            lambda a: a["layer1.0.bn1.bias"].put(3, np.nan),
            r"layer1.0.bn1.bias holds numbers that are not finite",
        ),
        (
            lambda a: a["layer1.0.bn1.running_var"].put(3, -1),
            r"layer1.0.bn1.running_var holds a negative variance",
        ),
        (
            lambda a: a.update({"conv1.weight": np.zeros((64, 4, 7, 7))}),
            r"conv1.weight is \(64, 4, 7, 7\); networks take 1 or 3 channels",
        ),
        (
            lambda a: a.update({"conv1.weight": np.zeros((64, 3, 3, 3))}),
            r"conv1.weight is \(64, 3, 3, 3\), resnet18 needs \(64, 3, 7, 7\)",
        ),
        (
            lambda a: a.update({"bn1.weight": np.ones(64, "i4")}),
            r"bn1.weight: it is I32, not floating point",
        ),
        (lambda a: a.pop("bn1.running_mean"), r"no running statistics"),
    ],
)
def test_faults_of_arrays_are_named(tmp_path, arrays, damage, match):
    damage(arrays)
    save_file(arrays, tmp_path / "theirs.safetensors")
    out = tmp_path / "out" / "mine.safetensors"
    with pytest.raises(
        (WeightsError, busnet.UnknownNetworkError), match=match
    ) as raised:
        convert(tmp_path / "theirs.safetensors", out, classes=CLASSES)
    assert "theirs.safetensors: " in str(raised.value)
    assert not out.exists()


@pytest.mark.parametrize(
    ("classes", "match"),
    [
        ([], r"no class is named; fc.weight is \(3, 512\)"),
        (["a", "b", "a"], r"the class 'a' is named 2 times"),
        (["a", " ", "b"], r"a class has no name"),
        (["a", "b"], r"fc.weight is \(3, 512\), for 2 classes \(a, b\) .*\(2, 512\)"),
        ("abc", r"list of names, not 'abc'"),
        ([1, 2, 3], r"list of names, not \[1, 2, 3\]"),
        (None, r"list of names, not None"),
        (["a", " b", "c"], r"the class ' b' has spaces around its name"),
        (["a", "b\n", "c"], r"the class 'b\\n' has"),
        (["Benign", "b", "c"], r"the class 'Benign' is called 'benign' here"),
        (["benign", "MALIGNANT", "c"], r"'MALIGNANT' is called 'malignant' here"),
    ],
)
def test_classes_must_be_those_of_the_head(source, tmp_path, classes, match):
    out = tmp_path / "mine.safetensors"
    with pytest.raises(WeightsError, match=match):
        convert(source, out, classes=classes)
    assert not out.exists()


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"network": "resnet34"}, r"resnet34 has basic blocks \(3, 4, 6, 3\), the arr"),
        ({"network": "resnext50"}, r"no network is called 'resnext50'"),
        ({"mean": (0.5,)}, r"mean has 1 numbers, the network takes 3 channels"),
        ({"std": (0.5, 0.5, 0)}, r"std .* is not positive"),
        ({"resize": 200}, r"resize 200 is neither .* from the image size, 224"),
        ({"resize": (224, 100)}, r"resize \(224, 100\)"),
        ({"resize": "squash"}, r"resize 'squash'"),
        ({"resize": 256.0}, r"resize 256.0"),
        ({"resize": (256,)}, r"resize \(256,\) is neither"),
        ({"mean": 0.5}, r"mean is a list of numbers, one a channel, not 0.5"),
        ({"mean": (124.0, 116.3, 103.5)}, r"mean .* not of intensities in 0..1"),
        ({"std": (58.4, 57.1, 57.4)}, r"std .* divide what is of 0..255 by 255"),
        ({"image_size": "64"}, r"image size '64' is no whole number"),
        ({"image_size": 64.0}, r"image size 64.0 is no whole number"),
        ({"interpolation": "nearest"}, r"interpolation 'nearest'"),
        ({"resize": "letterbox", "interpolation": "bicubic"}, r"letterbox is bilinear"),
        ({"image_size": 8}, r"image size 8"),
        ({"variant": "v2"}, r"variant is v1 or v1.5, not 'v2'"),
        (
            {"class_shares": {"benign": 0.6, "malignant": 0.4}},
            r"class shares are of benign, malignant, classes are normal, benign, mal",
        ),
        (
            {"class_shares": {**SHARES, "normal": 0}},
            r"not positive numbers that add up",
        ),
        ({"class_shares": {**SHARES, "normal": 0.3}}, r"not positive numbers that add"),
        ({"class_shares": {**SHARES, "normal": np.nan}}, r"not positive numbers that"),
        ({"class_shares": {}}, r"class shares are a number by class, not {}"),
        ({"class_shares": [0.5, 0.5]}, r"shares are a number by class, not \[0.5, 0.5"),
        ({"class_shares": {**SHARES, "normal": "1"}}, r"shares are a number by class"),
    ],
)
def test_options_must_fit(source, tmp_path, options, match):
    out = tmp_path / "mine.safetensors"
    with pytest.raises((WeightsError, busnet.UnknownNetworkError), match=match):
        convert(source, out, classes=CLASSES, **options)
    assert not out.exists()


def test_a_prior_starts_from_the_class_shares_of_the_training(source, tmp_path):
    out = tmp_path / "mine.safetensors"
    text = "benign=0.6, malignant=0.3,normal=0.1"
    done = call(
        "convert", source, "--classes", ",".join(CLASSES), "--class-shares", text,
        "--image-size", 64, "--out", out,
    )  # fmt: skip
    assert "a prior starts from: benign 0.6, malignant 0.3, normal 0.1" in done.stderr
    model = busnet.load(out)
    assert model.info.class_shares == SHARES
    assert model.info.provenance["converted"]["class_shares"] == "given"
    image = random_images((80, 100))
    plain = model.classify(image).probabilities
    same = model.classify(image, prior=SHARES).probabilities
    assert same == pytest.approx(plain, rel=1e-6)
    # Bayes' rule: probabilities times the ratio of both shares, normalised.
    weighed = {name: plain[name] / SHARES[name] for name in CLASSES}
    prior = dict.fromkeys(CLASSES, 1 / 3)
    assert model.classify(image, prior=prior).probabilities == pytest.approx(
        {name: p / sum(weighed.values()) for name, p in weighed.items()}, rel=1e-5
    )


def test_one_output_is_refused(tmp_path, arrays):
    """The softmax of one logit is 1, whatever the image shows."""
    arrays["fc.weight"], arrays["fc.bias"] = arrays["fc.weight"][:1], np.zeros(1, "f4")
    with pytest.raises(WeightsError, match=r"one output; fc.weight is \(1, 512\)"):
        convert(arrays, tmp_path / "mine.safetensors", classes=["malignant"])


def test_arrays_in_memory(tmp_path, arrays):
    info = convert(arrays, tmp_path / "mine.safetensors", classes=CLASSES)
    assert info.network == ROW


@pytest.mark.parametrize("value", [np.inf, -np.inf, 1e300])
def test_numbers_that_are_too_large_are_named(tmp_path, arrays, value):
    arrays["conv1.weight"] = arrays["conv1.weight"].astype(np.float64)
    arrays["conv1.weight"].flat[:2] = value, -value
    with pytest.raises(WeightsError, match=r"conv1.weight holds .* not finite"):
        convert(arrays, tmp_path / "mine.safetensors", classes=CLASSES)


def test_files_that_would_be_lost_are_not_written(source, tmp_path):
    with pytest.raises(WeightsError, match=r"mine: a model's file ends in"):
        busnet.from_torch(source, classes=CLASSES, out=tmp_path / "mine")
    assert not list(tmp_path.iterdir())
    before = source.read_bytes()
    with pytest.raises(WeightsError, match=r"would take the place of what it is made"):
        convert(source, source, classes=CLASSES)
    assert source.read_bytes() == before


def test_safetensors_of_any_name(source, tmp_path):
    for name in ("theirs.SAFETENSORS", "pytorch_model.bin"):
        path = tmp_path / name
        path.symlink_to(source)
        info = convert(path, tmp_path / "mine.safetensors", classes=CLASSES)
        assert info.network == ROW
    with pytest.raises(busnet.MissingWeightsError, match=r"it is a folder"):
        convert(tmp_path, tmp_path / "mine.safetensors", classes=CLASSES)


def test_a_missing_and_a_damaged_file(tmp_path):
    with pytest.raises(busnet.MissingWeightsError, match=r"none.pth: no such file"):
        convert(tmp_path / "none.pth", tmp_path / "out.safetensors", classes=["a"])
    path = tmp_path / "half.safetensors"
    path.write_bytes(b"\x10\0\0\0\0\0\0\0{}")
    with pytest.raises(WeightsError, match=r"half.safetensors: not a whole"):
        convert(path, tmp_path / "out.safetensors", classes=["a"])


def test_a_model_of_busnets_is_no_source(weights_file, tmp_path):
    with pytest.raises(WeightsError, match=r"it is a file of busnet's already"):
        convert(weights_file, tmp_path / "out.safetensors", classes=["a"])


def test_pickles_need_pytorch(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    path = tmp_path / "theirs.pth"
    path.write_bytes(b"anything")
    with pytest.raises(busnet.MissingExtraError, match=r"busnet\[train\]"):
        convert(path, tmp_path / "out.safetensors", classes=["a"])


def test_the_command_says_what_it_assumed(source, tmp_path):
    out = tmp_path / "mine.safetensors"
    command = ["convert", source, "--classes", "normal, benign,malignant", "--out", out]
    lines = call(*command).stderr
    for part in (
        "resnet18, normal, benign, malignant",
        "strides: v1.5, assumed",
        "shorter side to 256 (bilinear), centre crop of 224, RGB",
        "mean 0.485, 0.456, 0.406",
        "probabilities: not calibrated",
        "class shares that a prior starts from: all the same, assumed",
        "training data: unknown",
    ):
        assert part in lines
    assert busnet.load(out).info.classes == CLASSES
    options = ["--image-size", "64", "--resize", "70x80", "--interpolation", "bicubic"]
    options += ["--mean", "0.5,0.5,0.5", "--std", "0.25,0.25,0.25", "--variant", "v1.5"]
    call(*command, *options)
    info = busnet.load(out).info
    assert (info.image_size, info.resize) == (64, (70, 80))
    assert (info.mean, info.std) == ((0.5,) * 3, (0.25,) * 3)


@pytest.mark.parametrize(
    ("options", "status", "match"),
    [
        (["--classes", "a,b"], 1, "fc.weight is (3, 512), for 2 classes (a, b)"),
        (["--classes", ""], 2, "after --classes is empty"),
        (["--classes", "a,b,c", "--resize", "big"], 2, "letterbox, N or HxW"),
        (["--classes", "a,b,c", "--mean", "x"], 2, "not numbers"),
        (["--classes", "a,b,c", "--variant", "v3"], 2, "v3"),
        (["--classes", "a,b,c", "--class-shares", "a=x"], 2, "is not CLASS=P"),
        (["--classes", "a,b,c", "--class-shares", "a=0.5,b=0.5"], 1, "are of a, b, cl"),
    ],
)
def test_the_command_names_faults(source, tmp_path, options, status, match):
    out = tmp_path / "mine.safetensors"
    done = call("convert", source, "--out", out, *options, check=status)
    assert match in " ".join(done.stderr.split())
    assert not out.exists()


def test_the_command_writes_safetensors_only(source, tmp_path):
    out = tmp_path / "mine.pth"
    done = call("convert", source, "--classes", "a,b,c", "--out", out, check=2)
    assert "ends in .safetensors" in done.stderr


def test_a_model_without_a_file_is_pickled_whole(source):
    model = busnet.from_torch(source, classes=CLASSES, image_size=64, precision="exact")
    image = random_images((80, 100))
    expected = model.classify(image).probabilities
    data, former = pickle.dumps(model), model.path
    del model
    gc.collect()
    assert not former.exists()
    again = pickle.loads(data)
    assert (again.precision, again.name) == ("exact", former.name)
    assert again.classify(image).probabilities == expected
    third, second = copy.copy(again), again.path
    del again
    gc.collect()
    assert not second.exists()
    assert third.path.exists()
    assert third.classify(image).probabilities == expected


def test_a_model_without_a_file_leaves_nothing_in_the_cache(
    source, tmp_path, monkeypatch
):
    monkeypatch.setenv(cache.VARIABLE, str(tmp_path / "cache"))
    model = busnet.from_torch(source, classes=CLASSES, image_size=64)
    again = pickle.loads(pickle.dumps(model))
    assert again.classify(random_images((80, 100))).probabilities
    assert not (tmp_path / "cache").exists()
    busnet.load(again.path)
    assert (tmp_path / "cache").exists()


def test_a_forked_process_leaves_the_file_of_its_model(source, monkeypatch):
    model = busnet.from_torch(source, classes=CLASSES, image_size=64)
    path, process = model.path, os.getpid()
    monkeypatch.setattr(os, "getpid", lambda: process + 1)
    del model
    gc.collect()
    assert path.exists()
    shutil.rmtree(path.parent)


def test_a_model_with_a_file_is_pickled_by_its_path(source, tmp_path):
    out = tmp_path / "mine.safetensors"
    data = pickle.dumps(busnet.from_torch(source, classes=CLASSES, out=out))
    assert len(data) < 1000
    assert pickle.loads(data).path == out
