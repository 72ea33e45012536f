"""The command line, as a user types it."""

import json
from pathlib import Path

import numpy as np
import pytest
from helpers import pixels, rows, run, start, wait_for_files
from PIL import Image

from busnet import batch
from busnet.batch.journal import Journal
from busnet.data.phantom import phantom
from busnet.networks import NETWORKS


@pytest.fixture
def folder(tmp_path):
    """Return a folder with three images, a mask, a text and a subfolder."""
    root = tmp_path / "in"
    (root / "sub").mkdir(parents=True)
    for name, size in (("b (2)", (60, 80)), ("b (10)", (81, 64)), ("sub/c", (50, 50))):
        Image.fromarray(phantom(*size)[0]).save(root / f"{name}.png")
    Image.new("1", (80, 60)).save(root / "b (2)_mask.png")
    (root / "notes.txt").write_text("text")
    return root


def test_predict_a_folder(folder, tmp_path, weights_file):
    out = tmp_path / "out"
    done = run("predict", folder, "--out", out, "--overlay", "--model", weights_file)
    assert "For research use only" in done.stderr
    assert done.stdout == ""
    table = rows((out / "predictions.csv").read_text())
    names = ["b (2)", "b (10)", "sub/c"]
    assert [row["file"] for row in table] == [str(folder / f"{n}.png") for n in names]
    for row in table:
        shares = [float(row[f"p_{c}"]) for c in ("normal", "benign", "malignant")]
        assert sum(shares) == pytest.approx(1, abs=1e-5)
        assert row["error"] == ""
    for name in names:
        image = pixels(folder / f"{name}.png")
        mask = pixels(out / "masks" / f"{name}_mask.png")
        overlay = pixels(out / "overlays" / f"{name}_overlay.png")
        assert mask.shape == image.shape
        assert set(np.unique(mask)) <= {0, 255}
        assert overlay.shape == (*image.shape, 3)
    written = [p for p in out.rglob("*") if p.is_file()]
    assert len(written) == 1 + 3 + 3


def test_predict_to_standard_output(folder, weights_file):
    single = folder / "b (2).png"
    table = rows(run("predict", single, "--model", weights_file).stdout)
    assert [row["file"] for row in table] == [str(single)]
    assert "area_mm2" not in table[0]
    done = run(
        "predict", single, "--model", weights_file, "--format", "json",
        "--spacing", "0.1", "--threads", "1",
    )  # fmt: skip
    document = json.loads(done.stdout)
    assert "For research use only" in document["notice"]
    (result,) = document["results"]
    assert result["label"] == table[0]["label"]
    assert (result["height"], result["width"]) == (60, 80)
    assert result["lesions"][0]["area_mm2"] > 0


def test_one_bad_file_does_not_stop_the_others(folder, tmp_path, weights_file):
    (folder / "a.png").write_bytes(b"\x89PNG broken")
    out = tmp_path / "out"
    done = run("predict", folder, "--out", out, "--model", weights_file, check=1)
    assert "1 files failed" in done.stderr
    assert "a.png" in done.stderr
    table = rows((out / "predictions.csv").read_text())
    assert [bool(row["error"]) for row in table] == [True, False, False, False]
    assert "a.png" in table[0]["error"]
    assert len(list((out / "masks").rglob("*.png"))) == 3


def test_json_lines(folder, tmp_path, weights_file):
    out = tmp_path / "out"
    run("predict", folder, "--out", out, "--format", "jsonl", "--model", weights_file)
    lines = (out / "predictions.jsonl").read_text().splitlines()
    assert [json.loads(line)["file"][-5:] for line in lines][-1] == "c.png"
    assert len(lines) == 3


def test_a_killed_run_goes_on_without_redoing(tmp_path, weights_file):
    root, out = tmp_path / "in", tmp_path / "out"
    root.mkdir()
    for i in range(60):
        Image.fromarray(phantom(200, 200, seed=i)[0]).save(root / f"{i:02}.png")
    (root / "30.png").write_bytes(b"broken")
    arguments = ["predict", root, "--out", out, "--model", weights_file]
    process = start(*arguments)
    masks = out / "masks"
    wait_for_files(masks, "*_mask.png", 20)
    process.kill()
    process.communicate()
    assert not (out / "predictions.csv").exists()
    before = {p.name: p.stat().st_mtime_ns for p in masks.glob("*_mask.png")}
    journal = (out / ".predictions.journal").read_text().splitlines()
    whole = {json.loads(line)["file"] for line in journal[1:-1]}
    assert 10 < len(whole) < 59
    # After a power failure the last line may be incomplete.
    (out / ".predictions.journal").write_text("\n".join(journal)[:-20])
    done = run(*arguments, check=1)
    assert "files were done before" in done.stderr
    table = rows((out / "predictions.csv").read_text())
    assert len(table) == 60
    assert [row["file"][-6:] for row in table if row["error"]] == ["30.png"]
    for name in whole:
        mask = masks / f"{Path(name).stem}_mask.png"
        assert mask.stat().st_mtime_ns == before[mask.name]
    assert len(list(masks.glob("*_mask.png"))) == 59
    assert not (out / ".predictions.journal").exists()
    fresh = tmp_path / "fresh"
    run("predict", root, "--out", fresh, "--model", weights_file, check=1)
    text = (fresh / "predictions.csv").read_text()
    assert text == (out / "predictions.csv").read_text()


def test_other_settings_or_a_changed_file_are_done_again(
    folder, tmp_path, weights_file
):
    out = tmp_path / "out"
    settings = {"model": "x"}
    journal = Journal(out, settings)
    source = batch.collect([folder])[0]
    documents = [{"file": str(source.path), "label": "benign"}]
    journal.add(source, documents)
    journal.close(finished=False)
    again = Journal(out, settings)
    assert again.find(source) == documents
    again.close(finished=False)
    source.path.write_bytes(source.path.read_bytes() + b" ")
    changed = Journal(out, settings)
    assert changed.find(source) == []
    changed.close(finished=False)
    source.path.unlink()
    gone = Journal(out, settings)
    gone.add(source, documents)
    assert gone.find(source) == []
    gone.close(finished=False)
    again = Journal(out, settings)
    assert again.find(source) == []
    again.close(finished=False)
    other = Journal(out, {"model": "y"})
    assert other.find(source) == []
    other.close(finished=True)
    assert list(out.iterdir()) == []


def test_glob_decides_alone(folder, weights_file):
    done = run("predict", folder, "--glob", "*_mask.png", "--model", weights_file)
    assert [row["file"][-14:] for row in rows(done.stdout)] == ["b (2)_mask.png"]


def test_usage_errors_end_with_two(folder, tmp_path, weights_file):
    model = ("--model", weights_file)
    assert "--out" in run("predict", folder, "--overlay", *model, check=2).stderr
    empty = tmp_path / "empty"
    empty.mkdir()
    assert "no image files" in run("predict", empty, *model, check=2).stderr
    run("predict", check=2)
    run("predict", folder, "--format", "xml", check=2)
    run("predict", folder, "--spacing", "-1", *model, check=2)
    run("predict", folder, "--threads", "0", *model, check=2)


def test_failures_name_what_failed(folder, tmp_path):
    assert "none.png" in run("predict", tmp_path / "none.png", check=1).stderr
    bad = tmp_path / "bad.safetensors"
    bad.write_bytes(b"junk")
    assert str(bad) in run("predict", folder, "--model", bad, check=1).stderr
    assert "resnet99" in run("info", "--network", "resnet99", check=1).stderr


def test_a_table_that_cannot_be_written_leaves_nothing(folder, tmp_path, weights_file):
    target = tmp_path / "file"
    target.write_text("in the way")
    done = run("predict", folder, "--out", target, "--model", weights_file, check=1)
    assert "error:" in done.stderr
    assert "Traceback" not in done.stderr
    assert target.read_text() == "in the way"


def test_names_of_outputs_are_unique(tmp_path):
    for name in ("a/x.png", "a/x.jpg", "b/x.png", "b/y.png"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.touch()
    sources = batch.collect([tmp_path / "a", tmp_path / "b", tmp_path / "b/y.png"])
    assert [s.name for s in sources] == ["x", "x.png", "x.png~2", "y", "y.png"]
    assert [s.path.name for s in sources] == [
        "x.jpg",
        "x.png",
        "x.png",
        "y.png",
        "y.png",
    ]


def test_info(weights_file):
    text = run("info").stdout
    for word in ("oneDNN 3.", "instruction set", "threads", "For research use only"):
        assert word in text
    for name in NETWORKS:
        assert name in text
    text = run("info", "--network", "resnet18").stdout
    assert "layer1.0.conv1" in text
    assert "1000 classes" in text
    assert "11,689,512 parameters" in text
    text = run("info", "--plan", "--model", weights_file).stdout
    assert "layer4.1.conv2" in text
    assert "arena" in text
    text = run("info", "--model", weights_file).stdout
    assert "image size" in text
    assert "nothing, a random network" in text


def test_benchmark(weights_file):
    text = run("benchmark", "--model", weights_file, "--seconds", "0.2").stdout
    for word in ("predict", "classify", "segment", "images a second"):
        assert word in text


def test_help_carries_the_notice():
    text = " ".join(run("--help").stdout.split())
    assert "research use only" in text
