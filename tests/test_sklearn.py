"""The classifier in scikit-learn's tools."""

import importlib
import io
import pickle
import sys

import numpy as np
import pytest
from PIL import Image
from random_weights import save_random

import busnet
from busnet.data.phantom import phantom
from busnet.networks import get_network

pytest.importorskip("sklearn", reason="needs busnet[evaluate]")

from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.utils.estimator_checks import check_estimator

from busnet.sklearn import BusnetClassifier


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """Write a random network of 32 pixels, for checks that fit hundreds of times."""
    path = tmp_path_factory.mktemp("weights") / "small.safetensors"
    return save_random(path, get_network("resnet18", channels=1), image_size=32)


@pytest.fixture(scope="module")
def images():
    """Draw phantoms upright ("low") and upside down ("high")."""
    drawn = [phantom(48, 64, seed=i)[0] for i in range(24)]
    labels = np.array(["low", "high"] * 12)
    return np.stack(
        [x if y == "low" else x[::-1] for x, y in zip(drawn, labels, strict=True)]
    ), labels


@pytest.mark.filterwarnings("ignore")
def test_estimator_checks(small):
    results = check_estimator(
        BusnetClassifier(small, stage="layer1"), on_skip=None, on_fail=None
    )
    # It asks for equality to 1e-9 of a solver that iterates on float32 features; a
    # test of its own below holds what weights mean.
    exact = "check_sample_weight_equivalence_on_dense_data"
    failed = [
        r
        for r in results
        if r["status"] not in ("passed", "skipped") and r["check_name"] != exact
    ]
    assert failed == []
    assert sum(r["status"] == "passed" for r in results) > 40


def test_images_in_every_form(images, tmp_path, small):
    stack, labels = images
    paths = [tmp_path / f"{i}.png" for i in range(len(stack))]
    for path, image in zip(paths, stack, strict=True):
        Image.fromarray(image).save(path)
    forms = [
        stack,
        list(stack),
        paths,
        np.array([str(p) for p in paths]),
        [Image.fromarray(image) for image in stack],
        [io.BytesIO(path.read_bytes()) for path in paths],
    ]
    fitted = BusnetClassifier(small).fit(stack, labels)
    expected = fitted.predict_proba(stack)
    np.testing.assert_allclose(expected.sum(1), 1)
    assert list(fitted.classes_) == ["high", "low"]
    assert fitted.score(stack, labels) == 1
    for form in forms:
        np.testing.assert_allclose(fitted.predict_proba(form), expected, atol=1e-4)
        again = BusnetClassifier(small).fit(form, labels)
        assert (again.predict(form) == labels).all()


def test_rows_are_images_of_a_shape(images, small):
    stack, labels = images
    flat = stack.reshape(len(stack), -1)
    fitted = BusnetClassifier(small, image_shape=(48, 64)).fit(flat, labels)
    assert fitted.score(flat, labels) == 1
    with pytest.raises(ValueError, match=r"3072 numbers.*40 x 64"):
        BusnetClassifier(small, image_shape=(40, 64)).fit(flat, labels)
    upright = BusnetClassifier(small).fit(stack, labels)
    with pytest.raises(ValueError, match="fitted on images"):
        upright.predict(flat)


def test_cross_validation_and_search(images, small):
    stack, labels = images
    scores = cross_val_score(BusnetClassifier(small), stack, labels, cv=3)
    assert scores.shape == (3,)
    assert scores.mean() > 0.7
    search = GridSearchCV(
        BusnetClassifier(small), {"stage": ["layer2", "layer4"], "C": [0.1, 1]}, cv=2
    )
    search.fit(list(stack), labels)
    assert search.best_estimator_.stage in ("layer2", "layer4")


def test_clones_and_pickles(images, small):
    stack, labels = images
    fitted = BusnetClassifier(busnet.load(small)).fit(stack, labels)
    again = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_array_equal(
        again.predict_proba(stack), fitted.predict_proba(stack)
    )
    with pytest.raises(NotFittedError):
        clone(fitted).predict(stack)


def test_a_weight_of_two_counts_twice(images, small):
    stack, labels = images
    model = busnet.load(small)
    weights = np.arange(24) % 3
    repeated = np.repeat(np.arange(24), weights)
    twice = BusnetClassifier(model).fit(stack[repeated], labels[repeated])
    weighted = BusnetClassifier(model).fit(stack, labels, sample_weight=weights)
    plain = BusnetClassifier(model).fit(stack, labels)
    expected = twice.decision_function(stack)
    got = weighted.decision_function(stack)
    np.testing.assert_allclose(got, expected, atol=0.05)
    assert np.abs(plain.decision_function(stack) - expected).max() > 0.2
    ones = BusnetClassifier(model).fit(stack, labels, sample_weight=np.full(24, 1.0))
    np.testing.assert_allclose(
        ones.predict_proba(stack), plain.predict_proba(stack), atol=1e-6
    )


@pytest.mark.parametrize(
    ("weights", "fact"),
    [
        ([1.0] * 23, r"\(23,\); 24 images need \(24,\)"),
        (np.ones((24, 1)), r"\(24, 1\)"),
        ([-1.0] + [1.0] * 23, "not negative"),
        ([np.nan] + [1.0] * 23, "finite"),
        ([0.0] * 24, "not all zero"),
    ],
)
def test_wrong_weights_are_refused(images, small, weights, fact):
    stack, labels = images
    with pytest.raises(ValueError, match=fact):
        BusnetClassifier(small).fit(stack, labels, sample_weight=weights)


def test_an_array_of_any_number_of_images(images, small):
    stack, labels = images
    fitted = BusnetClassifier(small).fit(stack, labels)
    expected = fitted.predict_proba(stack)
    for count in (1, 2, 3, 4):  # of which 3 could be the channels of one elsewhere
        got = fitted.predict_proba(stack[:count])
        np.testing.assert_allclose(got, expected[:count], atol=1e-4)
    narrow = fitted.predict_proba(stack[:, :, :3])  # 24 images, and no colours
    alone = fitted.predict_proba([stack[5][:, :3]])
    np.testing.assert_allclose(narrow[5:6], alone, atol=1e-4)


def test_wrong_input(images, small):
    stack, labels = images
    with pytest.raises(ValueError, match="24 images have 3 labels"):
        BusnetClassifier(small).fit(stack, labels[:3])
    with pytest.raises(ValueError, match="one class"):
        BusnetClassifier(small).fit(stack, ["a"] * 24)
    with pytest.raises(busnet.ModelError, match="layer9"):
        BusnetClassifier(small, stage="layer9").fit(stack, labels)
    fitted = BusnetClassifier(small).fit(stack, labels)
    for one in ("image.png", Image.fromarray(stack[0]), io.BytesIO(b"x")):
        with pytest.raises(busnet.ImageTypeError, match="single one in a list"):
            fitted.predict(one)
    with pytest.raises(busnet.ImageValueError, match="2 items, but 5 images"):
        fitted.predict([stack[:4], stack[4]])


def test_an_ensemble_has_no_features_to_fit(images, small):
    for model in (["resnet18", "mod_resnet101"], busnet.Ensemble([busnet.load(small)])):
        with pytest.raises(busnet.ModelError, match="an ensemble has none"):
            BusnetClassifier(model).fit(*images)


def test_models_are_pickled_by_where_they_came_from(small):
    model = busnet.load(small, precision="exact")
    again = pickle.loads(pickle.dumps(model))
    assert (again.path, again.precision) == (model.path, "exact")
    image, _ = phantom()
    assert again.predict(image).probabilities == model.predict(image).probabilities
    named = pickle.dumps(busnet.load("resnet18"))
    assert b"safetensors" not in named
    assert pickle.loads(named).path == busnet.load("resnet18").path


def test_it_says_what_it_needs(monkeypatch):
    monkeypatch.delitem(sys.modules, "busnet.sklearn")
    monkeypatch.setitem(sys.modules, "sklearn.base", None)
    with pytest.raises(busnet.MissingExtraError, match=r"busnet\[evaluate\]"):
        importlib.import_module("busnet.sklearn")
