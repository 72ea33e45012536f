"""``busnet baselines``: killed, resumed, and what its page says."""

import csv
import json
import re
import signal
import subprocess
import sys
import time

import pytest
from helpers import call
from PIL import Image
from random_weights import random_arrays, random_info, save_random
from safetensors.numpy import save_file

import busnet
from busnet.cli.baselines import divide_figures
from busnet.data import CLASSES
from busnet.data.phantom import phantom
from busnet.networks import get_network
from busnet.weights import save

NETWORKS = ("resnet18", "resnet34")

#: A name that a label must not take for mathematics, nor show whole.
BEST = "best $of$ " + 12 * "epoch "


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """Draw 60 images of three classes in 20 groups."""
    root = tmp_path_factory.mktemp("drawn")
    rows = [("image", "label", "mask", "patient")]
    for number in range(60):
        label = CLASSES[number % 3]
        image, mask = phantom(64, 72, seed=number)
        if label == "malignant":
            image, mask = image[::-1], mask[::-1]
        Image.fromarray(image).save(root / f"{number}.png")
        Image.fromarray(mask & (label != "normal")).save(root / f"{number}_m.png")
        rows.append((f"{number}.png", label, f"{number}_m.png", f"p{number // 3}"))
    with (root / "table.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    return root / "table.csv"


def arguments(table, out, *more, networks=NETWORKS, folds=2):
    return (
        *("baselines", "--data", table, "--networks", ",".join(networks)),
        *("--folds", folds, "--epochs", 1, "--image-size", 64, "--bootstrap", 20),
        *("--out", out, *more),
    )


def state(out):
    """Return the files of a comparison with their times."""
    return {
        path.name: path.stat().st_mtime_ns
        for path in out.glob("*/*")
        if path.suffix != ".lock"
    }


@pytest.fixture(scope="module")
def finished(table, tmp_path_factory):
    """Kill a comparison after its first fold, and give the command again."""
    out = tmp_path_factory.mktemp("comparison") / "out"
    command = [sys.executable, "-m", "busnet", *map(str, arguments(table, out))]
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    end = time.monotonic() + 250
    while not list(out.glob("evaluations/resnet*.json")) and time.monotonic() < end:
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    before = state(out)
    done = call(*arguments(table, out))
    return out, before, done


def test_a_killed_comparison_trains_no_finished_fold_again(finished):
    out, before, done = finished
    assert "resnet18-fold0-seed0.json" in before
    assert not (out / ".lock").exists()
    assert "of 4 are finished" in done.stderr
    assert "finished: resnet34, fold 1" in done.stderr
    assert "finished: resnet18, fold 0" not in done.stderr
    after = state(out)
    for name, time_ns in before.items():
        if name.endswith(".json"):
            assert after[name] == time_ns
    assert sorted(name for name in after if name.endswith(".safetensors")) == [
        f"{network}-fold{fold}-seed0.safetensors"
        for network in NETWORKS
        for fold in (0, 1)
    ]
    assert not [name for name in after if ".ckpt" in name]


def test_folds_divide_no_group(finished):
    with (finished[0] / "folds.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    groups = {row["group"]: set() for row in rows}
    for row in rows:
        groups[row["group"]].add(row["fold"])
    assert len(rows) == 60
    assert len(groups) == 20
    assert all(len(folds) == 1 for folds in groups.values())
    assert sum(row["fold"] == "0" for row in rows) == 30


def test_the_page_is_whole(finished):
    out = finished[0]
    document = json.loads((out / "comparison.json").read_text())
    assert [row["name"] for row in document["rows"]] == [*NETWORKS]
    assert [row["images"] for row in document["rows"]] == [60, 60]
    assert all(set(row["milliseconds"]) == {"f32", "int8"} for row in document["rows"])
    (pair,) = document["differences"]
    accuracy = [row["figures"]["accuracy"][0] for row in document["rows"]]
    assert pair["figures"]["accuracy"][0] == pytest.approx(
        accuracy[1] - accuracy[0], abs=2e-6
    )
    html = (out / "comparison.html").read_text()
    sources = re.findall(r'src="([^"]*)"', html)
    assert len(sources) == 6
    assert all(source.startswith("data:image/svg+xml;base64,") for source in sources)
    assert "http" not in re.sub(r'src="[^"]*"', "", html)
    markdown = (out / "comparison.md").read_text()
    for text in (html, markdown):
        assert "For research use only" in text
        assert "60 images in 20 groups" in text
    assert f"- {document['sentences'][0]}" in markdown


def test_a_model_of_ones_own_is_compared(table, finished, tmp_path):
    row = get_network("resnet18", channels=1)
    own = save_random(tmp_path / "own.safetensors", row)
    result = busnet.baselines(
        table, finished[0], networks=NETWORKS, models=[own], folds=2, epochs=1,
        image_size=64, bootstrap=20, speed=False, reference="own", progress=False,
    )  # fmt: skip
    assert list(result.evaluations) == [*NETWORKS, "own"]
    assert list(result.paired.differences) == [*NETWORKS]
    assert "<h2>Differences from own</h2>" in result._repr_html_()
    seen = finished[0] / "models" / "resnet18-fold0-seed0.safetensors"
    # Held out is one fold of this comparison alone: the other one was trained on.
    with pytest.raises(busnet.BusnetError, match=r"held out|trained on"):
        busnet.baselines(
            table, finished[0], networks=NETWORKS, models=[seen], folds=2, epochs=1,
            image_size=64, bootstrap=20, speed=False, progress=False,
        )  # fmt: skip


def test_trainings_run_in_processes(table, tmp_path, finished):
    out = tmp_path / "out"
    more = ("--jobs", 2, "--no-speed", "--bootstrap", 10)
    done = call(*arguments(table, out, *more, networks=NETWORKS[:1]))
    assert "finished: resnet18, fold 1" in done.stderr
    names = [f"resnet18-fold{fold}-seed0.json" for fold in (0, 1)]
    for name in names:
        ours, theirs = (
            json.loads((folder / "evaluations" / name).read_text())["figures"]
            for folder in (out, finished[0])
        )
        assert ours["accuracy"][0] == theirs["accuracy"][0]


@pytest.mark.parametrize(
    ("more", "options", "status", "fact"),
    [
        ((), {"networks": ["resnet19"]}, 1, "no network is called 'resnet19'"),
        ((), {"networks": []}, 1, "there is no network and no model to compare"),
        ((), {"networks": ["resnet18"] * 2}, 1, "network resnet18 is named twice"),
        ((), {"folds": 1}, 1, "at least 2 folds, not 1"),
        ((), {"folds": 21}, 1, "20 groups cannot be spread over 21 folds"),
        (("--seeds", "0,x"), {}, 2, "is not whole numbers with commas"),
        (("--recipe", "magic"), {}, 2, "is not one of standard"),
        (("--reference", "x"), {}, 1, "no row is called 'x'"),
        (("--models", "none.safetensors"), {}, 1, "none.safetensors"),
        (("--models", "b.pth"), {}, 1, "does not say which output is which class"),
        (
            ("--models", "none.pth", "--classes", "normal,benign,malignant"),
            {},
            1,
            "none.pth: no such file",
        ),
        (("--models", "b.pth", "--classes", "a,b"), {}, 1, "classes are a, b, not"),
        (("--models", "c.pth,c.pth"), {}, 1, "c.pth: a row is called"),
        (("--start", "none.pth"), {}, 1, "none.pth: no such file to start from"),
        (
            ("--start", "resnet18"),
            {"networks": ["resnet18", "resnet50"]},
            1,
            "weights are of basic blocks (2, 2, 2, 2), resnet50 has bottleneck",
        ),
    ],
)
def test_what_cannot_be_is_said_before_anything_is_trained(
    table, tmp_path, more, options, status, fact
):
    done = call(*arguments(table, tmp_path / "out", *more, **options), check=status)
    assert fact in " ".join(done.stderr.replace("│", " ").split())
    assert not (tmp_path / "out").exists()


def test_models_of_one_name_are_rows_of_their_own(table, finished, tmp_path):
    """A file that is called as a network that is trained, and two of one name."""
    row = get_network("resnet18", channels=1)
    first, second, third = (
        save_random(tmp_path / name, row, seed=seed)
        for seed, name in enumerate(
            ("resnet18.safetensors", f"a/{BEST}.safetensors", f"b/{BEST}.safetensors")
        )
    )
    result = busnet.baselines(
        table, finished[0], networks=NETWORKS, models=[first, second, third], folds=2,
        epochs=1, image_size=64, bootstrap=20, speed=False, progress=False,
    )  # fmt: skip
    own = [f"{tmp_path.name}/resnet18", f"a/{BEST}", f"b/{BEST}"]
    assert list(result.evaluations) == [*NETWORKS, *own]
    document = json.loads((finished[0] / "comparison.json").read_text())
    assert [row["name"] for row in document["rows"]] == [*result.evaluations]


@pytest.mark.parametrize("classes", [CLASSES, ("malignant", "benign")])
def test_files_of_pytorch_are_compared_whatever_their_ending(table, tmp_path, classes):
    row = get_network("resnet18", channels=1)
    arrays = random_arrays(row, classes=len(classes))
    save_file(arrays, tmp_path / "theirs.safetensors")
    result = busnet.baselines(
        table, tmp_path / "out", networks=[], models=[tmp_path / "theirs.safetensors"],
        classes=classes, folds=2, image_size=64, bootstrap=20, speed=False,
        progress=False,
    )  # fmt: skip
    assert list(result.evaluations) == ["theirs"]
    assert bool(result.class_note) == (len(classes) == 2)
    assert len(result.figures) == 5


def test_a_model_of_two_classes_is_compared_among_lesions(table, tmp_path):
    """Each column has one definition; what a row does not have is empty."""
    row = get_network("resnet18", channels=1, heads=("class",))
    two = tmp_path / "two.safetensors"
    save(two, random_arrays(row, 2), random_info(row, classes=("malignant", "benign")))
    three = save_random(tmp_path / "three.safetensors", row, seed=1)
    out = tmp_path / "out"
    more = ("--models", f"{two},{three}", "--no-speed")
    done = call(*arguments(table, out, *more, networks=[]))
    ours, theirs = json.loads((out / "comparison.json").read_text())["rows"]
    assert "accuracy" not in ours["figures"]
    assert {*ours["figures"]} < {*theirs["figures"]}
    cases = [
        json.loads(next(out.glob(f"evaluations/model-{name}-*.json")).read_text())
        for name in ("two", "three")
    ]
    for row, document in zip((ours, theirs), cases, strict=True):
        right = [
            (case["probabilities"][-1] > case["probabilities"][-2])
            == (case["label"] == "malignant")
            for case in document["cases"]
            if case["label"] != "normal"
        ]
        assert len(right) == 40
        assert row["figures"]["accuracy among lesions"][0] == pytest.approx(
            sum(right) / 40, abs=1e-6
        )
    document = json.loads((out / "comparison.json").read_text())
    (pair,) = document["differences"]
    assert pair["figures"]["accuracy among lesions"][0] == pytest.approx(
        theirs["figures"]["accuracy among lesions"][0]
        - ours["figures"]["accuracy among lesions"][0],
        abs=2e-6,
    )
    assert "accuracy" not in pair["figures"]
    assert "AUC among lesions" in document["sentences"][0]
    pages = ((out / f"comparison.{kind}").read_text() for kind in ("md", "html"))
    for text in (done.stdout, *pages):
        assert "20 normal images are left out of them" in " ".join(text.split())
        assert "renormalised over benign and malignant" in " ".join(text.split())
    own = ["accuracy", "macro F1", "malignant AUC", "calibration error"]
    among = [name for name in theirs["figures"] if name.endswith("among lesions")]
    assert divide_figures([*own, *among]) == [own, among]
    assert divide_figures([*among[:4], "Dice"]) == [[*among[:4], "Dice"]]
    smaller, larger = ours["parameters"], theirs["parameters"]
    assert larger - smaller == 513


def test_a_start_that_was_written_anew_is_another_comparison(table, tmp_path):
    row = get_network("resnet18", channels=1)
    start = save_random(tmp_path / "start.safetensors", row)
    own = save_random(tmp_path / "own.safetensors", row)
    more = ("--models", own, "--start", start, "--no-speed")
    call(*arguments(table, tmp_path / "out", *more, networks=[]))
    save_random(start, row, seed=1)
    done = call(*arguments(table, tmp_path / "out", *more, networks=[]), check=1)
    assert "another start" in " ".join(done.stderr.split())


def test_another_comparison_is_not_overwritten(table, finished, tmp_path):
    out = finished[0]
    before = state(out)
    refused = call(*arguments(table, out, "--image-size", 96), check=1)
    assert "another image size (64, not 96)" in " ".join(refused.stderr.split())
    refused = call(*arguments(table, out, folds=3), check=1)
    assert "another number of folds (2, not 3)" in " ".join(refused.stderr.split())
    assert state(out) == before
    other = tmp_path / "other"
    other.mkdir()
    (other / "thesis.txt").write_text("mine")
    refused = call(*arguments(table, other), check=1)
    assert "is not empty, and holds no comparison" in " ".join(refused.stderr.split())
    refused = call(*arguments(table, other / "thesis.txt"), check=1)
    assert "it is a file, not a folder" in " ".join(refused.stderr.split())
    assert (other / "thesis.txt").read_text() == "mine"
    assert len(list(other.iterdir())) == 1


def test_tables_that_cannot_be_used_are_errors(table, tmp_path):
    out = tmp_path / "out"
    missing = call(*arguments(tmp_path / "none.csv", out), check=1)
    assert "no such file" in " ".join(missing.stderr.split())
    rows = table.read_text().replace("p1\n", "p0\n").splitlines()
    one = table.with_name("one.csv")
    one.write_text("\n".join([rows[0]] + [re.sub(r"p\d+$", "p", r) for r in rows[1:]]))
    refused = call(*arguments(one, out), check=1)
    assert "1 group cannot be spread over 2 folds" in " ".join(refused.stderr.split())
    rare = table.with_name("rare.csv")
    rare.write_text(
        "\n".join([rows[0], *(r for r in rows[1:] if "normal" not in r), rows[1]])
    )
    refused = call(*arguments(rare, out), check=1)
    assert "class normal is in 1 group, fewer than the 2 folds" in " ".join(
        refused.stderr.split()
    )
    assert not out.exists()
