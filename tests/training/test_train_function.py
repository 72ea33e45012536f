"""``busnet.train``: the same as the command, from paths, cases and data frames."""

import dataclasses
import os
import shutil

import numpy as np
import pytest
from helpers import run

import busnet
from busnet import weights
from busnet.data import ContentHashes, read_data
from busnet.training.recipe import RECIPES, Phase, Recipe

SMALL = Recipe((Phase(64, 1, batch=8),))


def test_the_model_is_that_of_the_command(phantoms, tmp_path, capsys):
    model = busnet.train(
        phantoms, epochs=1, image_size=64, fold=0, work=tmp_path / "a", progress=False
    )
    assert capsys.readouterr().err == ""
    assert isinstance(model, busnet.Model)
    assert model.info.image_size == 64
    assert model.info.provenance["fold"] == 0
    assert model.info.provenance["protocol"] == "busi-group5"
    run(
        *("train", "--network", "resnet18", "--data", phantoms, "--epochs", 1),
        *("--image-size", 64, "--fold", 0, "--work", tmp_path / "b"),
    )
    (path,) = (tmp_path / "b").iterdir()
    assert path.name == model.path.name
    expected = weights.read_arrays(path)
    for name, array in weights.read_arrays(model.path).items():
        np.testing.assert_array_equal(array, expected[name])


def test_cases_and_recipes_of_ones_own(phantoms, tmp_path, capsys):
    cases = read_data(phantoms).cases
    path = tmp_path / "mine.safetensors"
    model = busnet.train(cases, recipe=SMALL, out=path, work=tmp_path, device="cpu")
    assert model.path == path
    assert model.info.provenance["train_images"] < len(cases)
    assert "training: step 4/4" in capsys.readouterr().err
    assert [p.name for p in tmp_path.iterdir()] == ["mine.safetensors"]


def test_patients_whose_names_are_not_utf8(phantom_data, tmp_path):
    data, root = tmp_path / "data", os.fsencode(tmp_path / "data")
    shutil.copytree(phantom_data, data)
    patient = os.path.join(root, b"benign", b"caf\xe9")
    os.mkdir(patient)
    for name in (b"case 1.png", b"case 1_mask.png"):
        os.rename(os.path.join(root, b"benign", name), os.path.join(patient, name))
    model = busnet.train(data, recipe=SMALL, work=tmp_path / "w", progress=False)
    hashes = ContentHashes.decode(model.info.content_hashes)
    assert len(hashes) == 9
    assert hashes.same_images(ContentHashes.of(read_data(data).cases)).all()


def test_images_are_hashed_before_the_training(phantom_data, tmp_path, monkeypatch):
    """What is wrong with them is known before hours are spent."""

    def refuse(trainer):
        raise busnet.DataError("no hash")

    monkeypatch.setattr("busnet.training.run.hash_training", refuse)
    monkeypatch.setattr("busnet.training.trainer.Trainer.run", None)
    with pytest.raises(busnet.DataError, match="no hash"):
        busnet.train(phantom_data, recipe=SMALL, work=tmp_path, progress=False)


def test_a_recipe_is_resized():
    standard = RECIPES["standard"]
    assert [p.size for p in standard.resized(96).phases] == [64, 96]
    assert [p.size for p in standard.resized(65).phases] == [64, 65]
    assert standard.resized(192) == standard
    assert [p.epochs for p in standard.resized(64).phases] == [10, 20]


@pytest.mark.parametrize(
    ("options", "error", "fact"),
    [
        ({"network": "resnet19"}, busnet.UnknownNetworkError, "'resnet19'"),
        ({"channels": 2}, busnet.UnknownNetworkError, r"1 channel .* not 2"),
        ({"recipe": "magic"}, busnet.ModelError, "no recipe is called 'magic'"),
        ({"epochs": 0}, busnet.ModelError, "at least one epoch, not 0"),
        ({"image_size": 32}, busnet.ModelError, "image size 32 is not in 64"),
        ({"seed": -1}, busnet.ModelError, "seed -1 is negative"),
        ({"frozen": 5}, busnet.ModelError, "0 to 4 stages can be frozen, not 5"),
        ({"fold": 9}, busnet.DataError, "not 9"),
        ({"device": "tpu9"}, busnet.DataError, "no device 'tpu9'"),
        ({"protocol": "x"}, busnet.DataError, "no protocol is called 'x'"),
    ],
)
def test_what_cannot_be_is_an_error(phantoms, tmp_path, options, error, fact):
    with pytest.raises(error, match=fact):
        busnet.train(phantoms, work=tmp_path, progress=False, **options)
    assert not list(tmp_path.iterdir())


def _without(phantom_data, **changes):
    cases = read_data(phantom_data).cases
    return [
        dataclasses.replace(case, **changes) if case.label != "normal" else case
        for case in cases
    ]


def test_a_head_that_would_learn_nothing_is_refused(phantom_data, tmp_path):
    options = {"recipe": SMALL, "work": tmp_path, "progress": False}
    with pytest.raises(busnet.DataError, match=r"mask head.*--heads class"):
        busnet.train(_without(phantom_data, masks=()), **options)
    with pytest.raises(busnet.DataError, match=r"class head.*--heads mask"):
        busnet.train(_without(phantom_data, label=None), **options)
    assert list(tmp_path.iterdir()) == []
    model = busnet.train(_without(phantom_data, masks=()), heads=("class",), **options)
    assert model.info.network.heads == ("class",)


def test_a_class_that_no_image_has_is_said(phantom_data, tmp_path, capsys):
    cases = [c for c in read_data(phantom_data).cases if c.label != "malignant"]
    busnet.train(cases, recipe=SMALL, work=tmp_path)
    assert "no training image is malignant" in capsys.readouterr().err
