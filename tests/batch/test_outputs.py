"""What is written of predictions."""

import errno

import numpy as np
import pytest
from helpers import UIDS, pixels, write_dicom
from PIL import Image

from busnet.batch import collect, predict_files, record_all
from busnet.batch.outputs import Outputs
from busnet.batch.png import save_png
from busnet.data.phantom import phantom
from busnet.rendering import OUTLINE, draw, draw_compact


def record(model, paths, folder, **kinds):
    outputs = Outputs(folder, model.info, **kinds)
    outcomes = predict_files(model, collect(paths).sources)
    recorded = record_all(outcomes, outputs.record, outputs.finish)
    return [document for _, documents in recorded for document in documents]


@pytest.mark.parametrize("shape", [(1, 1), (7, 1), (1, 9), (60, 80)])
def test_pictures_are_read_back_as_they_were(tmp_path, shape):
    picture = np.random.RandomState(0).randint(0, 256, (*shape, 3), np.uint8)
    save_png(tmp_path / "x.png", Image.fromarray(picture))
    np.testing.assert_array_equal(pixels(tmp_path / "x.png"), picture)


@pytest.mark.parametrize("shape", [(1, 1), (7, 1), (60, 80), (60, 80, 3), (256, 256)])
def test_overlays_have_the_colours_of_render(tmp_path, shape):
    levels = np.random.RandomState(0).randint(0, 200, shape, np.uint8)
    if shape == (256, 256):  # no level is unused
        levels = np.arange(1 << 16, dtype=np.uint32).astype(np.uint8).reshape(shape)
    image = levels / np.float32(255)
    mask = np.zeros(shape[:2], np.bool_)
    mask[shape[0] // 3 :, : shape[1] // 2 + 1] = True
    drawn = draw_compact(image, mask)
    assert drawn.mode == ("P" if levels.ndim == 2 and levels.max() < 200 else "RGB")
    save_png(tmp_path / "x.png", drawn)
    expected = np.asarray(draw(image, mask))
    assert (expected == OUTLINE).all(-1).any()
    np.testing.assert_array_equal(pixels(tmp_path / "x.png", "RGB"), expected)


def test_a_disk_that_fails_stops_the_run(folder, model, tmp_path):
    (tmp_path / "out").write_text("a file where the folder should be")
    with pytest.raises(OSError, match="out"):
        record(model, [folder], tmp_path / "out")


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EACCES])
def test_errors_of_the_disk_stop_the_run(folder, model, tmp_path, monkeypatch, number):
    from busnet.batch import outputs

    def refuse(*arguments):
        raise OSError(number, "no")

    monkeypatch.setattr(outputs, "save_png", refuse)
    with pytest.raises(OSError, match="no"):
        record(model, [folder], tmp_path / "out", overlay=True)


@pytest.mark.parametrize(
    "error", [OSError(errno.ENAMETOOLONG, "too long"), MemoryError(), KeyError("x")]
)
def test_one_output_that_fails_leaves_the_others(
    folder, model, tmp_path, monkeypatch, error
):
    from busnet.batch import outputs

    def refuse(*arguments):
        raise error

    monkeypatch.setattr(outputs, "save_png", refuse)
    for document in record(model, [folder], tmp_path / "out", overlay=True):
        assert document["label"]
        assert (tmp_path / "out" / document["mask"]).is_file()
        assert "overlay" not in document
        (reason,) = document["unwritten"]
        assert reason.startswith("no overlay: ")


def test_a_folder_in_the_place_of_a_mask_is_that_files_failure(folder, model, tmp_path):
    (tmp_path / "out" / "masks" / "a_mask.png").mkdir(parents=True)
    first, *others = record(model, [folder], tmp_path / "out")
    assert first["label"]
    assert first["unwritten"][0].startswith("no mask: ")
    assert all("mask" in document for document in others)


#: Classes of ultrasound stills and clips: of today, retired, private.
CLASSES = {
    "still": UIDS["SOPClassUID"],
    "clip": "1.2.840.10008.5.1.4.1.1.3.1",
    "retired": "1.2.840.10008.5.1.4.1.1.6",
    "retired clip": "1.2.840.10008.5.1.4.1.1.3",
    "private": "1.2.840.113619.4.27",
}


def read_segmentation(path):
    highdicom = pytest.importorskip("highdicom", reason="needs busnet[dicom]")
    return highdicom.seg.segread(path)


@pytest.mark.parametrize("kind", CLASSES)
@pytest.mark.parametrize("count", [None, 1, 3])
def test_segmentations_of_every_class(tmp_path, model, kind, count):
    frames = np.stack([phantom(48, 61, seed=i)[0] for i in range(count or 1)])
    tags = {**UIDS, "SOPClassUID": CLASSES[kind]}
    if count is not None:
        tags["NumberOfFrames"] = count
    path = write_dicom(
        tmp_path / "x.dcm", frames if count else frames[0], "MONOCHROME2", **tags
    )
    out = tmp_path / "out"
    documents = record(model, [path], out, dicom_seg=True)
    assert not any("unwritten" in document for document in documents)
    segmentation = read_segmentation(out / documents[-1]["dicom_seg"])
    (uids,) = segmentation.get_source_image_uids()
    assert uids == tuple(
        UIDS[f"{level}InstanceUID"] for level in ("Study", "Series", "SOP")
    )
    (series,) = segmentation.ReferencedSeriesSequence
    assert series.ReferencedInstanceSequence[0].ReferencedSOPClassUID == CLASSES[kind]
    masks = [pixels(out / d["mask"]) != 0 for d in documents if "mask" in d]
    assert len(masks) == (count or 1)
    if count is None:
        read = segmentation.get_pixels_by_source_instance([UIDS["SOPInstanceUID"]])
    else:
        read = segmentation.get_pixels_by_source_frame(
            UIDS["SOPInstanceUID"], list(range(1, count + 1))
        )
    np.testing.assert_array_equal(read[..., 0] != 0, masks)


def test_a_segmentation_that_fails_leaves_prediction_and_mask(tmp_path, model):
    still = write_dicom(tmp_path / "bare.dcm", phantom(48, 61)[0], "MONOCHROME2")
    clip = write_dicom(
        tmp_path / "clip.dcm",
        np.stack([phantom(48, 61, seed=i)[0] for i in range(2)]),
        "MONOCHROME2",
    )
    out = tmp_path / "out"
    documents = record(model, [still, clip], out, dicom_seg=True)
    assert [d.get("frame") for d in documents] == [None, 1, 2, "clip"]
    for document in documents[:3]:
        assert (out / document["mask"]).is_file()
    for document in (documents[0], documents[3]):
        assert "no SOPClassUID" in document["unwritten"][0]
        assert document["label"]
    assert not (out / "segmentations").exists()


def test_of_a_torn_clip_there_is_no_segmentation(tmp_path, model):
    frames = np.stack([phantom(48, 64, seed=i)[0] for i in range(4)])
    path = write_dicom(
        tmp_path / "torn.dcm", frames[:2], "MONOCHROME2", NumberOfFrames=4, **UIDS
    )
    documents = record(model, [path], tmp_path / "out", dicom_seg=True)
    assert any("error" in document for document in documents)
    assert not any("dicom_seg" in document for document in documents)


def test_files_that_are_elsewhere_are_not_named(folder, model, tmp_path):
    out = tmp_path / "out"
    documents = record(model, [folder], out, overlay=True)
    (out / documents[0]["mask"]).unlink()
    outputs = Outputs(out, model.info, overlay=True)
    first, second = map(outputs.checked, documents[:2])
    assert "mask" not in first
    assert first["overlay"] == documents[0]["overlay"]
    (reason,) = first["unwritten"]
    assert reason.startswith(f"no mask: {documents[0]['mask']} is not in {out}")
    assert second == documents[1]
