"""Frozen features, activation maps, and the PyTorch module."""

import os
import shutil
import sys

import numpy as np
import pytest
from PIL import Image
from random_weights import random_images, save_random

import busnet
from busnet import weights
from busnet.data.phantom import phantom
from busnet.images import Letterbox
from busnet.inference.activation import lesion_weights
from busnet.networks import STAGES, get_network


def test_features_are_the_stages_maps(model):
    images = [random_images((64, 64), seed=i) for i in range(6)]
    raw = model.run(np.stack(images)[..., None], outputs=STAGES)
    for stage, side, channels in zip(
        STAGES, (16, 8, 4, 2), (64, 128, 256, 512), strict=True
    ):
        maps = model.features(images, stage=stage, pool=False)
        assert maps.shape == (6, side, side, channels)
        np.testing.assert_allclose(maps, raw[stage], atol=1e-5)
        assert maps.std() > 0.01
        pooled = model.features(images, stage=stage)
        np.testing.assert_allclose(pooled, maps.mean((1, 2)), atol=1e-6)


def test_features_of_one_image_have_no_first_axis(model, tmp_path):
    image, _ = phantom(50, 70)
    path = tmp_path / "image.png"
    Image.fromarray(image).save(path)
    assert model.features(image).shape == (512,)
    np.testing.assert_array_equal(model.features([path])[0], model.features(image))


def test_pooled_features_lead_to_the_class(model, weights_file):
    image, _ = phantom(64, 64)
    arrays = weights.read_arrays(weights_file, ["fc.weight", "fc.bias"])
    assert set(arrays) == {"fc.weight", "fc.bias"}
    logits = arrays["fc.weight"] @ model.features(image) + arrays["fc.bias"]
    raw = model.run(np.float32(image / 255)[None])["class"][0]
    np.testing.assert_allclose(logits, raw, atol=1e-4)


def test_features_refuse_what_does_not_exist(model):
    with pytest.raises(busnet.ModelError, match=r"layer5.*layer1, layer2"):
        model.features(phantom()[0], stage="layer5")
    with pytest.raises(busnet.ImageError):
        model.features(None)


@pytest.mark.parametrize("pooling", ["mean", "lesion"])
@pytest.mark.parametrize("eight_bit", [False, True])
def test_activation_maps_add_up_to_the_logit(tmp_path, eight_bit, pooling):
    path = tmp_path / "w.safetensors"
    row = get_network("resnet18", channels=1, pooling=pooling)
    model = busnet.load(save_random(path, row, eight_bit=eight_bit))
    image, _ = phantom(64, 64)
    batch = np.float32(image / 255)[None]
    logits = model.run(batch)["class"][0]
    arrays = weights.read_arrays(path)
    constant = arrays["fc.bias"]
    if pooling == "lesion":
        coarse = model.run(batch, outputs=["coarse_mask"])["coarse_mask"]
        w = lesion_weights(coarse[0, :, :, 0], (2, 2))
        head = arrays["lesion_fc.weight"]
        constant = constant + arrays["lesion_fc.bias"]
        constant = constant + head[:, -2] * w.max() + head[:, -1] * np.sqrt(w.mean())
    for i, label in enumerate(model.info.classes):
        activation = model.activation_map(image, label)
        assert activation.shape == image.shape
        assert activation.mean() + constant[i] == pytest.approx(logits[i], abs=1e-3)
    likely = model.classify(image).label
    np.testing.assert_array_equal(
        model.activation_map(image), model.activation_map(image, likely)
    )


def test_activation_maps_have_the_images_geometry(model):
    image, _ = phantom(48, 96)
    activation = model.activation_map(image)
    assert activation.shape == (48, 96)
    box = Letterbox(48, 96, model.info.image_size)
    square = np.linspace(0, 1, 4, dtype=np.float32)[:, None].repeat(4, 1)
    assert box.restore(square).shape == (48, 96)
    # The image is rows 16 to 47 of 64, where a ramp from row 8 to 56 is this:
    restored = box.restore(square)[:, 0]
    assert restored[0] == pytest.approx(8.5 / 48, abs=1e-5)
    assert restored[-1] == pytest.approx(39.5 / 48, abs=1e-5)


def test_activation_maps_refuse_what_they_cannot_show(model, tmp_path):
    image, _ = phantom()
    with pytest.raises(busnet.ImageValueError, match="several"):
        model.activation_map([image, image])
    with pytest.raises(busnet.ModelError, match=r"cyst.*normal, benign, malignant"):
        model.activation_map(image, "cyst")
    row = get_network("resnet18", channels=1, heads=("mask",))
    masks = busnet.load(save_random(tmp_path / "m.safetensors", row))
    with pytest.raises(busnet.ModelError, match="no class head"):
        masks.activation_map(image)
    assert masks.features(image).shape == (512,)


def test_activation_maps_of_a_file_that_changed_are_refused(weights_file, tmp_path):
    path = tmp_path / "w.safetensors"
    shutil.copyfile(weights_file, path)
    model = busnet.load(path)
    before = path.stat()
    save_random(path, model.info.network, seed=5)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    with pytest.raises(busnet.WeightsError, match=r"w\.safetensors.*changed meanwhile"):
        model.activation_map(phantom()[0])


def test_to_torch_says_what_it_needs(model, monkeypatch):
    for name in [name for name in sys.modules if name.startswith("busnet.training")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(busnet.MissingExtraError, match=r"busnet\[train\]"):
        model.to_torch()
