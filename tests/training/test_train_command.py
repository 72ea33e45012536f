"""``busnet train`` as a user types it; killed and resumed."""

import json
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from helpers import call, rows, run
from PIL import Image
from random_weights import save_random

from busnet import weights
from busnet.data import ContentHashes
from busnet.data.phantom import phantom
from busnet.networks import get_network


def arguments(data, work, *more):
    return [
        "train",
        "--network",
        "resnet18",
        "--data",
        data,
        "--fold",
        "0",
        "--epochs",
        "2",
        "--work",
        work,
        *more,
    ]


def arrays(work):
    (path,) = work.glob("*.safetensors")
    return weights.read_info(path), weights.read_arrays(path)


@pytest.fixture(scope="module")
def trained(phantoms, tmp_path_factory):
    work = tmp_path_factory.mktemp("work")
    return run(*arguments(phantoms, work)), work


def test_a_weights_file_says_where_it_comes_from(trained):
    done, work = trained
    assert "training: step 4/4" in done.stderr
    info, _ = arrays(work)
    assert info.provenance["protocol"] == "busi-group5"
    assert info.provenance["fold"] == 0
    assert info.provenance["leaks"] == 0
    assert info.provenance["start"] == "random"
    assert info.network.channels == 1
    assert [path.suffix for path in work.iterdir()] == [".safetensors"]


def test_a_killed_training_goes_on(phantoms, trained, tmp_path):
    command = [sys.executable, "-m", "busnet", *arguments(phantoms, tmp_path)]
    process = subprocess.Popen(map(str, command), stderr=subprocess.DEVNULL)
    end = time.monotonic() + 120
    while not list(tmp_path.glob("*.ckpt")) and time.monotonic() < end:
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert list(tmp_path.glob("*.ckpt"))
    run(*arguments(phantoms, tmp_path))
    whole, resumed = arrays(trained[1])[1], arrays(tmp_path)[1]
    for name, array in whole.items():
        np.testing.assert_array_equal(array, resumed[name])
    assert not list(tmp_path.glob("*.ckpt"))


def test_a_hospital_is_left_out(two_hospitals, tmp_path):
    command = ["train", "--network", "resnet18", "--epochs", "1", "--work", tmp_path]
    command += ["--data", two_hospitals, "--leave-out", "south", "--pooling", "lesion"]
    done = call(*command)
    assert "north: lesion-free crops" in done.stderr
    assert "south:" not in done.stderr
    (path,) = tmp_path.glob("*.safetensors")
    assert "hospitals-without-south" in path.name
    info = weights.read_info(path)
    assert info.network.pooling == "lesion"
    assert info.provenance["protocol"] == "hospitals"
    assert info.provenance["fold"] == "south"
    assert info.provenance["sources"] == {"north": {"folds": None, "fold": None}}
    assert info.provenance["test_images"] == 16
    assert info.provenance["recipe"]["sampling"]["lesion_free"] == 0.5


def test_bad_sources_are_told(two_hospitals, phantoms, tmp_path):
    common = ["train", "--network", "resnet18", "--work", tmp_path, "--data"]
    twice = call(*common, phantoms, "--data", phantoms, check=1).stderr
    assert "both called 'busi'" in " ".join(twice.split())
    missing = call(*common, f"a={tmp_path / 'none'}", check=1).stderr
    assert "no such file" in " ".join(missing.split())
    unknown = call(*common, two_hospitals, "--leave-out", "east", check=1).stderr
    assert "north, south, not east" in " ".join(unknown.split())
    both = call(*common, two_hospitals, "--leave-out", "a", "--fold", "0", check=2)
    assert "cannot both be held out" in " ".join(both.stderr.split())


def test_a_checkpoint_of_another_recipe_is_refused(phantoms, tmp_path):
    (tmp_path / "resnet18-class-mask-busi-fold0-seed0.ckpt").write_bytes(b"other")
    message = " ".join(call(*arguments(phantoms, tmp_path), check=1).stderr.split())
    assert "checkpoint cannot be read" in message


def test_leaky_protocols_are_refused_or_marked(phantoms, tmp_path):
    leaky = arguments(phantoms, tmp_path, "--protocol", "busi-random5")
    assert "too good to be true" in " ".join(call(*leaky, check=1).stderr.split())
    assert "LEAKY" in call(*leaky, "--allow-leak").stderr
    info, _ = arrays(tmp_path)
    assert info.provenance["leaks"] > 0
    assert "LEAKY" in info.provenance["data"]


def test_a_start_is_part_of_the_provenance(phantoms, tmp_path):
    start = save_random(
        tmp_path / "start.safetensors",
        get_network("resnet18", channels=1),
        provenance={"protocol": "busbra-patient5", "fold": None},
        content_hashes=ContentHashes(
            np.full((3, 32), 7, np.uint8), np.zeros((3, 8), np.uint8)
        ).encode(),
    )
    work = tmp_path / "work"
    call(*arguments(phantoms, work, "--start", start, "--eight-bit"))
    info, _ = arrays(work)
    assert info.provenance["start"]["protocol"] == "busbra-patient5"
    seen = ContentHashes.decode(info.content_hashes)
    earlier = np.full((3, 32), 7, np.uint8)
    assert (seen.images[-3:] == earlier).all()
    assert len(seen) == info.provenance["hashed_images"] + 3
    assert next(work.glob("*.safetensors")).stat().st_size < 15e6


def test_errors_are_told(phantoms, tmp_path):
    wrong = arguments(phantoms, tmp_path)
    assert "busi-group9" in call(*wrong, "--protocol", "busi-group9", check=1).stderr
    assert "not one of" in call(*wrong, "--recipe", "magic", check=2).stderr
    none = arguments(tmp_path / "none", tmp_path)
    assert "none" in call(*none, check=1).stderr


def test_spoiled_data_are_refused_or_said(tmp_path):
    data = tmp_path / "data"
    for i, label in enumerate(("normal", "benign", "malignant") * 3):
        image, mask = phantom(48, 56, seed=i)
        (data / label).mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(data / label / f"{i}.png")
        drawn = mask & (label != "normal") & (i != 1)
        Image.fromarray(drawn.astype(np.uint8)).save(data / label / f"{i}_mask.png")
    (data / "cyst").mkdir()
    Image.fromarray(image).save(data / "cyst" / "x.png")
    command = ["train", "--network", "resnet18", "--data", data, "--epochs", "1"]
    done = call(*command, "--work", tmp_path / "work")
    output = " ".join(done.stderr.split())
    assert "warning: 1 file not used" in output
    assert "cyst/x.png" in output
    assert "1 image of lesions with an empty mask: custom: benign/1.png" in output
    Image.fromarray(mask).save(data / "normal" / "0_mask.png")
    refused = call(*command, "--work", tmp_path / "other", check=1)
    assert "normal with a lesion in the mask: custom: normal/0.png" in " ".join(
        refused.stderr.split()
    )
    assert not (tmp_path / "other").exists()


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    """Write a table of one's own images in two folds."""
    root = tmp_path_factory.mktemp("own")
    lines = ["image,mask,label,group,fold"]
    for i, label in enumerate(("normal", "benign", "malignant") * 6):
        image, mask = phantom(48, 56, seed=i)
        Image.fromarray(image).save(root / f"{i}.png")
        drawn = mask & (label != "normal")
        Image.fromarray(drawn.astype(np.uint8)).save(root / f"{i}_mask.png")
        lines.append(f"{i}.png,{i}_mask.png,{label},patient {i // 3},{i // 3 % 2}")
    table = root / "own.csv"
    table.write_text("\n".join(lines) + "\n")
    return table


def train_own(table, work, *options):
    common = ("--network", "resnet18", "--data", table, "--epochs", "1")
    call("train", *common, "--work", work, *options)
    (path,) = work.glob("*.safetensors")
    return path


def refuses(*command):
    done = call("evaluate", *command, "--bootstrap", "10", check=1)
    message = " ".join(done.stderr.split())
    assert "too good to be true" in message
    assert "the model was trained on" in message
    assert "Traceback" not in done.stderr
    return message


def test_what_training_saw_of_own_data_is_not_evaluated_on(own, tmp_path):
    """From training to evaluation, as users type it."""
    path = train_own(own, tmp_path / "work", "--fold", "0")
    common = ("--data", own, "--model", path)
    out = tmp_path / "e.json"
    done = call("evaluate", *common, "--bootstrap", "10", "--json", out)
    document = json.loads(out.read_text())
    assert (document["fold"], document["leaky"]) == (0, False)
    assert document["counts"]["images"] == 9
    assert "LEAKY" not in done.stdout

    refuses(*common, "--fold", "1")
    files = {name: tmp_path / f"leaky.{name}" for name in ("json", "csv")}
    done = call(
        "evaluate", *common, "--fold", "1", "--allow-leak", "--bootstrap", "10",
        "--json", files["json"], "--csv", files["csv"],
    )  # fmt: skip
    assert "LEAKY: the model was trained on 9 of the images" in done.stdout
    assert json.loads(files["json"].read_text())["leaky"] is True
    leaks = {row["leak"] for row in rows(files["csv"].read_text())}
    assert len(leaks) == 1
    assert "trained on" in leaks.pop()
    compared = call("compare", files["json"], files["json"], "--bootstrap", "10")
    assert "LEAKY" in compared.stdout

    # Copies under other names, without the table, are the same images.
    copies = tmp_path / "copies"
    for i, label in ((4, "benign"), (5, "malignant")):
        (copies / label).mkdir(parents=True)
        with Image.open(own.parent / f"{i}.png") as image:
            image.resize((112, 96)).save(copies / label / "x.png")
    refuses("--data", copies, "--model", path)


def test_a_training_without_a_fold_saw_all_of_own_data(own, tmp_path):
    path = train_own(own, tmp_path / "work")
    refuses("--data", own, "--model", path)
    refuses("--data", own, "--model", path, "--fold", "0")


def test_a_training_is_not_begun_where_its_files_cannot_be_written(
    phantom_data, tmp_path
):
    file = tmp_path / "file"
    file.touch()
    command = ("train", "--data", phantom_data, "--network", "resnet18")
    for options in (
        ("--work", file / "runs"),
        ("--work", file / "runs", "--out", tmp_path / "w.safetensors"),
    ):
        done = call(*command, *options, check=1)
        assert f"{file} is a file, not a folder" in done.stderr.splitlines()[-1]
    assert list(tmp_path.iterdir()) == [file]
