"""Many files by a model that classifies and draws no mask."""

import re

import numpy as np
import pytest
from helpers import call, rows
from PIL import Image
from random_weights import CLASSES, save_random

import busnet
from busnet.data.phantom import phantom
from busnet.networks import get_network


@pytest.fixture(scope="module")
def classifier(tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "classifier.safetensors"
    return save_random(path, get_network("resnet18", heads=("class",)), resize=72)


@pytest.fixture
def images(tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    for i in range(3):
        Image.fromarray(phantom(60, 80, seed=i)[0]).save(folder / f"{i}.png")
    return folder


def test_the_table_has_no_columns_of_masks(classifier, images):
    done = call("predict", images, "--model", classifier)
    table = rows(done.stdout)
    model = busnet.load(classifier)
    assert len(table) == 3
    for row, path in zip(table, sorted(images.iterdir()), strict=True):
        result = model.classify(path)
        assert row["label"] == result.label
        for name in CLASSES:
            share = result.probabilities[name]
            assert float(row[f"p_{name}"]) == pytest.approx(share, abs=1e-6)
    assert not {"consistent", "lesions", "area_px", "mask"} & set(table[0])


def test_a_folder_of_outputs_has_no_masks(classifier, images, tmp_path):
    out = tmp_path / "out"
    command = ["predict", images, "--model", classifier, "--out", out, "--gallery"]
    call(*command)
    assert not (out / "masks").exists()
    assert len(list((out / "overlays").iterdir())) == 3
    page = (out / "gallery.html").read_text()
    assert page.count("malignant 0.") == 3
    assert not re.search(r"\d lesion|disagree", page)
    assert call(*command).stdout == ""  # nothing is left to do
    assert len(rows((out / "predictions.csv").read_text())) == 3


@pytest.mark.parametrize("option", ["--nifti", "--dicom-seg"])
def test_files_of_masks_are_refused(classifier, images, tmp_path, option):
    out = tmp_path / "out"
    command = ["predict", images, "--model", classifier, "--out", out, option]
    assert "has no mask head" in call(*command, check=1).stderr
    assert not out.exists()


def test_outcomes_hold_a_classification(classifier, images):
    (images / "bad.png").write_bytes(b"no image")
    outcomes = list(busnet.predict_many(images, model=classifier))
    assert [outcome.error is None for outcome in outcomes] == [True] * 3 + [False]
    for outcome in outcomes[:3]:
        assert outcome.prediction is None
        assert type(outcome.classification) is busnet.Classification
        assert outcome.result is outcome.classification
        assert np.isclose(sum(outcome.result.probabilities.values()), 1)
    assert outcomes[3].result is None
