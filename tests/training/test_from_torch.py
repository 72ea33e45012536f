"""Modules and their state dicts against the models that are made of them."""

import os

import numpy as np
import pytest
import torch
from random_weights import CLASSES, random_images, save_random
from safetensors.torch import save_file
from torch import nn
from torch_resnets import DEPTHS, LAYOUTS, random_resnet

import busnet
from busnet import weights
from busnet.errors import UnknownNetworkError, WeightsError
from busnet.networks import get_network

SIZE = 64


def logits(module, model, count=2):
    """Return both networks' logits of random images."""
    info = model.info
    images = random_images((count, SIZE, SIZE, info.network.channels))
    mean, std = (np.float32(numbers) for numbers in (info.mean, info.std))
    planes = torch.from_numpy(((images - mean) / std).transpose(0, 3, 1, 2).copy())
    with torch.no_grad():
        return model.run(images)["class"], module(planes).numpy()


def difference(module, model):
    """Return the relative L2 difference of both networks' logits."""
    got, expected = logits(module, model)
    assert got.shape == expected.shape
    return np.linalg.norm(got - expected) / np.linalg.norm(expected)


def converted(source, classes=CLASSES, **options):
    options = {"image_size": SIZE, "precision": "exact", **options}
    return busnet.from_torch(source, classes=classes, **options)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name", DEPTHS)
def test_logits_are_pytorchs(name, layout, tmp_path):
    module = random_resnet(name, layout=layout)
    model = converted(module.state_dict(), out=tmp_path / "model.safetensors")
    assert model.info.network == get_network(name, heads=("class",))
    assert difference(module, model) < 1e-5
    fast = busnet.load(model.path)
    assert difference(module, fast) < 1e-4


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("classes", [2, 5, 1000])
def test_channels_and_classes(channels, classes):
    module = random_resnet("resnet18", classes, channels)
    names = [f"class {i}" for i in range(classes)]
    model = converted(module, classes=names)
    assert difference(module, model) < 1e-5
    result = model.classify(random_images((80, 70)))
    assert [*result.probabilities] == names


@pytest.mark.parametrize("suffix", ["pth", "safetensors"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_files_of_any_precision(tmp_path, suffix, dtype):
    module = random_resnet("resnet18").to(dtype)
    path = tmp_path / f"weights.{suffix}"
    save = save_file if suffix == "safetensors" else torch.save
    save(module.state_dict(), path)
    model = converted(path)
    assert difference(module.float(), model) < 1e-5
    origin = model.info.provenance["converted"]
    assert origin["file"] == path.name
    assert len(origin["sha256"]) == 64
    assert origin["strides"] == "v1.5, assumed"


class Lightning(nn.Module):
    """A network in a wrapper, its linear layer behind a dropout."""

    def __init__(self, network):
        super().__init__()
        self.backbone = network
        network.fc = nn.Sequential(nn.Dropout(0.5), network.fc)

    def forward(self, x):
        return self.backbone(x)


class Children(nn.Module):
    """The layers of a network by their numbers, and a head of its own."""

    def __init__(self, network):
        super().__init__()
        self.features = nn.Sequential(*list(network.children())[:-1])
        self.classifier = network.fc

    def forward(self, x):
        return self.classifier(self.features(x).flatten(1))


@pytest.mark.parametrize(
    ("wrap", "keys"),
    [
        (nn.DataParallel, "prefix module., head module.fc"),
        (Lightning, "prefix backbone., head backbone.fc.1"),
        (Children, "prefix features., head classifier, numbered layers"),
    ],
)
def test_wrappers(tmp_path, wrap, keys):
    module = wrap(random_resnet("resnet18")).eval()
    path = tmp_path / "last.ckpt"
    torch.save({"state_dict": module.state_dict(), "epoch": 3}, path)
    model = converted(path)
    assert model.info.provenance["converted"]["keys"] == keys
    assert difference(module, model) < 1e-5
    assert difference(module, converted(module)) < 1e-5


def test_converting_leaves_nothing_in_the_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("BUSNET_CACHE", str(tmp_path / "cache"))
    model = converted(random_resnet("resnet18"))  # checked against the module
    assert model.info.network.name == "resnet18"
    assert not (tmp_path / "cache").exists()


def test_modules_of_a_file_that_changed_are_refused(tmp_path):
    network = random_resnet("resnet18")
    path = tmp_path / "mine.safetensors"
    model = busnet.from_torch(network, classes=CLASSES, out=path)
    assert model.to_torch() is not None
    before = path.stat()
    busnet.from_torch(random_resnet("resnet18"), classes=CLASSES, out=path)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    with pytest.raises(WeightsError, match=r"mine\.safetensors.*changed meanwhile"):
        model.to_torch()


def test_strides_are_the_modules():
    module = random_resnet("resnet50", v1=True)
    model = converted(module)
    assert model.info.network.variant == "v1"
    assert not model.info.network.pools_in_ceil_mode
    assert model.info.provenance["converted"]["strides"] == "v1, as the module"
    assert difference(module, model) < 1e-5
    assert difference(module, converted(module.state_dict())) > 0.01
    given = converted(module.state_dict(), variant="v1")
    assert given.info.provenance["converted"]["strides"] == "v1, given"
    assert difference(module, given) < 1e-5


def test_a_stem_that_pools_in_ceil_mode():
    pool = nn.MaxPool2d(3, 2, ceil_mode=True)
    module = random_resnet("resnet18", pool=pool)
    model = converted(module)
    assert model.info.network.pools_in_ceil_mode
    assert difference(module, model) < 1e-5


@pytest.mark.parametrize("epsilon", [1e-3, 1e-8])
def test_norms_with_an_epsilon_of_their_own(epsilon):
    module = random_resnet("resnet18")
    for layer in module.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.eps = epsilon
            with torch.no_grad():
                layer.running_var.mul_(1e-2)
    module.eval()
    assert difference(module, converted(module)) < 1e-5


def test_a_module_is_left_as_it_is():
    module = random_resnet("resnet18").train().half()
    before = {key: value.clone() for key, value in module.state_dict().items()}
    converted(module)
    assert module.training
    after = module.state_dict()
    assert all(torch.equal(after[key], value) for key, value in before.items())


def test_busnets_own_modules_come_back(tmp_path):
    row = get_network("resnet18", channels=1, stage_shortcuts=True, pooling="lesion")
    path = save_random(tmp_path / "w.safetensors", row, SIZE)
    model = busnet.load(path)
    again = converted(model.to_torch())
    assert again.info.network == row
    assert again.info.mean == pytest.approx(model.info.mean)
    assert again.info.resize == "letterbox"
    expected = weights.read_arrays(path)
    for key, array in weights.read_arrays(again.path).items():
        np.testing.assert_array_equal(array, expected[key])


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"act": nn.GELU}, "computes something else"),
        ({"pool": nn.MaxPool2d(2, 2)}, "computes something else"),
        ({"pool": nn.AvgPool2d(3, 2, 1)}, "computes something else"),
    ],
)
def test_modules_that_compute_something_else_are_refused(change, match, tmp_path):
    module = random_resnet("resnet18", **change)
    out = tmp_path / "out.safetensors"
    with pytest.raises(WeightsError, match=match):
        converted(module, out=out)
    assert not list(tmp_path.iterdir())


def test_a_softmax_behind_the_network_is_refused():
    module = nn.Sequential(random_resnet("resnet18"), nn.Softmax(1))
    with pytest.raises(WeightsError, match="softmax"):
        converted(module)


def test_what_is_no_module_is_refused():
    with pytest.raises(WeightsError, match="not int"):
        converted(3)
    module = random_resnet("resnet18")
    module.fc = nn.Sequential(module.fc, nn.ReLU(), nn.Linear(3, 3))
    with pytest.raises(WeightsError, match=r"fc.0.weight \(3, 512\), fc.2.weight"):
        converted(module)


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"groups": 32, "base": 4}, r"ResNeXt.*32 groups \(layer1.0.conv2.weight"),
        ({"base": 128}, r"Wide ResNet.*128 channels wide, not 64"),
        ({"se": True}, r"an SE network.*layer1.0.se.fc1.weight \(16, 256, 1, 1\)"),
        ({"deep_stem": True}, r"ResNet-C.*conv1.0.weight \(32, 3, 3, 3\)"),
        ({"avg_down": True}, r"ResNet-D.*layer1.0.downsample.1.weight"),
        ({"depths": (1, 1, 1, 1)}, r"no network has bottleneck blocks \(1, 1, 1, 1\)"),
    ],
)
def test_relatives_are_refused_by_name(options, match):
    module = random_resnet("resnet50", **options)
    with pytest.raises(UnknownNetworkError, match=match):
        converted(module)


def test_averaged_models_are_converted():
    network = random_resnet("resnet18").eval()
    averaged = torch.optim.swa_utils.AveragedModel(network)
    for source in (averaged, averaged.state_dict()):
        assert difference(network, converted(source)) < 1e-5


def test_two_networks_in_one_file_are_refused():
    network = random_resnet("resnet18")
    pair = nn.ModuleDict({"student": network, "teacher": network})
    with pytest.raises(WeightsError, match=r"'student\.' and 'teacher\.'"):
        converted(pair.state_dict())


def test_a_temporary_file_lives_as_long_as_the_model():
    model = converted(random_resnet("resnet18"))
    path = model.path
    assert path.exists()
    del model
    assert not path.parent.exists()


def test_a_module_of_benign_and_malignant_is_evaluated(phantom_data):
    module = random_resnet("resnet18", 2)
    model = converted(module, classes=["malignant", "benign"])
    result = busnet.evaluate(model, phantom_data, bootstrap=10, progress=False)
    right = [
        model.classify(case.image).label == case.label
        for case in result.cases
        if case.label != "normal"
    ]
    accuracy = result.figures["accuracy among lesions"]
    assert accuracy.value == pytest.approx(sum(right) / 6)
    assert result.counts["not of the model's classes"] == 3
