"""Many files: sources, outputs and failures."""

import csv
import json
import signal
from pathlib import Path

import nibabel
import numpy as np
import pytest
from helpers import pixels, rows, run, start, wait_for_files
from PIL import Image

import busnet
from busnet.batch import Source, collect, predict_files, record_all
from busnet.batch.outputs import Outputs
from busnet.data.phantom import phantom
from busnet.errors import DataError, ImageFileError, MissingImageError


@pytest.fixture
def folder(tmp_path):
    """Return a folder with three images, one in a subfolder."""
    root = tmp_path / "in"
    (root / "sub").mkdir(parents=True)
    for i, name in enumerate(("a", "b", "sub/c")):
        Image.fromarray(phantom(60, 80, seed=i)[0]).save(root / f"{name}.png")
    return root


def names(sources):
    return [source.name for source in sources]


def test_patterns(folder):
    assert names(collect([folder / "*.png"])) == ["a", "b"]
    assert names(collect([folder / "**" / "*.png"])) == ["a", "b", "c"]
    with pytest.raises(MissingImageError, match=r"\*\.bmp"):
        collect([folder / "*.bmp"])
    # A file name may look like a pattern.
    odd = folder / "x[1].png"
    (folder / "a.png").rename(odd)
    assert [s.path for s in collect([odd])] == [odd]


def test_manifests(folder):
    table = folder / "list.csv"
    table.write_text(
        "patient,image\n1,sub/c.png\n2,\n3,a.png\n4,no.png\n5,../in/b.png\n"
    )
    sources = collect([table])
    assert names(sources) == ["sub/c", "a", "no", "b"]
    assert [s.path for s in sources][:2] == [folder / "sub/c.png", folder / "a.png"]
    lines = folder / "list.txt"
    lines.write_text(f"a.png\n\n{folder / 'sub' / 'c.png'}\n")
    assert names(collect([lines])) == ["a", "c"]
    table.write_text("file\na.png\n")
    with pytest.raises(DataError, match=r"list\.csv.*'image'"):
        collect([table])
    table.write_bytes(b"\xff\xfe\x00image")
    with pytest.raises(DataError, match=r"list\.csv"):
        collect([table])


def test_a_missing_file_of_a_manifest_is_one_of_the_failures(
    folder, tmp_path, weights_file
):
    (folder / "list.csv").write_text("image\na.png\nno.png\nb.png\n")
    done = run("predict", folder / "list.csv", "--model", weights_file, check=1)
    table = rows(done.stdout)
    assert [bool(row["error"]) for row in table] == [False, True, False]
    assert "no.png: no such file" in table[1]["error"]


def test_outputs_of_every_kind(folder, tmp_path, weights_file):
    out = tmp_path / "out"
    (folder / "bad <i>.png").write_bytes(b"broken")
    done = run(
        "predict", folder, "--out", out, "--gallery", "--nifti", "--format", "json",
        "--model", weights_file, "--spacing", "0.25", "--jobs", "3", check=1,
    )  # fmt: skip
    assert "1 files failed" in done.stderr
    results = json.loads((out / "predictions.json").read_text())["results"]
    good = [r for r in results if "error" not in r]
    assert len(good) == 3
    for result in good:
        mask = pixels(out / result["mask"])
        volume = nibabel.load(out / result["nifti"])
        np.testing.assert_array_equal(volume.get_fdata()[:, :, 0].T, mask / 255)
        assert volume.header.get_zooms() == (0.25, 0.25, 1)
        assert volume.header.get_xyzt_units()[0] == "mm"
        assert pixels(out / result["overlay"]).shape == (60, 80, 3)
    page = (out / "gallery.html").read_text()
    assert "For research use only" in page
    assert page.count("<figure") == 3
    assert "bad &lt;i&gt;.png" in page
    assert 'src="overlays/sub/c_overlay.png"' in page.replace("'", '"')
    assert not (out / ".predictions.journal").exists()


def test_options_that_need_a_folder(folder, weights_file):
    for option in ("--gallery", "--nifti", "--dicom-seg"):
        done = run("predict", folder, option, "--model", weights_file, check=2)
        assert "--out" in done.stderr


def test_reading_ahead_keeps_the_order(folder, model):
    paths = [folder / f"{i:02}.png" for i in range(25)]
    for i, path in enumerate(paths):
        Image.fromarray(phantom(40 + i, 50, seed=i)[0]).save(path)
    paths[7].write_bytes(b"broken")
    sources = [Source(path, path.stem) for path in paths]
    expected = [None if i == 7 else model.predict(p) for i, p in enumerate(paths)]
    for jobs in (1, 4):
        outcomes = list(predict_files(model, sources, jobs=jobs))
        assert [o.source for o in outcomes] == sources
        for outcome, result in zip(outcomes, expected, strict=True):
            if result is None:
                assert isinstance(outcome.error, ImageFileError)
                continue
            assert outcome.prediction.image.shape == result.image.shape
            for name, p in result.probabilities.items():
                assert outcome.prediction.probabilities[name] == pytest.approx(
                    p, abs=1e-6
                )


def test_an_abandoned_run_ends_its_threads(folder, model):
    import threading

    before = threading.active_count()
    sources = collect([folder]) * 10
    outcomes = predict_files(model, sources, jobs=3)
    assert next(outcomes).prediction is not None
    outcomes.close()
    for thread in threading.enumerate():
        if thread.name.startswith("busnet-"):
            thread.join(10)
    assert threading.active_count() <= before


def test_a_disk_that_fails_stops_the_run(folder, model, tmp_path):
    outputs = Outputs(tmp_path / "out", model.info)
    (tmp_path / "out").write_text("a file where the folder should be")
    outcomes = predict_files(model, collect([folder]))
    with pytest.raises(OSError, match="out"):
        list(record_all(outcomes, outputs.record))


def test_predict_many(folder):
    (folder / "c.png").write_bytes(b"broken")
    outcomes = list(busnet.predict_many([folder], model="resnet18", spacing=(1, 1)))
    assert [o.name for o in outcomes] == ["a", "b", "c", "sub/c"]
    assert isinstance(outcomes[2].error, busnet.ImageFileError)
    for outcome in outcomes[:2]:
        assert outcome.prediction.spacing == (1, 1)
    with pytest.raises(busnet.ImageValueError, match="spacing"):
        busnet.predict_many([folder], model="resnet18", spacing=(0, 1))
    with pytest.raises(busnet.MissingImageError):
        busnet.predict_many([folder / "none"], model="resnet18")


def test_the_table_names_the_masks(folder, tmp_path, weights_file):
    out = tmp_path / "out"
    run("predict", folder, "--out", out, "--model", weights_file)
    with (out / "predictions.csv").open(newline="") as file:
        table = list(csv.DictReader(file))
    for row in table:
        assert (out / row["mask"]).is_file()
    assert "mask" not in rows(run("predict", folder, "--model", weights_file).stdout)[0]


def many(root, count):
    root.mkdir()
    for i in range(count):
        Image.fromarray(phantom(200, 200, seed=i)[0]).save(root / f"{i:03}.png")
    return root


def test_an_interrupted_run_leaves_nothing_in_half(tmp_path, weights_file):
    root, out = many(tmp_path / "in", 200), tmp_path / "out"
    arguments = ["predict", root, "--out", out, "--overlay", "--model", weights_file]
    process = start(*arguments)
    wait_for_files(out, "masks/*_mask.png", 10)
    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "goes on where it was" in told
    assert "Traceback" not in told
    assert not (out / "predictions.csv").exists()
    assert not list(out.rglob(".*busnet-*"))
    masks = list(out.glob("masks/*.png"))
    assert 10 <= len(masks) < 200
    for path in [*masks, *out.glob("overlays/*.png")]:
        assert pixels(path).shape[:2] == (200, 200)
    run(*arguments)
    assert len(rows((out / "predictions.csv").read_text())) == 200


def test_a_full_disk_loses_nothing(tmp_path, weights_file):
    """A limit on the size of files takes the place of a full disk."""
    root, out = many(tmp_path / "in", 12), tmp_path / "out"
    noise = np.random.RandomState(0).randint(0, 255, (400, 400), np.uint8)
    Image.fromarray(noise).save(root / "006.png")  # its overlay is the largest
    arguments = ["predict", root, "--out", out, "--overlay", "--model", weights_file]
    process = start(*arguments, file_limit=150_000)
    _, told = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "File too large" in told
    assert "Traceback" not in told
    assert not (out / "predictions.csv").exists()
    assert not list(out.rglob(".*busnet-*"))
    assert not (out / "overlays" / "006_overlay.png").exists()
    done = run(*arguments)
    assert "files were done before" in done.stderr
    assert len(list(out.glob("overlays/*.png"))) == 12


def test_an_output_that_cannot_be_written_is_named(folder, weights_file):
    for out in ("/proc/none", "/dev/null/x"):
        done = run("predict", folder, "--out", out, "--model", weights_file, check=1)
        assert "error:" in done.stderr
        assert out in done.stderr
        assert "Traceback" not in done.stderr
    with Path("/dev/full").open("wb", buffering=0) as full:
        process = start("predict", folder, "--model", weights_file, stdout=full)
    _, told = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "No space left" in told


def test_a_file_that_vanishes_is_one_of_the_failures(tmp_path, model):
    root = many(tmp_path / "in", 40)
    sources = collect([root])
    outcomes = predict_files(model, sources)
    first = next(outcomes)
    sources[-1].path.unlink()
    rest = list(outcomes)
    assert first.error is None
    assert [o.source for o in rest] == sources[1:]
    assert [o.source for o in rest if o.error] == [sources[-1]]
    assert isinstance(rest[-1].error, MissingImageError)
