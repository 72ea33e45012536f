"""A folder with one of each bad input: nothing is lost, nothing stops the run."""

import io
import os

import numpy as np
import pytest
from helpers import UIDS, call, pixels, rows, write_dicom
from PIL import Image

from busnet.data.phantom import phantom

pytest.importorskip("pydicom", reason="needs busnet[dicom]")

GREY = phantom(60, 80)[0]
CLIP = np.stack([phantom(48, 64, seed=i)[0] for i in range(3)])

#: Files that must be predicted, by name, with the number of their rows.
GOOD = {
    "plain.png": 1,
    "comma, quote\" and 'apostrophe'.png": 1,
    "new\nline.png": 1,
    "émoji 😀.png": 1,
    "-dash.png": 1,
    "[bold]:warning:.png": 1,
    "x" * 251 + ".png": 1,
    "x_masked_2.png": 1,
    "same.png": 1,
    "same.jpg": 1,
    "SAME.png": 1,
    "loop.dcm": 4,
    "loop_frame0001.png": 1,
    "pages.tif": 4,
    "moving.gif": 4,
    "picture.webp": 1,
    "picture.jp2": 1,
    "multi-frame of one.dcm": 1,
    "retired.dcm": 1,
    "private.dcm": 1,
    "no uids.dcm": 1,
    "one spacing.dcm": 1,
    "inner/sub.png": 1,
    "linked/other.png": 1,
}

#: Files that cannot be, with what their row must say.
BAD = {
    "empty.png": "empty",
    "text.png": "not an image",
    "torn.png": "torn.png",
    "torn.jpg": "torn.jpg",
    "float.tif": "value_range",
    "nan.tif": "NaN",
    "gone.png": "no such file",
    "torn.dcm": "torn.dcm",
    "no pixels.dcm": "no pixels.dcm",
}


def jpeg(grey):
    """Return grey pixels as a JPEG stream."""
    buffer = io.BytesIO()
    Image.fromarray(grey).save(buffer, "JPEG", quality=95)
    return buffer.getvalue()


def region(box):
    from pydicom.dataset import Dataset

    item = Dataset()
    item.RegionSpatialFormat = item.RegionDataType = 1
    item.RegionLocationMinX0, item.RegionLocationMinY0 = box[:2]
    item.RegionLocationMaxX1, item.RegionLocationMaxY1 = box[2:]
    item.PhysicalUnitsXDirection = item.PhysicalUnitsYDirection = 3
    item.PhysicalDeltaX = item.PhysicalDeltaY = 0.01
    return item


def write_stills(root):
    picture = Image.fromarray(GREY)
    for name in GOOD:
        if name.endswith((".png", ".jpg", ".webp", ".jp2")):
            path = root / name
            path.parent.mkdir(exist_ok=True)
            if not name.startswith("linked/"):
                picture.save(path)
    frames = [Image.fromarray(frame) for frame in CLIP]
    for name in ("pages.tif", "moving.gif"):
        frames[0].save(root / name, save_all=True, append_images=frames[1:])
    with open(os.fsencode(root) + b"/caf\xe9.png", "wb") as file:
        picture.save(file, "PNG")
    (root / "empty.png").touch()
    (root / "text.png").write_text("no image")
    whole = (root / "plain.png").read_bytes()
    (root / "torn.png").write_bytes(whole[: len(whole) // 2])
    (root / "torn.jpg").write_bytes(jpeg(GREY)[:300])
    Image.fromarray(GREY.astype(np.float32)).save(root / "float.tif")
    holes = np.where(GREY > 100, np.nan, 0).astype(np.float32)
    Image.fromarray(holes).save(root / "nan.tif")
    (root / "gone.png").symlink_to("nowhere.png")


def write_dicoms(root):
    from pydicom.encaps import encapsulate
    from pydicom.uid import JPEGBaseline8Bit

    write_dicom(root / "loop.dcm", CLIP, "MONOCHROME2", **UIDS)
    for name, uid in (
        ("multi-frame of one.dcm", "1.2.840.10008.5.1.4.1.1.3.1"),
        ("retired.dcm", "1.2.840.10008.5.1.4.1.1.6"),
        ("private.dcm", "1.2.840.113619.4.27"),
    ):
        tags = {**UIDS, "SOPClassUID": uid}
        if name.startswith("multi"):
            tags["NumberOfFrames"] = 1
        write_dicom(root / name, GREY, "MONOCHROME2", **tags)
    write_dicom(root / "no uids.dcm", GREY, "MONOCHROME2")
    write_dicom(root / "one spacing.dcm", GREY, "MONOCHROME2", PixelSpacing=0.1, **UIDS)
    write_dicom(
        root / "beyond.dcm",
        np.zeros((400, 480), np.uint8),
        "MONOCHROME2",
        JPEGBaseline8Bit,
        encapsulate([jpeg(phantom(200, 200)[0])]),
        SequenceOfUltrasoundRegions=[region((250, 250, 399, 399))],
        **UIDS,
    )
    whole = (root / "retired.dcm").read_bytes()
    (root / "torn.dcm").write_bytes(whole[:-1000])
    bare = write_dicom(root / "no pixels.dcm", GREY, "MONOCHROME2", **UIDS)
    from pydicom import dcmread

    dataset = dcmread(bare)
    del dataset.PixelData
    dataset.save_as(bare)
    for name, modality, uid in (
        ("ct.dcm", "CT", "1.2.840.10008.5.1.4.1.1.2"),
        ("report.dcm", "SR", "1.2.840.10008.5.1.4.1.1.88.33"),
    ):
        write_dicom(
            root / name, GREY, "MONOCHROME2", Modality=modality,
            **{**UIDS, "SOPClassUID": uid},
        )  # fmt: skip


def write_what_is_no_image(root):
    (root / "._plain.png").write_bytes(b"\0\x05\x16\x07")
    (root / ".hidden").mkdir()
    (root / ".hidden" / "a.png").write_bytes((root / "plain.png").read_bytes())
    (root / "plain_mask.png").write_bytes((root / "plain.png").read_bytes())
    (root / "notes.txt").touch()
    os.mkfifo(root / "pipe.png")
    (root / "round").symlink_to(root)


@pytest.fixture
def folder(tmp_path):
    root, other = tmp_path / "in", tmp_path / "elsewhere"
    root.mkdir()
    other.mkdir()
    Image.fromarray(GREY).save(other / "other.png")
    (root / "linked").symlink_to(other)
    write_stills(root)
    write_dicoms(root)
    write_what_is_no_image(root)
    return root


def contents(folder):
    """Return every file but segmentations, whose identifiers are always new."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.parent.name != "segmentations"
    }


def test_everything_good_is_done_and_everything_bad_is_named(folder, weights_file):
    out = folder / "res"
    arguments = [
        *("predict", folder, "--out", out, "--gallery", "--nifti", "--dicom-seg"),
        *("--model", weights_file),
    ]
    done = call(*arguments, check=1)
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    by_file = {}
    text = (out / "predictions.csv").read_bytes().decode()
    for row in rows(text):
        by_file.setdefault(os.path.relpath(row["file"], folder), []).append(row)
    for name, count in GOOD.items():
        frames = by_file.pop(name)
        assert len(frames) == count, name
        for row in frames:
            assert row["error"] == "", name
            assert row["label"], name
            if row["frame"] != "clip":
                assert pixels(out / row["mask"]).ndim == 2
    for name, reason in BAD.items():
        (row,) = by_file.pop(name)
        assert reason in row["error"], name
        assert reason in done.stderr
    (row,) = by_file.pop("caf\\xe9.png")
    assert (out / row["mask"]).name == "caf%E9_mask.png"
    # Its region lies beyond the pixels: an answer for all of them, or an error.
    (row,) = by_file.pop("beyond.dcm")
    assert row["error"] or row["mask"]
    assert by_file == {}
    assert "2 not ultrasound images" in done.stderr
    assert "2 hidden" in done.stderr
    assert "1 masks by their name" in done.stderr
    assert "no uids.dcm: no dicom_seg" in done.stderr
    for name in ("retired", "private", "multi-frame of one", "loop.dcm"):
        assert (out / "segmentations" / f"{name}_seg.dcm").is_file()

    first = contents(out)
    again = call(*arguments, check=1)
    assert contents(out) == first
    assert "an earlier run is replaced" in again.stderr


def test_the_same_on_standard_output(folder, weights_file):
    tables = [
        call("predict", folder, "--model", weights_file, check=1).stdout
        for _ in range(2)
    ]
    assert tables[0] == tables[1]
    assert {row["error"] == "" for row in rows(tables[0])} == {True, False}


def test_messages_are_one_line_each(folder, weights_file):
    """Names with line breaks or control characters cannot draw on the terminal."""
    (folder / "bell\a\x1b[31m\nred.png").write_bytes(b"broken")
    done = call("predict", folder, "--model", weights_file, check=1)
    assert "\x1b" not in done.stderr
    assert r"bell\x07\x1b[31m\nred.png" in done.stderr


def test_a_file_that_is_named_is_an_error_where_a_folder_skips_it(folder, weights_file):
    report = folder / "report.dcm"
    done = call("predict", report, "--model", weights_file, check=1)
    (row,) = rows(done.stdout)
    assert "report.dcm" in row["error"]
    alone = folder / "only"
    alone.mkdir()
    report.rename(alone / "report.dcm")
    done = call("predict", alone, "--model", weights_file)
    assert "1 file skipped: 1 not ultrasound images" in done.stderr
    assert rows(done.stdout) == []
