"""From outputs to the fields of a result, by arithmetic that is written out here."""

import numpy as np
import pytest
from random_weights import random_info

import busnet
from busnet.data.phantom import phantom
from busnet.images import Letterbox
from busnet.inference import Options, decode
from busnet.networks import get_network

ROW = get_network("resnet18", channels=1)
BOX = Letterbox(32, 64, 64)
LOGITS = np.array([0.5, 1.5, 1.0], np.float32)


def posterior(logits, weights=(1, 1, 1), temperature=1.0):
    powers = np.exp(np.float64(logits) / temperature) * weights
    return powers / powers.sum()


def test_probabilities_are_a_softmax_of_softened_logits():
    fields = decode(random_info(ROW, temperature=2.0), BOX, {"class": LOGITS})
    expected = posterior(LOGITS, temperature=2.0)
    assert list(fields["probabilities"]) == ["normal", "benign", "malignant"]
    assert list(fields["probabilities"].values()) == pytest.approx(expected)
    assert fields["label"] == "benign"
    assert fields.keys() == {"label", "probabilities", "abstains", "exceeds"}


def test_masks_have_the_images_size():
    logits = np.full((64, 64), -3, np.float32)
    logits[26:38, 8:24] = 3
    fields = decode(random_info(ROW), BOX, {"mask": logits})
    assert fields.keys() == {"mask", "lesion_probability"}
    assert fields["mask"].shape == fields["lesion_probability"].shape == (32, 64)
    rows, columns = np.nonzero(fields["mask"])
    assert (rows.min(), rows.max() + 1) == (10, 22)
    assert (columns.min(), columns.max() + 1) == (8, 24)
    assert fields["lesion_probability"].max() == pytest.approx(1 / (1 + np.exp(-3)))


@pytest.mark.parametrize(
    ("shares", "prior"),
    [
        ({}, {"normal": 0.2, "benign": 0.2, "malignant": 0.6}),
        ({}, {"benign": 0.6, "malignant": 0.4}),
        (
            {"normal": 0.5, "benign": 0.3, "malignant": 0.2},
            {"normal": 0.1, "benign": 0.1, "malignant": 0.8},
        ),
    ],
)
def test_a_prior_multiplies_by_the_ratio_of_the_shares(shares, prior):
    info = random_info(ROW, temperature=1.5, class_shares=shares)
    assumed = shares or dict.fromkeys(info.classes, 1 / 3)
    weights = [prior.get(name, 0) / assumed[name] for name in info.classes]
    expected = posterior(LOGITS, weights, temperature=1.5)
    fields = decode(info, BOX, {"class": LOGITS}, prior=prior)
    got = list(fields["probabilities"].values())
    assert got == pytest.approx(expected, abs=1e-6)
    assert fields["label"] == info.classes[int(np.argmax(expected))]


def test_the_shares_of_training_as_prior_change_nothing():
    shares = {"normal": 0.5, "benign": 0.3, "malignant": 0.2}
    info = random_info(ROW, class_shares=shares)
    plain = decode(info, BOX, {"class": LOGITS})["probabilities"]
    again = decode(info, BOX, {"class": LOGITS}, prior=shares)["probabilities"]
    assert again == pytest.approx(plain, abs=1e-12)


def test_operating_points_belong_to_the_probabilities_of_training():
    info = random_info(ROW, operating_points={"point": 0.3}, abstain_below=0.7)
    prior = {"normal": 0.98, "benign": 0.01, "malignant": 0.01}
    plain = decode(info, BOX, {"class": LOGITS})
    fields = decode(info, BOX, {"class": LOGITS}, prior=prior)
    assert plain["probabilities"]["malignant"] == pytest.approx(0.307, abs=1e-3)
    assert plain["exceeds"] == fields["exceeds"] == {"point": True}
    assert plain["abstains"]
    assert not fields["abstains"]  # under this prior "normal" is all but certain


@pytest.mark.parametrize(
    ("prior", "fact"),
    [
        ({"normal": 0.5, "benign": 0.6}, "add up to 1.1, not to 1"),
        ({"normal": 0.5}, "add up to 0.5"),
        ({}, "add up to 0"),
        ({"normal": -0.5, "benign": 1.5}, r"normal: -0.5 is not in 0\.\.1"),
        ({"normal": float("nan"), "benign": 1}, "normal: nan"),
        ({"normal": "half"}, "probability by class name"),
        ([0.2, 0.3, 0.5], "probability by class name"),
    ],
)
def test_what_is_no_prior_is_refused(prior, fact):
    with pytest.raises(busnet.ModelError, match=fact):
        Options(prior=prior)


def test_a_prior_of_other_classes_is_refused(model):
    with pytest.raises(busnet.ModelError, match=r"'cyst'.*normal, benign, malignant"):
        model.predict(phantom(60, 60)[0], prior={"cyst": 0.5, "benign": 0.5})


def test_a_prior_goes_all_the_way(model):
    image = phantom(60, 60)[0]
    prior = {"normal": 0.0, "benign": 0.7, "malignant": 0.3}
    plain = model.classify(image).probabilities
    for result in (
        model.predict(image, prior=prior),
        model.classify(image, prior=prior),
    ):
        weights = {name: plain[name] * prior[name] for name in plain}
        total = sum(weights.values())
        assert result.probabilities == pytest.approx(
            {name: weight / total for name, weight in weights.items()}
        )
        assert result.probabilities["normal"] == 0
        assert result.malignancy_given_lesion == pytest.approx(result.malignancy)


def test_malignancy_given_a_lesion_leaves_normal_out(model):
    result = model.classify(phantom(60, 60)[0])
    p = result.probabilities
    expected = p["malignant"] / (p["benign"] + p["malignant"])
    assert result.malignancy_given_lesion == pytest.approx(expected)
    document = result.as_dict()
    assert document["malignancy_given_lesion"] == result.malignancy_given_lesion
    assert document["malignancy"] == result.malignancy == p["malignant"]
    normal = model.classify(phantom(60, 60)[0], prior={"normal": 1})
    assert normal.label == "normal"
    assert normal.malignancy_given_lesion is None
