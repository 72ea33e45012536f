"""Where training starts: what is taken of a checkpoint, and what starts fresh."""

import sys
import types

import numpy as np
import pytest
import torch
from random_weights import random_images, save_random
from torch_resnets import random_resnet

from busnet import errors
from busnet.data import CLASSES
from busnet.networks import get_network
from busnet.training import start as starts
from busnet.training.graph import module
from busnet.training.start import open_start
from busnet.weights import read_arrays

ROW = get_network("resnet18", channels=1)
RGB = get_network("resnet18")


def initialised(start, row):
    torch.manual_seed(0)
    graph = module(row)
    start.initialise(graph)
    return graph.eval(), {k: v.numpy() for k, v in graph.state_dict().items()}


@pytest.fixture
def checkpoint(tmp_path):
    """Write torchvision's arrays of a random ResNet-18 of three channels."""
    network = random_resnet("resnet18", classes=3)
    path = tmp_path / "theirs.pth"
    torch.save(network.state_dict(), path)
    return network, path


def features(graph, images):
    """Return what the last stage of a busnet module computes."""
    outputs = {}
    graph.layer4.get_submodule("1").bn2.register_forward_hook(
        lambda _, __, output: outputs.update(y=output)
    )
    with torch.no_grad():
        graph(images)
    return outputs["y"]


def test_without_a_start_all_is_random():
    start = open_start(None, ROW)
    assert start.identity is None
    assert start.provenance == "random"
    assert "conv1.weight" in start.fresh
    assert start.norms is None
    _, arrays = initialised(start, ROW)
    assert not arrays["layer1.0.bn2.weight"].any()


def test_a_checkpoint_of_torchvision_gives_stem_and_stages(checkpoint):
    network, path = checkpoint
    start = open_start(path, RGB)
    assert start.summary == (
        f"start: {path}: taken: stem, layer1, layer2, layer3, layer4; fresh: class "
        f"head (it does not name its classes), mask head (there is none)"
    )
    assert start.provenance["converted"]["file"] == "theirs.pth"
    assert start.norms is None
    fresh = {name.partition(".")[0] for name in start.fresh}
    assert fresh == {"fc", "decoder"}
    _, arrays = initialised(start, RGB)
    for name, value in network.state_dict().items():
        if not name.startswith("fc.") and "num_batches" not in name:
            np.testing.assert_array_equal(arrays[name], value)
    assert not np.array_equal(arrays["fc.weight"], network.fc.weight.detach())


def test_a_stem_of_colours_sees_grey_as_before(checkpoint):
    network, path = checkpoint
    graph, _ = initialised(open_start(path, ROW), ROW)
    grey = torch.from_numpy(random_images((2, 1, 96, 96)))
    mean, std = (torch.tensor(x)[:, None, None] for x in RGB.statistics)
    outputs = {}
    network.bn1.register_forward_hook(
        lambda _, __, output: outputs.update(a=output.clone())
    )
    graph.bn1.register_forward_hook(
        lambda _, __, output: outputs.update(b=output.clone())
    )
    with torch.no_grad():
        network((grey.repeat(1, 3, 1, 1) - mean) / std)
        graph(grey)
    # Borders differ: a colour's black is not the grey's.
    inner = (..., slice(2, -2), slice(2, -2))
    torch.testing.assert_close(
        outputs["a"][inner], outputs["b"][inner], atol=1e-4, rtol=0
    )


def test_statistics_of_ones_own_are_part_of_the_stem(tmp_path):
    path = tmp_path / "w.safetensors"
    save_random(path, RGB)  # whose mean is 0.45, and not ImageNet's
    start = open_start(path, RGB)
    graph, _ = initialised(start, RGB)
    theirs = module(RGB, mean=(0.45,) * 3, std=(0.225,) * 3).eval()
    arrays = {k: torch.from_numpy(a) for k, a in read_arrays(path).items()}
    theirs.load_state_dict(arrays, strict=False)
    images = torch.from_numpy(random_images((1, 3, 224, 224)))
    a, b = features(theirs, images), features(graph, images)
    inner = (..., slice(3, -3), slice(3, -3))
    torch.testing.assert_close(a[inner], b[inner], atol=2e-2, rtol=2e-2)


def test_a_file_of_the_same_network_is_taken_whole(tmp_path):
    path = save_random(
        tmp_path / "w.safetensors", ROW, mean=ROW.statistics[0], std=ROW.statistics[1]
    )
    start = open_start(path, ROW)
    assert start.fresh == set()
    assert start.norms == set()
    _, arrays = initialised(start, ROW)
    for name, array in read_arrays(path).items():
        np.testing.assert_array_equal(arrays[name], array)


def test_a_network_without_a_decoder_starts_one_with_two_heads(tmp_path):
    row = get_network("resnet18", channels=1, heads=("class",))
    path = save_random(tmp_path / "w.safetensors", row)
    start = open_start(path, ROW)
    assert start.summary.endswith(
        "taken: stem, layer1, layer2, layer3, layer4, class head; fresh: mask head "
        "(there is none)"
    )
    assert {name.partition(".")[0] for name in start.fresh} == {"decoder"}
    assert start.norms
    assert all(name.startswith("decoder.") for name in start.norms)
    lesion = open_start(path, get_network("resnet18", channels=1, pooling="lesion"))
    assert "lesion head (there is none)" in lesion.summary


def test_a_network_with_two_heads_starts_one_with_one(tmp_path):
    path = save_random(tmp_path / "w.safetensors", ROW)
    row = get_network("resnet18", channels=1, heads=("class",))
    start = open_start(path, row)
    assert start.fresh == set()
    assert start.summary.endswith("; not used: mask head")


def test_classes_are_put_in_order(tmp_path):
    order = ("malignant", "normal", "benign")
    path = save_random(tmp_path / "w.safetensors", ROW, classes=order)
    _, arrays = initialised(open_start(path, ROW), ROW)
    theirs = read_arrays(path)
    for part in ("weight", "bias"):
        for i, name in enumerate(CLASSES):
            np.testing.assert_array_equal(
                arrays[f"fc.{part}"][i], theirs[f"fc.{part}"][order.index(name)]
            )
    path = save_random(tmp_path / "x.safetensors", ROW, classes=("cat", "dog", "cow"))
    start = open_start(path, ROW)
    assert "fresh: class head (its classes are cat, dog, cow)" in start.summary


def test_stage_shortcuts_start_fresh_and_add_nothing(tmp_path):
    modified = get_network("resnet18", channels=1, stage_shortcuts=True)
    path = save_random(tmp_path / "w.safetensors", ROW)
    start = open_start(path, modified)
    assert "fresh: stage shortcuts (there is none)" in start.summary
    plain, _ = initialised(open_start(path, ROW), ROW)
    graph, arrays = initialised(start, modified)
    assert not arrays["layer1.shortcut.1.weight"].any()
    images = torch.from_numpy(random_images((1, 1, 64, 64)))
    with torch.no_grad():
        for head, expected in plain(images).items():
            torch.testing.assert_close(graph(images)[head], expected)


def test_a_shipped_name_is_a_start():
    row = get_network("resnet18", channels=1, pooling="lesion")
    start = open_start("resnet18", row)
    assert start.fresh == set()
    assert start.provenance["protocol"] == "release"
    assert start.hashes


@pytest.mark.parametrize(
    ("row", "match"),
    [
        (get_network("resnet34"), r"basic blocks \(2, 2, 2, 2\), resnet34 has basic"),
        (get_network("resnet50"), r"resnet50 has bottleneck blocks \(3, 4, 6, 3\)"),
    ],
)
def test_other_networks_are_refused(checkpoint, tmp_path, row, match):
    with pytest.raises(errors.WeightsError, match=match):
        open_start(checkpoint[1], row)
    path = save_random(tmp_path / "w.safetensors", RGB)
    with pytest.raises(errors.WeightsError, match=match):
        open_start(path, row)


def test_another_variant_is_refused(tmp_path):
    row = get_network("resnet18", variant="v1")
    path = save_random(tmp_path / "w.safetensors", row)
    with pytest.raises(errors.WeightsError, match=r"the variant .* is v1, not v1\.5"):
        open_start(path, RGB)


@pytest.mark.parametrize(
    ("damage", "match"),
    [
        (lambda a: a.pop("layer2.0.bn1.bias"), "layer2.0.bn1.bias is missing"),
        (
            lambda a: a.update({"layer3.0.bn1.bias": torch.ones(3)}),
            r"layer3.0.bn1.bias is \(3,\), the network needs \(256,\)",
        ),
        (
            lambda a: a["layer3.0.bn1.bias"].fill_(torch.nan),
            "layer3.0.bn1.bias holds numbers that are not finite",
        ),
        (
            lambda a: a["layer3.0.bn1.running_var"].fill_(-1),
            "layer3.0.bn1.running_var holds a negative variance",
        ),
        (lambda a: a.update({"conv1.0.weight": torch.ones(32, 3, 3, 3)}), "ResNet-C"),
    ],
)
def test_stages_must_fit(checkpoint, damage, match):
    network, path = checkpoint
    arrays = network.state_dict()
    damage(arrays)
    torch.save(arrays, path)
    with pytest.raises((errors.WeightsError, errors.UnknownNetworkError), match=match):
        open_start(path, RGB)


def test_a_stem_that_does_not_fit_starts_fresh(tmp_path):
    network = random_resnet("resnet18", channels=1)
    path = tmp_path / "grey.pth"
    torch.save(network.state_dict(), path)
    start = open_start(path, RGB)
    expected = "stem (conv1.weight is (64, 1, 7, 7), the network needs (64, 3, 7, 7))"
    assert expected in start.summary
    assert "bn1.weight" in start.fresh
    assert "stem" in open_start(path, ROW).summary.partition("fresh")[0]


def test_what_is_no_start_is_refused(tmp_path):
    with pytest.raises(
        errors.MissingWeightsError, match="no model is called 'resnet19'"
    ):
        open_start("resnet19", RGB)
    with pytest.raises(errors.MissingWeightsError, match=r"none\.pth: no such file"):
        open_start(tmp_path / "none.pth", RGB)
    with pytest.raises(errors.MissingWeightsError, match=r"resnet18_imagenet_partial"):
        open_start(tmp_path, RGB)


def fake_torchvision(monkeypatch, get_state_dict):
    weight = types.SimpleNamespace(get_state_dict=get_state_dict)
    requests = []
    models = types.SimpleNamespace(
        get_weight=lambda name: requests.append(name) or weight
    )
    package = types.SimpleNamespace(models=models)
    monkeypatch.setitem(sys.modules, "torchvision", package)
    monkeypatch.setitem(sys.modules, "torchvision.models", models)
    return requests


def test_imagenet_weights_come_through_torchvision(monkeypatch):
    state = random_resnet("resnet18", classes=1000).state_dict()
    requests = fake_torchvision(monkeypatch, lambda **_: state)
    start = open_start("torchvision", ROW)
    assert requests == ["ResNet18_Weights.IMAGENET1K_V1"]
    assert start.provenance == "ImageNet (ResNet18_Weights.IMAGENET1K_V1)"
    assert start.identity == "ResNet18_Weights.IMAGENET1K_V1"
    assert "taken: stem, layer1" in start.summary


def test_torchvision_may_be_missing_or_offline(monkeypatch):
    monkeypatch.setitem(sys.modules, "torchvision", None)
    with pytest.raises(errors.MissingExtraError, match="pip install torchvision"):
        open_start("torchvision", ROW)

    def offline(**_):
        raise OSError("no network")

    requests = fake_torchvision(monkeypatch, offline)
    row = get_network("mod_resnet101")
    with pytest.raises(errors.WeightsError, match=r"cannot be downloaded \(no network"):
        open_start("torchvision", row)
    assert requests == ["ResNet101_Weights.IMAGENET1K_V1"]


def test_torchvisions_files_are_known_by_their_hash(checkpoint, monkeypatch):
    _, path = checkpoint
    digest = open_start(path, RGB).provenance["converted"]["sha256"]
    monkeypatch.setitem(starts._IMAGENET, digest[:8], "ResNet18_Weights.X")
    assert open_start(path, RGB).provenance == "ImageNet (ResNet18_Weights.X)"
