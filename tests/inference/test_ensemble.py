"""Ensembles: means of what the members say, and what they are not."""

import dataclasses
import math
import pickle
import shutil

import numpy as np
import pytest
from random_weights import random_arrays, random_info, save_random

import busnet
from busnet.data.phantom import phantom
from busnet.inference.decode import combine
from busnet.inference.ensemble_info import EnsembleInfo
from busnet.inference.estimate import Estimate
from busnet.networks import get_network
from busnet.quantization import quantize

CLASSES = ("malignant", "normal", "benign")


@pytest.fixture(scope="module")
def other_file(tmp_path_factory):
    """Write a model that differs in network, size, order of classes and thresholds."""
    row = get_network("resnet34", channels=3, pooling="lesion")
    info = random_info(
        row,
        96,
        temperature=2.0,
        mask_threshold=0.6,
        lesion_peak=0.7,
        abstain_below=0.4,
        operating_points={"sensitivity 0.90": 0.2},
    )
    path = tmp_path_factory.mktemp("weights") / "other.safetensors"
    info = dataclasses.replace(info, classes=CLASSES)
    busnet.weights.save(path, random_arrays(row, seed=3), info)
    return path


@pytest.fixture(scope="module")
def ensemble(weights_file, other_file):
    return busnet.load([weights_file, other_file])


def entropy(shares):
    return -sum(p * math.log(p) for p in shares)


@pytest.mark.parametrize(
    "prior", [None, {"normal": 0.2, "benign": 0.5, "malignant": 0.3}]
)
def test_probabilities_are_means_over_the_members(ensemble, prior):
    image, _ = phantom(70, 110)
    result = ensemble.predict(image, prior=prior)
    one, other = (member.predict(image, prior=prior) for member in ensemble.members)
    for name, probability in result.probabilities.items():
        mean = (one.probabilities[name] + other.probabilities[name]) / 2
        assert probability == pytest.approx(mean, abs=1e-12)
    assert list(result.probabilities) == ["normal", "benign", "malignant"]
    mean = (one.lesion_probability + other.lesion_probability) / 2
    np.testing.assert_allclose(result.lesion_probability, mean, atol=1e-7)
    assert result.mask.shape == image.shape
    inner = [entropy(r.probabilities.values()) for r in (one, other)]
    expected = entropy(result.probabilities.values()) - sum(inner) / 2
    assert result.uncertainty == pytest.approx(expected, abs=1e-12)
    assert 0 < result.uncertainty < math.log(2)
    assert one.uncertainty is None
    assert "uncertainty" not in one.as_dict()
    assert result.as_dict()["uncertainty"] == result.uncertainty
    assert f"uncertainty={result.uncertainty:.3f}" in repr(result)


def test_one_task_or_many_images_give_the_same(ensemble):
    images = [phantom(60 + i, 80, seed=i)[0] for i in range(9)]
    together = ensemble.predict(images)
    assert len(together) == 9
    for image, result in zip(images[:2], together, strict=False):
        assert ensemble.classify(image).probabilities == pytest.approx(
            result.probabilities, abs=1e-6
        )
        np.testing.assert_allclose(
            ensemble.segment(image).lesion_probability,
            result.lesion_probability,
            atol=1e-6,
        )


def test_thresholds_are_means_and_there_are_no_operating_points(ensemble, other_file):
    info = ensemble.info
    assert info.mask_threshold == pytest.approx(0.55)
    assert info.lesion_peak == pytest.approx(0.35)
    assert info.abstain_below == pytest.approx(0.2)
    image, _ = phantom(70, 110)
    assert ensemble.classify(image).exceeds == {}
    assert busnet.load(other_file).classify(image).exceeds.keys() == {
        "sensitivity 0.90"
    }


def test_the_mask_is_cut_from_the_mean():
    info = random_info(get_network("resnet18"))
    infos = {
        "a": dataclasses.replace(info, mask_threshold=0.3, lesion_peak=0.5),
        "b": dataclasses.replace(info, mask_threshold=0.5, lesion_peak=0.9),
    }
    maps = np.zeros((2, 4, 9), np.float32)
    maps[:, 1, 1:3] = [[0.5, 1.0], [0.5, 0.6]]  # means .5 and .8: above .4, peak .7
    maps[:, 1, 6] = [0.9, 0.3]  # mean .6: above the threshold, below the peak
    fields = combine(
        EnsembleInfo(infos), [Estimate(lesion_probability=one) for one in maps]
    )
    assert np.argwhere(fields["mask"]).tolist() == [[1, 1], [1, 2]]


@pytest.mark.parametrize(
    ("shares", "expected"),
    [
        # Each sure of another class: the logarithm of the number of members.
        ([(1.0, 0.0, 0.0), (0.0, 1.0, 0.0)], math.log(2)),
        # Each as unsure as the other: nothing that they disagree on.
        ([(0.2, 0.3, 0.5), (0.2, 0.3, 0.5)], 0.0),
        ([(0.9, 0.1, 0.0), (0.5, 0.5, 0.0)], 0.1017492),
        ([(0.2, 0.3, 0.5)], 0.0),
    ],
)
def test_uncertainty_is_the_mutual_information(shares, expected):
    info = random_info(get_network("resnet18"))
    infos = EnsembleInfo({str(i): info for i in range(len(shares))})
    estimates = [
        Estimate(named, named)
        for one in shares
        if (named := dict(zip(info.classes, one, strict=True)))
    ]
    fields = combine(infos, estimates)
    assert fields["uncertainty"] == pytest.approx(expected, abs=1e-7)


def test_members_that_assume_other_shares_are_re_weighed(tmp_path, weights_file):
    shares = {"normal": 0.5, "benign": 0.3, "malignant": 0.2}
    row = get_network("resnet18", channels=1)
    path = save_random(tmp_path / "b.safetensors", row, seed=2, class_shares=shares)
    ensemble = busnet.load([weights_file, path])
    mean = {name: (share + 1 / 3) / 2 for name, share in shares.items()}
    assert ensemble.info.class_shares == pytest.approx(mean)
    image, _ = phantom(64, 64)
    members = [m.classify(image, prior=mean).probabilities for m in ensemble.members]
    for name, probability in ensemble.classify(image).probabilities.items():
        assert probability == pytest.approx(sum(m[name] for m in members) / 2)


def test_names_repr_and_pickle(ensemble, weights_file, other_file):
    assert ensemble.name == "random.safetensors + other.safetensors"
    assert repr(ensemble) == (
        "Ensemble(random.safetensors + other.safetensors, "
        "classes=['normal', 'benign', 'malignant'])"
    )
    assert ensemble.info.network_name == "resnet18 + resnet34"
    copy = pickle.loads(pickle.dumps(ensemble))
    image, _ = phantom(64, 80)
    assert copy.classify(image).probabilities == ensemble.classify(image).probabilities
    exact = busnet.load((weights_file,), precision="exact")
    assert exact.precision == "exact"
    assert pickle.loads(pickle.dumps(exact)).precision == "exact"


def test_files_of_the_same_name_are_told_apart(tmp_path, weights_file, other_file):
    paths = []
    for folder, file in (("a", weights_file), ("b", other_file)):
        (tmp_path / folder).mkdir()
        paths.append(shutil.copy(file, tmp_path / folder / "best.safetensors"))
    ensemble = busnet.load(paths)
    assert list(ensemble.info.members) == list(map(str, paths))


def test_what_an_ensemble_has_not_is_said(ensemble):
    image, _ = phantom(64, 64)
    for method, what in (
        ("features", "features"),
        ("activation_map", "activation map"),
        ("run", "raw outputs"),
    ):
        with pytest.raises(busnet.ModelError, match=f"an ensemble has no {what}"):
            getattr(ensemble, method)(image)
    with pytest.raises(busnet.ModelError, match="no one PyTorch module"):
        ensemble.to_torch()


def test_a_model_twice_is_refused(model, weights_file, tmp_path):
    with pytest.raises(busnet.ModelError, match=r"random.safetensors is .* twice"):
        busnet.Ensemble([model, model])
    copy = busnet.load(shutil.copy(weights_file, tmp_path / "copy.safetensors"))
    with pytest.raises(busnet.ModelError, match=r"copy.safetensors are .* twice"):
        busnet.Ensemble([model, copy])


def test_what_is_no_ensemble_is_refused(ensemble, model, weights_file, other_file):
    with pytest.raises(busnet.ModelError, match="at least one model"):
        busnet.load([])
    with pytest.raises(busnet.ModelError, match="not Ensemble"):
        busnet.Ensemble([model, ensemble])
    with pytest.raises(busnet.ModelError, match="not str"):
        busnet.Ensemble([str(weights_file)])
    with pytest.raises(busnet.ModelError, match="int names no model"):
        busnet.load(7)
    exact = busnet.load(weights_file, precision="exact")
    with pytest.raises(busnet.ModelError, match="precision, not exact and f32"):
        busnet.Ensemble([model, exact])
    with pytest.raises(busnet.MissingWeightsError, match="nobody"):
        busnet.load([weights_file, "nobody"])
    with pytest.raises(busnet.ModelError, match="not list"):
        quantize([weights_file, other_file], [], "out.safetensors")


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (
            {"classes": ("normal", "benign"), "class_shares": {}},
            "the same classes: a has normal, benign, malignant, b has normal, benign",
        ),
        (
            {"network": get_network("resnet18", heads=("class",))},
            "the same heads: a has class, mask, b has class",
        ),
    ],
)
def test_members_must_have_the_same_classes_and_heads(changed, message):
    info = random_info(get_network("resnet18"))
    with pytest.raises(busnet.ModelError, match=message):
        EnsembleInfo({"a": info, "b": dataclasses.replace(info, **changed)})


def test_each_member_sees_images_in_its_own_way(tmp_path):
    """A letterbox beside a centre crop, of one channel and of three."""
    paths = [tmp_path / "a.safetensors", tmp_path / "b.safetensors"]
    for path, channels, ways in zip(paths, (1, 3), ({}, {"resize": 48}), strict=True):
        row = get_network("resnet18", channels=channels, heads=("class",))
        save_random(path, row, 32, seed=channels, **ways)
    ensemble = busnet.load(paths)
    image, _ = phantom(90, 60)
    one, other = (m.classify(image).probabilities for m in ensemble.members)
    for name, probability in ensemble.classify(image).probabilities.items():
        assert probability == pytest.approx((one[name] + other[name]) / 2, abs=1e-12)
    with pytest.raises(busnet.ModelError, match="no mask head, only class"):
        ensemble.segment(image)


def test_one_member_is_an_ensemble_that_agrees_with_itself(model, weights_file):
    image, _ = phantom(64, 64)
    result = busnet.load([weights_file]).predict(image)
    assert result.uncertainty == 0
    assert result.probabilities == model.predict(image).probabilities
