"""Files in the folder of a comparison: foreign, damaged, or left by a failure."""

import csv
import dataclasses
import json
import shutil

import pytest
from PIL import Image
from random_weights import save_random

import busnet
from busnet.data import CLASSES, get_protocol, read_data, split
from busnet.data.digests import digest
from busnet.data.phantom import phantom
from busnet.errors import BusnetError, DataError, OutputError
from busnet.experiments.division import divide
from busnet.experiments.train import choose_recipe
from busnet.networks import get_network

ROW = get_network("resnet18", channels=1)
OPTIONS = {
    "networks": ["resnet18"], "folds": 2, "epochs": 1, "image_size": 64,
    "bootstrap": 10, "speed": False, "progress": False,
}  # fmt: skip


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """Draw 18 images of three classes, each a group of its own."""
    root = tmp_path_factory.mktemp("drawn")
    rows = [("image", "label", "mask")]
    for number in range(18):
        label = CLASSES[number % 3]
        image, mask = phantom(64, 72, seed=number)
        Image.fromarray(image).save(root / f"{number}.png")
        Image.fromarray(mask & (label != "normal")).save(root / f"{number}_m.png")
        rows.append((f"{number}.png", label, f"{number}_m.png"))
    with (root / "table.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    return root / "table.csv"


def weights_path(out, fold):
    return out / "models" / f"resnet18-fold{fold}-seed0.safetensors"


def evaluation_path(out, fold):
    return out / "evaluations" / f"resnet18-fold{fold}-seed0.json"


def save_fold(table, path, fold, row=ROW, **changes):
    """Write a weights file that says of itself what that of a trained fold does."""
    cases, protocol, _ = divide(read_data(table), 2, None)
    parts = split(cases, protocol, fold)
    provenance = {
        "protocol": protocol,
        "fold": fold,
        "sources": get_protocol(protocol).trained_sources(cases, fold),
        "train_images": len(parts.train),
        "validation_images": len(parts.validation),
        "test_images": len(parts.test),
        "start": "random",
        "recipe": choose_recipe("standard", epochs=1, image_size=64).as_dict(),
        "digests": {
            "data": digest(cases),
            "division into folds": digest(cases, folds=True),
        },
    }
    return save_random(path, row, seed=fold, provenance={**provenance, **changes})


@pytest.fixture(scope="module")
def finished(table, tmp_path_factory):
    """Return a comparison whose trainings were finished elsewhere."""
    out = tmp_path_factory.mktemp("comparison") / "out"
    for fold in (0, 1):
        save_fold(table, weights_path(out, fold), fold)
    busnet.baselines(table, out, **OPTIONS)
    return out


@pytest.fixture
def out(finished, tmp_path):
    return shutil.copytree(finished, tmp_path / "out")


def recipe(**changes):
    chosen = choose_recipe("standard", epochs=1, image_size=64)
    return dataclasses.replace(chosen, **changes).as_dict()


def test_files_of_the_same_trainings_are_used(table, out, finished):
    before = {p: p.stat().st_mtime_ns for p in out.glob("*/*.*")}
    result = busnet.baselines(table, out, **OPTIONS)
    assert len(result.evaluations["resnet18"].scores) == 18
    for path, time_ns in before.items():
        if path.parent.name in ("models", "evaluations"):
            assert path.stat().st_mtime_ns == time_ns


@pytest.mark.parametrize(
    ("fold", "changes", "fact"),
    [
        (1, {}, "its fold is 1, not 0"),
        (
            0,
            {"row": get_network("resnet34", channels=1)},
            r'its network.name is "resnet34", not "resnet18"',
        ),
        (
            0,
            {"row": get_network("resnet18", channels=1, pooling="lesion")},
            r'its network.pooling is "lesion", not "mean"',
        ),
        (0, {"protocol": "busi-group5"}, r'protocol is "busi-group5", not "custom"'),
        (0, {"recipe": recipe(seed=3)}, "its seed is 3, not 0"),
        (
            0,
            {"recipe": recipe(learning_rate=0.5)},
            "its recipe.learning_rate is 0.5, not 0.0002",
        ),
        (0, {"start": {"data": "x"}}, r'its start is {"data": "x"}, not "random"'),
        (0, {"train_images": 5}, "its train_images is 5, not"),
        (0, {"digests": {"data": "0f"}}, r'its digests.data is "0f", not "'),
        (0, {"protocol": None, "recipe": None}, r'its protocol is null, not "custom"'),
    ],
)
def test_foreign_files_are_refused(table, out, fold, changes, fact):
    path = weights_path(out, 0)
    save_fold(table, path, fold, **changes)
    foreign = path.read_bytes()
    with pytest.raises(DataError, match=fact) as raised:
        busnet.baselines(table, out, **OPTIONS)
    assert str(raised.value).startswith(f"{path}: the file is not of this comparison")
    assert str(raised.value).endswith("delete it, and the fold is trained again")
    assert path.read_bytes() == foreign


def test_evaluations_of_other_weights_are_refused(table, out):
    path = evaluation_path(out, 0)
    shutil.copy(evaluation_path(out, 1), path)
    with pytest.raises(DataError, match="its fold is 1, not 0; delete it, and the f"):
        busnet.baselines(table, out, **OPTIONS)
    document = json.loads(evaluation_path(out, 1).read_text())
    document["fold"] = 0
    path.write_text(json.dumps(document))
    with pytest.raises(DataError, match=r"its provenance.fold is 1, not 0"):
        busnet.baselines(table, out, **OPTIONS)
    path.unlink()
    busnet.baselines(table, out, **OPTIONS)
    assert json.loads(path.read_text())["provenance"]["fold"] == 0


def test_damaged_files_are_named_with_the_remedy(table, out):
    evaluation, weights = evaluation_path(out, 0), weights_path(out, 0)
    evaluation.write_bytes(evaluation.read_bytes()[:500])
    with pytest.raises(
        DataError, match=r"fold0-seed0.json: .*; delete it, and the fold is evaluated"
    ):
        busnet.baselines(table, out, **OPTIONS)
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(
        DataError, match=r"fold0-seed0.safetensors: not a whole .*; delete it, and the"
    ) as raised:
        busnet.baselines(table, out, **OPTIONS)
    assert str(raised.value).count(str(weights)) == 1
    checkpoint = weights.with_suffix(".ckpt")
    checkpoint.write_bytes(b"torn")
    weights.unlink()
    with pytest.raises(
        DataError, match=r"fold0-seed0.ckpt: .*; delete it, and the training starts"
    ):
        busnet.baselines(table, out, **OPTIONS)
    checkpoint.unlink()
    busnet.baselines(table, out, **OPTIONS)
    provenance = busnet.load(weights).info.provenance
    assert provenance["digests"] == json.loads(
        json.dumps(busnet.load(weights_path(out, 1)).info.provenance["digests"])
    )
    assert json.loads(evaluation.read_text())["provenance"] == provenance


@pytest.mark.parametrize("exists", [False, True])
def test_a_comparison_that_fails_early_leaves_nothing(table, tmp_path, exists):
    out = tmp_path / "out"
    if exists:
        out.mkdir()
    before = sorted(tmp_path.rglob("*"))
    for options in (
        {"device": "none", "image_size": 96},
        {"networks": [], "models": [tmp_path / "own.safetensors"], "folds": 3},
    ):
        if options.get("models"):
            save_fold(table, tmp_path / "own.safetensors", 0)
            before = sorted(tmp_path.rglob("*"))
        with pytest.raises(BusnetError):
            busnet.baselines(table, out, **{**OPTIONS, **options})
        assert sorted(tmp_path.rglob("*")) == before
    own = save_random(tmp_path / "mine.safetensors", ROW)
    options = {**OPTIONS, "networks": [], "models": [own]}
    result = busnet.baselines(table, out, **options)
    assert list(result.evaluations) == ["mine"]


def test_a_comparison_that_fails_early_leaves_the_files_of_others(
    table, tmp_path, monkeypatch
):
    from busnet.experiments import baselines

    out = tmp_path / "out"

    def fail(*arguments):
        (out / "notes.txt").write_text("mine")
        (out / "models" / "scans").mkdir()
        (out / "models" / "scans" / "a.png").touch()
        (out / "models" / ".busnet-0123456789abcdef.ckpt").touch()
        raise DataError("it fails")

    monkeypatch.setattr(baselines, "_train_all", fail)
    with pytest.raises(DataError, match="it fails"):
        busnet.baselines(table, out, **OPTIONS)
    left = {p.relative_to(out).as_posix() for p in out.rglob("*")}
    assert left == {"notes.txt", "models", "models/scans", "models/scans/a.png"}


def test_what_is_finished_stays_when_the_rest_fails(table, tmp_path):
    out, own = tmp_path / "out", save_random(tmp_path / "mine.safetensors", ROW)
    with pytest.raises(BusnetError, match="none"):
        busnet.baselines(table, out, **{**OPTIONS, "models": [own], "device": "none"})
    assert len(list(out.glob("evaluations/model-mine-*.json"))) == 1
    assert (out / "settings.json").exists()


def test_a_model_that_was_written_anew_is_timed_anew(table, tmp_path, monkeypatch):
    from busnet.experiments import result
    from busnet.experiments.speed import Timing

    own, timed = tmp_path / "mine.safetensors", []

    def measure_speed(models, cases):
        timed.append(list(models))
        return {name: {"f32": Timing(len(timed), len(timed))} for name in models}

    monkeypatch.setattr(result, "measure_speed", measure_speed)
    options = {**OPTIONS, "networks": [], "models": [own], "speed": True}
    for seed, count in ((0, 1), (0, 1), (1, 2)):
        save_random(own, ROW, seed=seed)
        compared = busnet.baselines(table, tmp_path / "out", **options)
        assert len(timed) == count
        assert compared.speed["mine"]["f32"] == Timing(count, count)


def test_a_table_of_folds_of_ones_own_is_not_replaced(table, out):
    (out / "settings.json").unlink()
    for path in out.glob("comparison.*"):
        path.unlink()
    busnet.baselines(table, out, **OPTIONS)  # as after a stop before the settings
    for path in (*out.glob("comparison.*"), out / "settings.json"):
        path.unlink()
    (out / "folds.csv").write_text("image,fold\n0.png,1\n")
    with pytest.raises(OutputError, match=r"folds\.csv: it would be replaced"):
        busnet.baselines(table, out, **OPTIONS)
    assert (out / "folds.csv").read_text() == "image,fold\n0.png,1\n"
    assert not (out / "settings.json").exists()
