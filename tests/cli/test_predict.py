"""``busnet predict``, as a user types it."""

import csv
import json
import signal
from pathlib import Path

import nibabel
import numpy as np
import pytest
from helpers import UIDS, call, pixels, rows, start, wait_for_files, write_dicom
from PIL import Image

from busnet.data.phantom import phantom


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
    done = call("predict", folder, "--out", out, "--overlay", "--model", weights_file)
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
        overlay = pixels(out / "overlays" / f"{name}_overlay.png", "RGB")
        assert mask.shape == image.shape
        assert set(np.unique(mask)) <= {0, 255}
        assert overlay.shape == (*image.shape, 3)
    written = [p for p in out.rglob("*") if p.is_file()]
    assert len(written) == 2 + 3 + 3


def test_predict_to_standard_output(folder, weights_file):
    single = folder / "b (2).png"
    table = rows(call("predict", single, "--model", weights_file).stdout)
    assert [row["file"] for row in table] == [str(single)]
    assert "area_mm2" not in table[0]
    done = call(
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
    done = call("predict", folder, "--out", out, "--model", weights_file, check=1)
    assert "1 files failed" in done.stderr
    assert "a.png" in done.stderr
    table = rows((out / "predictions.csv").read_text())
    assert [bool(row["error"]) for row in table] == [True, False, False, False]
    assert "a.png" in table[0]["error"]
    assert len(list((out / "masks").rglob("*.png"))) == 3


def test_json_lines(folder, tmp_path, weights_file):
    out = tmp_path / "out"
    call("predict", folder, "--out", out, "--format", "jsonl", "--model", weights_file)
    lines = (out / "predictions.jsonl").read_text().splitlines()
    assert [json.loads(line)["file"][-5:] for line in lines][-1] == "c.png"
    assert len(lines) == 3


def test_a_killed_run_goes_on_without_redoing(many, tmp_path, weights_file):
    root, out = many(60), tmp_path / "out"
    (root / "030.png").write_bytes(b"broken")
    arguments = ["predict", root, "--out", out, "--model", weights_file]
    process = start(*arguments)
    masks = out / "masks"
    wait_for_files(masks, "*_mask.png", 20)
    process.kill()
    process.communicate()
    assert not (out / "predictions.csv").exists()
    before = {p.name: p.stat().st_mtime_ns for p in masks.glob("*_mask.png")}
    journal = (out / ".predictions.journal").read_text().splitlines()
    entries = [json.loads(line) for line in journal[1:-1]]
    done_before = {entry["file"] for entry in entries if "file" in entry}
    assert 10 < len(done_before) < 59
    # After a power failure the last line may be incomplete.
    (out / ".predictions.journal").write_text("\n".join(journal)[:-5])
    done = call(*arguments, check=1)
    assert "files were done before" in done.stderr
    table = rows((out / "predictions.csv").read_text())
    assert len(table) == 60
    assert [row["file"][-7:] for row in table if row["error"]] == ["030.png"]
    for name in done_before:
        mask = masks / f"{Path(name).stem}_mask.png"
        assert mask.stat().st_mtime_ns == before[mask.name]
    assert len(list(masks.glob("*_mask.png"))) == 59
    assert not (out / ".predictions.journal").exists()
    fresh = tmp_path / "fresh"
    call("predict", root, "--out", fresh, "--model", weights_file, check=1)
    # Numbers are rounded, and what is computed with an image may change the last digit.
    for whole, resumed in zip(
        rows((fresh / "predictions.csv").read_text()), table, strict=True
    ):
        assert whole.keys() == resumed.keys()
        for column, value in whole.items():
            if "." in value and column not in ("file", "mask", "error"):
                assert float(resumed[column]) == pytest.approx(float(value), abs=2e-6)
            else:
                assert resumed[column] == value


def test_glob_decides_alone(folder, weights_file):
    done = call("predict", folder, "--glob", "*_mask.png", "--model", weights_file)
    assert [row["file"][-14:] for row in rows(done.stdout)] == ["b (2)_mask.png"]


def test_usage_errors_end_with_two(folder, tmp_path, weights_file):
    model = ("--model", weights_file)
    assert "--out" in call("predict", folder, "--overlay", *model, check=2).stderr
    empty = tmp_path / "empty"
    empty.mkdir()
    assert "no image files" in call("predict", empty, *model, check=2).stderr
    call("predict", check=2)
    call("predict", folder, "--format", "xml", check=2)
    call("predict", folder, "--spacing", "-1", *model, check=2)
    call("predict", folder, "--threads", "0", *model, check=2)


def test_failures_name_what_failed(folder, tmp_path):
    assert "none.png" in call("predict", tmp_path / "none.png", check=1).stderr
    bad = tmp_path / "bad.safetensors"
    bad.write_bytes(b"junk")
    assert str(bad) in call("predict", folder, "--model", bad, check=1).stderr
    assert "resnet99" in call("info", "--network", "resnet99", check=1).stderr


def test_a_table_that_cannot_be_written_leaves_nothing(folder, tmp_path, weights_file):
    target = tmp_path / "file"
    target.write_text("in the way")
    done = call("predict", folder, "--out", target, "--model", weights_file, check=1)
    assert "error:" in done.stderr
    assert "Traceback" not in done.stderr
    assert target.read_text() == "in the way"


def test_a_missing_file_of_a_manifest_is_one_of_the_failures(folder, weights_file):
    (folder / "list.csv").write_text("image\nb (2).png\nno.png\nsub/c.png\n")
    done = call("predict", folder / "list.csv", "--model", weights_file, check=1)
    table = rows(done.stdout)
    assert [bool(row["error"]) for row in table] == [False, True, False]
    assert "no.png: no such file" in table[1]["error"]


def test_a_missing_file_among_others_is_one_of_the_failures(folder, weights_file):
    paths = [folder / "no.png", folder / "b (2).png"]
    done = call("predict", *paths, "--model", weights_file, check=1)
    assert [bool(row["error"]) for row in rows(done.stdout)] == [True, False]
    assert "no.png: no such file" in done.stderr


def test_outputs_of_every_kind(folder, tmp_path, weights_file):
    out = tmp_path / "out"
    (folder / "bad <i>.png").write_bytes(b"broken")
    done = call(
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
        assert pixels(out / result["overlay"], "RGB").shape == (*mask.shape, 3)
    page = (out / "gallery.html").read_text()
    assert "For research use only" in page
    assert page.count("<figure") == 3
    assert "bad &lt;i&gt;.png" in page
    assert 'src="overlays/sub/c_overlay.png"' in page
    assert 'src="overlays/b%20%282%29_overlay.png"' in page
    assert not (out / ".predictions.journal").exists()


def test_options_that_need_a_folder(folder, weights_file):
    for option in ("--gallery", "--nifti", "--dicom-seg"):
        done = call("predict", folder, option, "--model", weights_file, check=2)
        assert "--out" in done.stderr


def test_the_table_names_the_masks(folder, tmp_path, weights_file):
    out = tmp_path / "out"
    call("predict", folder, "--out", out, "--model", weights_file)
    with (out / "predictions.csv").open(newline="") as file:
        table = list(csv.DictReader(file))
    for row in table:
        assert (out / row["mask"]).is_file()
    done = call("predict", folder, "--model", weights_file)
    assert "mask" not in rows(done.stdout)[0]


def test_an_interrupted_run_leaves_nothing_in_half(many, tmp_path, weights_file):
    root, out = many(200), tmp_path / "out"
    arguments = ["predict", root, "--out", out, "--overlay", "--model", weights_file]
    process = start(*arguments)
    wait_for_files(out, "masks/*_mask.png", 10)
    process.send_signal(signal.SIGINT)
    _, messages = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "goes on where it was" in messages
    assert "Traceback" not in messages
    assert not (out / "predictions.csv").exists()
    assert not list(out.rglob(".busnet-*"))
    masks = list(out.glob("masks/*.png"))
    assert 10 <= len(masks) < 200
    for path in [*masks, *out.glob("overlays/*.png")]:
        assert pixels(path).shape[:2] == (200, 200)
    call(*arguments)
    assert len(rows((out / "predictions.csv").read_text())) == 200


def test_a_full_disk_loses_nothing(many, tmp_path, weights_file):
    """A limit on the size of files takes the place of a full disk."""
    root, out = many(12), tmp_path / "out"
    noise = np.random.RandomState(0).randint(0, 255, (400, 400), np.uint8)
    Image.fromarray(noise).save(root / "006.png")  # its overlay is the largest
    arguments = ["predict", root, "--out", out, "--overlay", "--model", weights_file]
    process = start(*arguments, file_limit=150_000)
    _, messages = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "File too large" in messages
    assert "Traceback" not in messages
    assert not (out / "predictions.csv").exists()
    assert not list(out.rglob(".busnet-*"))
    assert not (out / "overlays" / "006_overlay.png").exists()
    done = call(*arguments)
    assert "files were done before" in done.stderr
    assert len(list(out.glob("overlays/*.png"))) == 12


def test_an_output_that_cannot_be_written_is_named(folder, weights_file):
    for out in ("/proc/none", "/dev/null/x"):
        done = call("predict", folder, "--out", out, "--model", weights_file, check=1)
        assert "error:" in done.stderr
        assert out in done.stderr
    with Path("/dev/full").open("wb", buffering=0) as full:
        process = start("predict", folder, "--model", weights_file, stdout=full)
    _, messages = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "No space left" in messages
    assert "Traceback" not in messages


def test_what_is_skipped_is_said(folder, weights_file):
    done = call("predict", folder, "--model", weights_file)
    assert (
        "2 files skipped: 1 masks by their name, 1 not images by their ending"
        in done.stderr
    )


def test_sites_stay_in_the_names_of_outputs(tmp_path, weights_file):
    for site in ("siteA", "siteB"):
        (tmp_path / site).mkdir()
        Image.fromarray(phantom(50, 60)[0]).save(tmp_path / site / "x.png")
    out = tmp_path / "out"
    sites = [tmp_path / "siteA", tmp_path / "siteB"]
    call("predict", *sites, "--out", out, "--model", weights_file)
    table = rows((out / "predictions.csv").read_text())
    assert [row["mask"] for row in table] == [
        "masks/siteA/x_mask.png",
        "masks/siteB/x_mask.png",
    ]


def test_a_clip_and_a_still_of_its_frames_name(tmp_path, weights_file):
    root, out = tmp_path / "in", tmp_path / "out"
    root.mkdir()
    frames = np.stack([phantom(48, 60, seed=i)[0] for i in range(3)])
    write_dicom(root / "loop.dcm", frames, "MONOCHROME2")
    Image.fromarray(phantom(30, 40)[0]).save(root / "loop_frame0001.png")
    call("predict", root, "--out", out, "--model", weights_file)
    table = rows((out / "predictions.csv").read_text())
    masks = [row["mask"] for row in table if row["mask"]]
    assert len(set(masks)) == 4
    shapes = sorted(pixels(out / mask).shape for mask in masks)
    assert shapes == [(30, 40), (48, 60), (48, 60), (48, 60)]


def test_the_files_own_spacing_holds(tmp_path, weights_file):
    from pydicom.dataset import Dataset

    region = Dataset()
    region.RegionSpatialFormat = region.RegionDataType = 1
    region.RegionLocationMinX0 = region.RegionLocationMinY0 = 0
    region.RegionLocationMaxX1, region.RegionLocationMaxY1 = 79, 59
    region.PhysicalUnitsXDirection = region.PhysicalUnitsYDirection = 3
    region.PhysicalDeltaX = region.PhysicalDeltaY = 0.01
    path = write_dicom(
        tmp_path / "reg.dcm",
        phantom(60, 80)[0],
        "MONOCHROME2",
        SequenceOfUltrasoundRegions=[region],
    )
    areas = []
    for options in ([], ["--spacing", "0.2"]):
        done = call("predict", path, "--model", weights_file, *options)
        (row,) = rows(done.stdout)
        areas.append(row["area_mm2"])
    assert areas[0] == areas[1] != ""
    assert "0.1 x 0.1 mm is used, not the 0.2 x 0.2 mm" in row["notes"]


def test_spacing_of_one_number_or_two(folder, tmp_path, weights_file):
    path = tmp_path / "a.png"
    Image.fromarray(phantom(60, 80)[0]).save(path)
    results = {}
    for text in ("0.1", "0.1,0.2"):
        done = call(
            "predict", path, "--model", weights_file, "--format", "json",
            "--spacing", text,
        )  # fmt: skip
        results[text] = json.loads(done.stdout)["results"][0]["lesions"][0]
    square, oblong = results["0.1"], results["0.1,0.2"]
    assert square["area_mm2"] == pytest.approx(0.01 * square["area_px"])
    assert oblong["area_mm2"] == pytest.approx(0.02 * square["area_px"])
    height, width = square["size_mm"]
    assert oblong["size_mm"] == pytest.approx([height, 2 * width])
    for text in ("0", "-0.1", "0.1,0.2,0.3", "a", "0.1,", "nan", "inf", "1e-300"):
        refused = call("predict", path, "--spacing", text, check=2)
        assert "above 0" in " ".join(refused.stderr.split())


def test_the_value_range_of_files(folder, tmp_path, weights_file):
    grey = phantom(60, 80)[0]
    Image.fromarray(grey).save(tmp_path / "plain.png")
    Image.fromarray(grey.astype(np.uint16) * 16).save(tmp_path / "deep.png")
    tables = [
        rows(call("predict", tmp_path / name, "--model", weights_file, *options).stdout)
        for name, options in (
            ("plain.png", []),
            ("deep.png", ["--value-range", "0", "4080"]),
        )
    ]
    for column in ("label", "p_malignant", "area_px"):
        assert tables[0][0][column] == tables[1][0][column]
    for bad in (("5", "1"), ("0", "inf"), ("nan", "1"), ("0", "1e-320")):
        done = call("predict", folder, "--value-range", *bad, check=2)
        assert "value_range" in done.stderr


def test_a_second_run_says_what_it_replaces(folder, tmp_path, weights_file):
    out = tmp_path / "out"
    arguments = ["predict", folder, "--out", out, "--model", weights_file]
    call(*arguments, "--overlay")
    done = call(*arguments, "--spacing", "0.1")
    assert "an earlier run with spacing null" in done.stderr
    assert "removed 3 files of an earlier run" in done.stderr
    assert not (out / "overlays").exists()


def test_segmentations_of_what_is_no_dicom(folder, tmp_path, weights_file):
    write_dicom(folder / "x.dcm", phantom(48, 60)[0], "MONOCHROME2", **UIDS)
    done = call(
        "predict", folder, "--out", tmp_path / "out", "--dicom-seg",
        "--model", weights_file,
    )  # fmt: skip
    assert "3 predictions are not of DICOM files" in done.stderr
    assert (tmp_path / "out" / "segmentations" / "x_seg.dcm").is_file()


def test_a_prior_weighs_the_classes_again(folder, weights_file):
    arguments = ["predict", folder, "--model", weights_file]
    plain = rows(call(*arguments).stdout)
    prior = "normal=0, benign=0.6,malignant=0.4"
    weighed = rows(call(*arguments, "--prior", prior).stdout)
    for before, after in zip(plain, weighed, strict=True):
        benign, malignant = (float(before[f"p_{c}"]) for c in ("benign", "malignant"))
        given = float(before["malignancy_given_lesion"])
        assert given == pytest.approx(malignant / (benign + malignant), abs=1e-5)
        expected = 0.4 * malignant / (0.6 * benign + 0.4 * malignant)
        assert float(after["p_normal"]) == 0
        assert float(after["p_malignant"]) == pytest.approx(expected, abs=1e-5)
        assert after["p_malignant"] == after["malignancy_given_lesion"]


def test_a_prior_that_is_none_is_refused(folder, weights_file):
    arguments = ["predict", folder, "--model", weights_file, "--prior"]
    for text in ("benign", "benign=x", "benign=0.5,benign=0.5", ""):
        call(*arguments, text, check=2)
    for text, reason in (
        ("benign=0.5", "add up"),
        ("benign=-1,malignant=2", "not in 0..1"),
        ("cyst=1", "cyst"),
    ):
        assert reason in call(*arguments, text, check=1).stderr
