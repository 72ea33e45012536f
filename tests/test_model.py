"""The public surface: predict, classify, segment, and their results."""

import copy
import pickle

import numpy as np
import pytest
from PIL import Image
from random_weights import CLASSES, random_images, save_random

import busnet
from busnet.data.phantom import phantom
from busnet.networks import get_network


def test_one_image_gives_one_result_and_several_a_list(model):
    image, _ = phantom()
    one = model.predict(image)
    assert isinstance(one, busnet.Prediction)
    several = model.predict([image, image[:200], Image.fromarray(image)])
    assert [r.mask.shape for r in several] == [image.shape, (200, 520), image.shape]
    assert len(model.predict(np.stack([image] * 6))) == 6
    assert model.predict([image])[0].probabilities == one.probabilities


def test_result_is_named_and_of_the_images_size(model):
    image, _ = phantom()
    result = model.predict(image)
    assert list(result.probabilities) == list(CLASSES)
    assert sum(result.probabilities.values()) == pytest.approx(1)
    assert result.label == max(result.probabilities, key=result.probabilities.get)
    assert result.malignancy == result.probabilities["malignant"]
    assert result.mask.dtype == bool
    assert result.mask.shape == result.lesion_probability.shape == image.shape
    assert 0 <= result.lesion_probability.min() <= result.lesion_probability.max() <= 1
    np.testing.assert_array_equal(result.mask, result.lesion_probability >= 0.5)
    assert result.consistent == ((result.label == "normal") != result.mask.any())


def test_single_tasks_agree_with_both(model):
    image, _ = phantom()
    both = model.predict(image)
    assert model.classify(image).probabilities == pytest.approx(both.probabilities)
    np.testing.assert_allclose(
        model.segment(image).lesion_probability, both.lesion_probability, atol=1e-6
    )
    assert not hasattr(model.classify(image), "mask")
    assert not hasattr(model.segment(image), "label")


def test_batches_of_any_size_agree(model):
    images = [np.roll(phantom(100, 130)[0], 9 * i, axis=1) for i in range(9)]
    together = model.predict(images)
    for image, result in zip(images, together, strict=True):
        alone = model.predict(image)
        assert alone.probabilities == pytest.approx(result.probabilities, abs=1e-6)


def test_inputs_are_never_changed(model):
    for image in (
        phantom()[0],
        random_images((64, 64)),
        random_images((64, 64, 3)),
        random_images((64, 64)).astype(np.float64),
    ):
        before = image.copy()
        image.flags.writeable = False
        result = model.predict(image)
        np.testing.assert_array_equal(image, before)
        assert not np.shares_memory(result.image, image)


def test_a_drawn_mask_comes_back_where_it_was_drawn(tmp_path):
    """With a network whose mask is its input, the mask shows where pixels end up."""
    arrays, info = bright_pixels_are_lesions()
    path = tmp_path / "bright.safetensors"
    busnet.weights.save(path, arrays, info)
    model = busnet.load(path)
    for height, width in ((31, 47), (480, 640), (2000, 1500)):
        image = np.zeros((height, width), np.uint8)
        top, left = height // 5, width // 2
        image[top : top + height // 3, left : left + width // 4] = 255
        drawn = image > 0
        for form in (
            image,
            np.repeat(image[:, :, None], 3, 2),
            np.dstack([image] * 3 + [np.full_like(image, 255)]),
            image.astype(np.uint16) * 257,
            Image.fromarray(image).convert("P"),
        ):
            mask = model.segment(form).mask
            assert mask.shape == drawn.shape
            dice = 2 * (mask & drawn).sum() / (mask.sum() + drawn.sum())
            assert dice > 0.9, (height, width, dice)
            (lesion,) = find_large(model.segment(form))
            slack = 2 * max(height, width) / model.info.image_size + 1
            expected = (top, left, top + height // 3, left + width // 4)
            assert np.abs(np.subtract(lesion.box, expected)).max() <= slack


def find_large(result):
    return [lesion for lesion in result.lesions if lesion.area > 9]


def bright_pixels_are_lesions():
    """Return weights of a ResNet-18 that pass the stem's brightness to the mask."""
    from random_weights import random_arrays, random_info

    row = get_network("resnet18", channels=1)
    arrays = {name: np.zeros_like(a) for name, a in random_arrays(row).items()}
    for name in arrays:
        if name.endswith("running_var"):
            arrays[name] += 1
        if name.endswith(("bn.weight", "bn1.weight")):
            arrays[name] += 1
    arrays["conv1.weight"][0, 0, 3, 3] = 1
    arrays["decoder.lateral0.conv.weight"][0, 0] = 1
    arrays["decoder.refine.conv.weight"][0, 0, 1, 1] = 1
    arrays["decoder.logit.weight"][0, 0] = 20
    # The stem sees (x - mean) / std: 0.45 is in the middle of black and white.
    arrays["decoder.logit.bias"] -= 20 * (0.5 - 0.45) / 0.225
    return arrays, random_info(row, 256)


def test_spacing_gives_millimetres(model):
    image, _ = phantom()
    result = model.segment(image, spacing=(0.1, 0.2))
    assert result.spacing == (0.1, 0.2)
    assert result.lesions[0].area_mm2 == pytest.approx(result.lesions[0].area * 0.02)
    for spacing in ((0, 1), (1, -1), (1, np.nan), 0.1, (1, 2, 3), "ab"):
        with pytest.raises(busnet.ImageValueError, match="spacing"):
            model.segment(image, spacing=spacing)


def test_results_show_themselves(model):
    image, _ = phantom()
    result = model.predict(image)
    text = result._repr_html_()
    assert "data:image/png;base64," in text
    assert "For research use only" in text
    assert result.label in text
    assert result._repr_png_().startswith(b"\x89PNG")
    assert result.render().size == (520, 400)
    assert repr(result).startswith(f"Prediction(label={result.label}, normal=0.")
    assert "array" not in repr(result)
    assert "<script>" not in model.predict(image)._repr_html_()


def test_outline_encloses_the_mask(model):
    image = np.zeros((50, 60), np.float32)
    mask = np.zeros((50, 60), bool)
    mask[10:30, 20:50] = True
    result = busnet.Segmentation(
        name="", image=image, mask=mask, lesion_probability=mask.astype(np.float32)
    )
    drawn = np.asarray(result.render()).any(2)
    assert drawn[10, 20:50].all()
    assert drawn[10:30, 20].all()
    assert not drawn[15:25, 25:45].any()
    assert not (drawn & ~mask).any()


def test_results_are_frozen_and_can_be_pickled_and_copied(model):
    result = model.predict(phantom(60, 60)[0])
    with pytest.raises(AttributeError):
        result.label = "benign"
    for twin in (pickle.loads(pickle.dumps(result)), copy.copy(result)):
        assert twin.probabilities == result.probabilities
        np.testing.assert_array_equal(twin.mask, result.mask)


def test_documents_hold_plain_numbers(model):
    import json

    result = model.predict(phantom()[0], spacing=(0.1, 0.1))
    document = json.loads(json.dumps(result.as_dict()))
    assert document["label"] == result.label
    assert document["lesions"][0]["area_mm2"] > 0
    assert (document["height"], document["width"]) == (400, 520)


def test_a_model_with_one_head_says_so(tmp_path):
    path = save_random(
        tmp_path / "c.safetensors",
        get_network("resnet18", channels=1, heads=("class",)),
    )
    model = busnet.load(path)
    assert model.classify(np.zeros((50, 50))).label in CLASSES
    with pytest.raises(busnet.ModelError, match="mask"):
        model.predict(np.zeros((50, 50)))
    with pytest.raises(ValueError, match="mask"):
        model.segment(np.zeros((50, 50)))


def test_colour_networks_take_grey_and_colour(tmp_path):
    model = busnet.load(
        save_random(tmp_path / "c.safetensors", get_network("resnet18"))
    )
    grey = random_images((50, 60))
    same = np.repeat(grey[:, :, None], 3, 2)
    assert model.predict(grey).probabilities == pytest.approx(
        model.predict(same).probabilities
    )


def test_run_takes_any_size(model):
    outputs = model.run(random_images((2, 70, 90)))
    assert outputs["class"].shape == (2, 3)
    assert outputs["mask"].shape == (2, 70, 90)
    assert set(model.run(random_images((1, 64, 64)), outputs=["class"])) == {"class"}
    with pytest.raises(ValueError, match="nothing"):
        model.run(random_images((1, 64, 64)), outputs=["nothing"])
    with pytest.raises(ValueError, match="shape"):
        model.run(random_images((64, 64)))
    with pytest.raises(TypeError, match="float32"):
        model.run(np.zeros((1, 64, 64)))
    with pytest.raises(ValueError, match="contiguous"):
        model.run(random_images((1, 64, 128))[:, :, ::2])


def test_run_refuses_what_is_no_prepared_batch(model):
    batch = random_images((2, 64, 64))
    expected = model.run(batch)["class"]
    overshoot = batch.copy()
    overshoot[0, 0, :2] = -0.1, 1.1  # as bicubic resizing does
    np.testing.assert_allclose(model.run(overshoot)["class"][1], expected[1], atol=1e-5)
    with pytest.raises(
        busnet.ImageValueError, match=r"batch is in .*\.\.255; .*0\.\.1"
    ):
        model.run(batch / batch.max() * np.float32(255))
    with pytest.raises(busnet.ImageValueError, match="pixels are masked"):
        model.run(np.ma.masked_greater(batch, 0.5))
    unmasked = model.run(np.ma.array(batch))["class"]
    np.testing.assert_array_equal(unmasked, expected)
    for other, kind in ((batch.tolist(), "list"), (batch.astype(">f4"), ">f4")):
        with pytest.raises(busnet.ImageTypeError, match=f"float32, not {kind}"):
            model.run(other)
    batch[1, 2, 3] = np.inf
    with pytest.raises(busnet.ImageValueError, match=r"batch\[1, 2, 3\] is inf"):
        model.run(batch)


def test_temperature_softens(tmp_path):
    row = get_network("resnet18", channels=1)
    image, _ = phantom()
    sharp = busnet.load(save_random(tmp_path / "a.safetensors", row))
    soft = busnet.load(save_random(tmp_path / "b.safetensors", row, temperature=3.0))
    a, b = sharp.classify(image), soft.classify(image)
    assert a.label == b.label
    logits = {k: np.log(v) for k, v in a.probabilities.items()}
    powers = {k: np.exp(v / 3) for k, v in logits.items()}
    for name, power in powers.items():
        assert b.probabilities[name] == pytest.approx(power / sum(powers.values()))


def test_operating_points_and_abstention(tmp_path):
    image, _ = phantom()
    model = busnet.load(
        save_random(
            tmp_path / "w.safetensors",
            get_network("resnet18", channels=1),
            operating_points={"low": 0.0, "high": 1.0},
            abstain_below=1.0,
        )
    )
    result = model.classify(image)
    assert result.exceeds == {"low": True, "high": False}
    assert result.abstains
    assert "abstains" in repr(result)
    assert result.as_dict()["exceeds"] == result.exceeds


def test_a_model_that_never_abstains(model):
    assert not model.classify(phantom()[0]).abstains


def test_precisions(weights_file, monkeypatch):
    assert busnet.load(weights_file).precision == "f32"
    assert busnet.load(weights_file, precision="exact").precision == "exact"
    with pytest.raises(busnet.ModelError, match=r"'f16'.*f32, exact, bf16, int8"):
        busnet.load(weights_file, precision="f16")
    image, _ = phantom()
    if busnet._core.engine()["bf16"]:
        narrow = busnet.load(weights_file, precision="bf16")
        expected = busnet.load(weights_file).predict(image).probabilities
        got = narrow.predict(image).probabilities
        assert got != expected
        assert got == pytest.approx(expected, abs=1e-2)
    engine = busnet._core.engine()
    monkeypatch.setattr(busnet._core, "engine", lambda: {**engine, "bf16": False})
    with pytest.raises(busnet.ModelError, match="does not compute in bfloat16"):
        busnet.load(weights_file, precision="bf16")


@pytest.mark.parametrize("count", [1, 4, 5, 8, 9, 23])
def test_many_images_are_what_they_are_alone(model, count):
    images = [random_images((40 + i, 60), seed=i) for i in range(count)]
    together = model.predict(images)
    features = model.features(images)
    assert len(together) == len(features) == count
    for image, result, feature in zip(images, together, features, strict=True):
        alone = model.predict(image)
        assert result.image.shape == image.shape
        assert result.probabilities == pytest.approx(alone.probabilities, abs=1e-6)
        np.testing.assert_allclose(
            result.lesion_probability, alone.lesion_probability, atol=1e-5
        )
        np.testing.assert_allclose(feature, model.features(image), atol=1e-4)


def test_one_bad_image_among_many_is_named(model):
    images = [random_images((40, 60), seed=i) for i in range(30)]
    images[17] = np.full((5, 5), np.nan)
    with pytest.raises(busnet.ImageValueError, match="image 17 of the list"):
        model.predict(images)
    assert model.predict(images[:17])
