"""DICOM segmentations: what they refer to, what they hold, and what they do not."""

import numpy as np
import pytest
from helpers import UIDS, call, write_dicom
from PIL import Image

from busnet.data.phantom import phantom
from busnet.errors import ImageFileError

pydicom = pytest.importorskip("pydicom", reason="needs busnet[dicom]")
highdicom = pytest.importorskip("highdicom", reason="needs busnet[dicom]")

GREY = phantom(48, 64)[0]


def test_segmentations_are_read_back(tmp_path, model, weights_file):
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    personal = {"StudyDate": "19990101", "AccessionNumber": "SECRET-7"}
    write_dicom(
        folder / "still.dcm", np.stack([GREY] * 3, 2), "RGB", **UIDS, **personal
    )
    write_dicom(folder / "clip.dcm", np.stack([GREY] * 2), "MONOCHROME2", **UIDS)
    write_dicom(folder / "bare.dcm", GREY, "MONOCHROME2")
    Image.fromarray(GREY).save(folder / "png.png")
    done = call(
        "predict", folder, "--out", out, "--dicom-seg", "--model", weights_file, check=1
    )
    assert "bare.dcm: it has no SOPClassUID" in done.stderr
    written = {p.name for p in (out / "segmentations").iterdir()}
    assert written == {"still_seg.dcm", "clip_seg.dcm"}
    assert (out / "masks" / "bare_mask.png").is_file()
    path = out / "segmentations" / "still_seg.dcm"
    assert b"SECRET" not in path.read_bytes()
    assert b"19990101" not in path.read_bytes()
    segmentation = highdicom.seg.segread(path)
    mask = segmentation.get_pixels_by_source_instance(["1.2.3.4"])
    expected = model.predict(folder / "still.dcm").mask
    assert expected.any()
    np.testing.assert_array_equal(mask[0, :, :, 0], expected)
    plain = pydicom.dcmread(path)
    np.testing.assert_array_equal(plain.pixel_array, expected)
    assert plain.StudyInstanceUID == "1.2.3"
    assert plain.Modality == "SEG"
    assert "research use only" in plain.ContentDescription
    assert "not for diagnosis" in plain.SegmentSequence[0].SegmentDescription


def test_a_segmentation_may_be_empty(tmp_path, model):
    from busnet.export.dicom_seg import save_segmentation

    source = write_dicom(tmp_path / "s.dcm", GREY, "MONOCHROME2", **UIDS)
    none = np.zeros((1, *GREY.shape), np.bool_)
    save_segmentation(none, source, tmp_path / "e.dcm", model.info.network_name)
    read_back = highdicom.seg.segread(tmp_path / "e.dcm")
    assert not read_back.get_pixels_by_source_instance(["1.2.3.4"]).any()


def test_masks_that_do_not_fit_are_refused(tmp_path, model):
    from busnet.export.dicom_seg import save_segmentation

    source = write_dicom(tmp_path / "s.dcm", GREY, "MONOCHROME2", **UIDS)
    target = tmp_path / "o.dcm"
    with pytest.raises(ImageFileError, match=r"s\.dcm.*48 x 64.*5 x 5"):
        save_segmentation(
            np.zeros((1, 5, 5), bool), source, target, model.info.network_name
        )
    clip = write_dicom(tmp_path / "c.dcm", np.stack([GREY] * 3), "MONOCHROME2", **UIDS)
    two = np.zeros((2, *GREY.shape), bool)
    with pytest.raises(ImageFileError, match=r"c\.dcm.*3 frames.*2"):
        save_segmentation(two, clip, target, model.info.network_name)
    with pytest.raises(ImageFileError, match=r"none\.dcm"):
        save_segmentation(two, tmp_path / "none.dcm", target, model.info.network_name)
    assert not target.exists()


@pytest.mark.parametrize("shape", [(3, 5, 7), (5, 1, 9)])
def test_bits_of_frames_follow_without_gaps(tmp_path, model, shape):
    """Frames of a number of pixels that is no multiple of eight."""
    from busnet.export.dicom_seg import save_segmentation

    generator = np.random.RandomState(0)
    frames = generator.randint(0, 255, shape, np.uint8)
    source = write_dicom(tmp_path / "s.dcm", frames, "MONOCHROME2", **UIDS)
    masks = generator.rand(*shape) < 0.5
    save_segmentation(masks, source, tmp_path / "o.dcm", model.info.network_name)
    written = pydicom.dcmread(tmp_path / "o.dcm")
    np.testing.assert_array_equal(written.pixel_array, masks)
    groups = written.PerFrameFunctionalGroupsSequence
    numbers = [
        group.DerivationImageSequence[0].SourceImageSequence[0].ReferencedFrameNumber
        for group in groups
    ]
    assert numbers == list(range(1, shape[0] + 1))
