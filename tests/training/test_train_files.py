"""Which files a training writes, and which it leaves as they are."""

import dataclasses

import numpy as np
import pytest
from PIL import Image
from random_weights import save_random

import busnet
from busnet._io import locked
from busnet.data import Case
from busnet.data.phantom import phantom
from busnet.errors import DataError, ModelError, OutputError
from busnet.experiments.folder import file_name
from busnet.networks import get_network
from busnet.training import run as training
from busnet.training.recipe import Phase, Recipe
from busnet.training.trainer import Trainer

TINY = Recipe((Phase(32, 1, batch=4),))
OPTIONS = {"heads": ["class"], "recipe": TINY, "device": "cpu", "progress": False}


def draw(folder, *, source="custom", first=0, count=8):
    """Draw images of lesions, in two folds."""
    folder.mkdir(parents=True, exist_ok=True)
    cases = []
    for i in range(first, first + count):
        path = folder / f"{i}.png"
        Image.fromarray(phantom(40, 48, seed=i)[0]).save(path)
        label = ("benign", "malignant")[i % 2]
        case = Case(path.name, path, (), label, group=f"{i}", fold=i % 2, source=source)
        cases.append(case)
    return cases


@pytest.fixture(scope="module")
def cases(tmp_path_factory):
    return draw(tmp_path_factory.mktemp("drawn"))


@pytest.fixture(scope="module")
def finished(cases, tmp_path_factory):
    """Train with numbers of NumPy's, as a data frame has them."""
    work = tmp_path_factory.mktemp("work")
    fold = np.array([case.fold for case in cases])[1]
    model = busnet.train(cases, fold=fold, seed=np.int64(3), work=work, **OPTIONS)
    return work, model


def test_numpys_numbers_are_pythons(finished):
    work, model = finished
    name = "resnet18-class-custom-fold1-seed3.safetensors"
    assert [path.name for path in work.iterdir()] == [name]
    provenance = model.info.provenance
    assert (type(provenance["fold"]), provenance["fold"]) == (int, 1)
    assert provenance["recipe"]["seed"] == 3
    assert provenance["sources"] == {"custom": {"folds": "custom", "fold": 1}}


@pytest.mark.parametrize(
    ("options", "error", "fact"),
    [
        ({"fold": True}, DataError, "name of a source, not True"),
        ({"fold": 1.0}, DataError, r"name of a source, not 1\.0"),
        ({"fold": np.float64(1)}, DataError, "a fold is a whole number"),
        ({"seed": np.True_}, ModelError, "the seed is a whole number"),
        ({"seed": 0.5}, ModelError, "the seed is a whole number, not 0.5"),
        ({"epochs": 2.0}, ModelError, "the number of epochs is a whole number"),
        ({"image_size": "64"}, ModelError, "the image size is a whole number"),
    ],
)
def test_what_is_no_whole_number_is_refused(cases, tmp_path, options, error, fact):
    with pytest.raises(error, match=fact):
        busnet.train(cases, work=tmp_path, **OPTIONS, **options)
    assert not list(tmp_path.iterdir())


def test_a_recipe_of_numpys_numbers_is_one_of_pythons():
    recipe = Recipe((Phase(np.int64(32), np.int64(1), np.int64(4)),), seed=np.int64(3))
    assert recipe == dataclasses.replace(TINY, seed=3)
    changed = dataclasses.replace(recipe, learning_rate=np.float32(0.5))
    assert type(changed.as_dict()["learning_rate"]) is float
    assert type(changed.as_dict()["phases"][0]["size"]) is int
    with pytest.raises(ModelError, match="a recipe's seed is a whole number, not True"):
        dataclasses.replace(recipe, seed=True)


def test_a_finished_training_is_not_done_again(cases, finished, monkeypatch):
    work, model = finished
    before = model.path.stat().st_mtime_ns
    monkeypatch.setattr(Trainer, "run", None)
    again = busnet.train(cases, fold=1, seed=3, work=work, **OPTIONS)
    assert again.info == model.info
    assert [path.stat().st_mtime_ns for path in work.iterdir()] == [before]


def refuse(monkeypatch):
    def run(self, report):
        raise AssertionError("it trains")

    monkeypatch.setattr(Trainer, "run", run)


@pytest.mark.parametrize(
    "changes",
    [
        {"recipe": dataclasses.replace(TINY, phases=(Phase(32, 2, batch=4),))},
        {"recipe": dataclasses.replace(TINY, phases=(Phase(48, 1, batch=4),))},
        {"channels": 3},
        {"eight_bit": True},
        {"start": "start.safetensors"},
        {"data": "others"},
    ],
)
def test_a_model_of_another_training_is_not_replaced(
    cases, finished, tmp_path, monkeypatch, changes
):
    work, model = finished
    before = model.path.read_bytes()
    refuse(monkeypatch)
    data, options = cases, {**OPTIONS, **changes}
    if "start" in options:
        row = get_network("resnet18", channels=1, heads=["class"])
        options["start"] = save_random(tmp_path / options["start"], row)
    if options.pop("data", ""):
        data = draw(tmp_path / "others", first=20)
    with pytest.raises(OutputError, match=r"is not of this training") as raised:
        busnet.train(data, fold=1, seed=3, work=work, **options)
    message = str(raised.value)
    assert message.startswith(f"{model.path}: ")
    assert "--out" in message
    assert "--work" in message
    assert [path.read_bytes() for path in work.iterdir()] == [before]
    # A file that is named is replaced, as by all commands.
    with pytest.raises(AssertionError, match="it trains"):
        busnet.train(data, fold=1, seed=3, work=work, out=model.path, **options)
    assert model.path.read_bytes() == before


def test_a_damaged_file_is_not_replaced(cases, tmp_path):
    path = tmp_path / "resnet18-class-custom-all-seed0.safetensors"
    path.write_bytes(b"mine")
    with pytest.raises(OutputError, match="not of this training"):
        busnet.train(cases, work=tmp_path, **OPTIONS)
    assert path.read_bytes() == b"mine"


@pytest.mark.parametrize(
    ("out", "message"),
    [
        ("own.csv", "own.csv: a model's file ends in .safetensors"),
        ("model", "model: a model's file ends in .safetensors"),
        ("start.safetensors", "out would replace a file that is read"),
    ],
)
def test_the_weights_file_is_no_other_file(cases, tmp_path, out, message):
    # A table of the data, say, or the model that the weights start from.
    start = tmp_path / "start.safetensors"
    save_random(start, get_network("resnet18"))
    path = tmp_path / out
    before = {file: file.read_bytes() for file in tmp_path.iterdir()}
    with pytest.raises(OutputError, match=message):
        busnet.train(cases, work=tmp_path, out=path, start=start, **OPTIONS)
    assert {file: file.read_bytes() for file in tmp_path.iterdir()} == before


def test_two_trainings_do_not_share_a_checkpoint(cases, tmp_path):
    checkpoint = tmp_path / "resnet18-class-custom-all-seed0.ckpt"
    with (
        locked(tmp_path / f"{checkpoint.name}.lock", "busy"),
        pytest.raises(OutputError, match=f"{checkpoint}: another training is using"),
    ):
        busnet.train(cases, work=tmp_path, out=tmp_path / "w.safetensors", **OPTIONS)
    assert not list(tmp_path.iterdir())


def written(monkeypatch, data, work, **options):
    """Return the names of the files that a training would write."""
    names = []

    def run(job, out, *, checkpoint, **rest):
        names.extend((out.relative_to(work), checkpoint.relative_to(work)))
        raise DataError("it trains")

    monkeypatch.setattr(training, "run", run)
    with pytest.raises(DataError, match="it trains"):
        busnet.train(data, work=work, **OPTIONS, **options)
    assert all(len(name.parts) == 1 for name in names)
    return [name.name for name in names]


def test_names_are_short_and_without_folders(tmp_path, monkeypatch):
    sources = [f"Hospital number {i}" for i in range(15)]
    data = [
        case
        for i, source in enumerate(sources)
        for case in draw(tmp_path / "a", source=source, first=2 * i, count=2)
    ]
    names = written(monkeypatch, data, tmp_path / "work")
    assert all(len(name) < 150 for name in names)
    assert names[0].startswith("resnet18-class-Hospital_number_0-Hospital_number_1-")
    other = [dataclasses.replace(c, source=c.source.replace("4", "9")) for c in data]
    assert written(monkeypatch, other, tmp_path / "work") != names
    data = draw(tmp_path / "b", source="St. Mary/North")
    data += draw(tmp_path / "c", source="St. Mary North", first=10)
    slash = written(monkeypatch, data, tmp_path, fold="St. Mary/North")
    blank = written(monkeypatch, data, tmp_path, fold="St. Mary North")
    assert slash[0].startswith("resnet18-class-hospitals-without-St._Mary_North-")
    assert slash != blank


def test_a_name_is_a_part_of_a_files_name():
    assert file_name("busi") == "busi"
    assert file_name("Städtisches-Klinikum_2.1") == "Städtisches-Klinikum_2.1"
    assert file_name("a b") != file_name("a/b")
    assert "/" not in file_name("../a")
    long = [file_name(100 * "ä" + end) for end in ("", "1")]
    assert len(set(long)) == 2
    assert all(len(name.encode()) <= 80 for name in long)
