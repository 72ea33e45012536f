"""DICOM frames: every photometric interpretation, spacing, cine loops, no patient."""

import csv
import io
from pathlib import Path

import numpy as np
import pytest
from helpers import run, write_dicom
from PIL import Image

import busnet
from busnet.batch import collect
from busnet.data.phantom import phantom
from busnet.errors import ImageFileError
from busnet.images import read_frames, read_image

pydicom = pytest.importorskip("pydicom", reason="needs busnet[dicom]")

from pydicom.dataset import Dataset  # noqa: E402
from pydicom.encaps import encapsulate  # noqa: E402
from pydicom.uid import JPEGBaseline8Bit  # noqa: E402

SHIPPED = Path(pydicom.__file__).parent / "data" / "test_files"
GREY = phantom(48, 64)[0]
COLOUR = np.stack([GREY, GREY[::-1], np.full_like(GREY, 90)], 2)


def region(delta, box, *, kind=1, form=1, unit=3):
    made = Dataset()
    made.RegionSpatialFormat = form
    made.RegionDataType = kind
    made.RegionLocationMinX0, made.RegionLocationMinY0 = box[:2]
    made.RegionLocationMaxX1, made.RegionLocationMaxY1 = box[2:]
    made.PhysicalUnitsXDirection = made.PhysicalUnitsYDirection = unit
    made.PhysicalDeltaX, made.PhysicalDeltaY = delta
    return made


def test_grey_and_its_inverse(tmp_path):
    two = read_image(write_dicom(tmp_path / "2.dcm", GREY, "MONOCHROME2"))
    one = read_image(write_dicom(tmp_path / "1.dcm", 255 - GREY, "MONOCHROME1"))
    np.testing.assert_allclose(two.pixels, GREY / 255, atol=1e-6)
    np.testing.assert_allclose(one.pixels, two.pixels, atol=1e-6)


def test_twelve_of_sixteen_bits_and_windows(tmp_path):
    deep = GREY.astype(np.uint16) * 16
    twelve = read_image(
        write_dicom(tmp_path / "d.dcm", deep, "MONOCHROME2", BitsStored=12, HighBit=11)
    )
    np.testing.assert_allclose(twelve.pixels, deep / 4095, atol=1e-4)
    windowed = read_image(
        write_dicom(
            tmp_path / "w.dcm",
            deep,
            "MONOCHROME2",
            BitsStored=12,
            HighBit=11,
            WindowCenter=1000.5,
            WindowWidth=1001,
        )
    )
    expected = np.clip((deep.astype(float) - 500) / 1000, 0, 1)
    np.testing.assert_allclose(windowed.pixels, expected, atol=2e-3)


def test_colour(tmp_path):
    rgb = read_image(write_dicom(tmp_path / "rgb.dcm", COLOUR, "RGB"))
    np.testing.assert_allclose(rgb.pixels, COLOUR / 255, atol=1e-6)
    ycbcr = np.asarray(Image.fromarray(COLOUR).convert("YCbCr"))
    ybr = read_image(write_dicom(tmp_path / "ybr.dcm", ycbcr, "YBR_FULL"))
    np.testing.assert_allclose(ybr.pixels, COLOUR / 255, atol=0.02)


@pytest.mark.parametrize("tag", ["RGB", "YBR_FULL_422"])
def test_jpeg_frames_are_read_by_their_stream_and_not_their_tag(tmp_path, tag):
    buffer = io.BytesIO()
    smooth = np.asarray(Image.fromarray(COLOUR).resize((16, 12)).resize((64, 48)))
    Image.fromarray(smooth).save(buffer, "JPEG", quality=95)
    path = write_dicom(
        tmp_path / "jpeg.dcm",
        smooth,
        tag,
        JPEGBaseline8Bit,
        data=encapsulate([buffer.getvalue()]),
    )
    np.testing.assert_allclose(read_image(path).pixels, smooth / 255, atol=0.1)
    assert np.abs(read_image(path).pixels - smooth / 255).mean() < 0.02


@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("SC_rgb_dcmtk_+eb+cy+np.dcm", "SC_rgb_dcmtk_+eb+cr.dcm"),
        ("SC_ybr_full_422_uncompressed.dcm", "SC_rgb_dcmtk_+eb+cr.dcm"),
        ("SC_rgb_rle.dcm", "SC_rgb_dcmtk_+eb+cr.dcm"),
    ],
)
def test_encodings_of_the_same_picture_agree(name, other):
    first, second = (
        read_image(SHIPPED / name).pixels,
        read_image(SHIPPED / other).pixels,
    )
    assert first.shape == second.shape
    assert np.abs(first - second).mean() < 0.02


@pytest.mark.parametrize(
    "name",
    [
        "examples_palette.dcm",
        "examples_rgb_color.dcm",
        "ExplVR_BigEnd.dcm",
        "MR_small.dcm",
        "SC_rgb_jpeg_app14_dcmd.dcm",
        "SC_jpeg_no_color_transform.dcm",
    ],
)
def test_files_that_ship_with_pydicom(name):
    pixels = read_image(SHIPPED / name).pixels
    assert pixels.dtype == np.float32
    assert 0 <= pixels.min() < pixels.max() <= 1


def test_twelve_bit_jpeg_needs_its_decoder():
    pytest.importorskip("libjpeg", reason="needs pylibjpeg")
    assert read_image(SHIPPED / "JPGExtended.dcm").pixels.max() > 0.05


def test_cine_loops(model):
    path = SHIPPED / "examples_ybr_color.dcm"
    frames = list(read_frames(path))
    assert [frame.frame for frame in frames] == list(range(1, 31))
    assert {frame.shape for frame in frames} == {(240, 320)}
    assert all(frame.spacing is not None for frame in frames)
    with pytest.raises(ImageFileError, match="several frames"):
        read_image(path)
    results = model.predict(frames[:3])
    assert results[0].spacing == frames[0].spacing
    alone = model.predict(frames[0]).probabilities
    assert alone == pytest.approx(results[0].probabilities, abs=1e-6)


def test_spacing_is_the_largest_tissue_regions(tmp_path):
    def spacing(*regions, **tags):
        if regions:
            tags["SequenceOfUltrasoundRegions"] = list(regions)
        return read_image(
            write_dicom(tmp_path / "s.dcm", GREY, "MONOCHROME2", **tags)
        ).spacing

    whole, part = (0, 0, 63, 47), (0, 0, 20, 20)
    assert spacing() is None
    assert spacing(region((0.01, 0.02), whole)) == pytest.approx((0.2, 0.1))
    assert spacing(
        region((0.05, 0.05), part), region((0.01, -0.02), whole)
    ) == pytest.approx((0.2, 0.1))
    assert spacing(region((0.01, 0.02), whole, unit=4)) is None  # seconds
    assert spacing(region((0.01, 0.02), whole, kind=3)) is None  # a spectrum
    assert spacing(region((0.01, 0.02), whole, form=2)) is None  # M-mode
    assert spacing(region((0.0, 0.0), whole)) is None
    assert spacing(PixelSpacing=[0.3, 0.4]) == pytest.approx((0.3, 0.4))


def test_regions_lie_in_the_frame(tmp_path):
    def regions(*items):
        path = write_dicom(
            tmp_path / "r.dcm",
            GREY,
            "MONOCHROME2",
            SequenceOfUltrasoundRegions=list(items),
        )
        return [r.box for r in read_image(path).regions]

    fine = (0.01, 0.01)
    assert regions(region(fine, (5, 2, 500, 30))) == [(2, 5, 31, 64)]
    assert regions(region(fine, (70, 0, 80, 10)), region(fine, (9, 9, 3, 3))) == []
    assert regions(region(fine, (0, 0, 9, 9)), region(fine, (20, 0, 63, 47))) == [
        (0, 20, 48, 64),
        (0, 0, 10, 10),
    ]


def test_a_frame_is_looked_at_where_it_shows_tissue(tmp_path, model):
    frame = np.zeros((100, 140), np.uint8)
    frame[30:78, 50:114] = GREY
    frame[:20] = 255  # text of the scanner around the image
    regions = [region((0.01, 0.02), (50, 30, 113, 77))]
    path = write_dicom(
        tmp_path / "f.dcm", frame, "MONOCHROME2", SequenceOfUltrasoundRegions=regions
    )
    alone, result = model.predict(GREY), model.predict(path)
    assert result.region == (30, 50, 78, 114)
    assert result.as_dict()["region"] == [30, 50, 78, 114]
    assert result.probabilities == pytest.approx(alone.probabilities, abs=1e-6)
    assert result.mask.shape == frame.shape
    np.testing.assert_array_equal(result.mask[30:78, 50:114], alone.mask)
    outside = result.lesion_probability.copy()
    outside[30:78, 50:114] = 0
    assert not outside.any()
    assert result.lesions[0].size_mm[0] == pytest.approx(
        0.2 * (result.lesions[0].box[2] - result.lesions[0].box[0])
    )
    whole = model.predict(path, crop=False)
    assert whole.region is None
    assert whole.probabilities == pytest.approx(
        model.predict(frame).probabilities, abs=1e-6
    )
    assert whole.spacing == result.spacing
    assert model.classify(path).probabilities == result.probabilities


def test_of_two_regions_the_one_with_the_lesion_counts(tmp_path, model):
    frame = np.zeros((60, 200), np.uint8)
    frame[6:54, 130:194] = GREY
    regions = [
        region((0.01, 0.01), (0, 0, 119, 59)),
        region((0.03, 0.03), (130, 6, 193, 53)),
    ]
    path = write_dicom(
        tmp_path / "t.dcm", frame, "MONOCHROME2", SequenceOfUltrasoundRegions=regions
    )
    areas = [model.predict(part).mask.sum() for part in (frame[:, :120], GREY)]
    assert areas[0] != areas[1]
    result = model.predict(path)
    assert "2 tissue regions" in result.notes[0]
    assert result.as_dict()["notes"] == list(result.notes)
    if areas[1] > areas[0]:
        assert result.region == (6, 130, 54, 194)
        assert result.spacing == pytest.approx((0.3, 0.3))
    else:
        assert result.region == (0, 0, 60, 120)
        assert result.spacing == pytest.approx((0.1, 0.1))
    assert "2 tissue regions" in model.classify(path).notes[0]


def test_exports_without_endings_are_found(tmp_path):
    write_dicom(tmp_path / "IM0001", GREY, "MONOCHROME2")
    write_dicom(tmp_path / "1.2.840.55", GREY, "MONOCHROME2")
    write_dicom(tmp_path / "DICOMDIR", GREY, "MONOCHROME2")
    (tmp_path / "README").write_text("no image")
    found = collect([tmp_path]).sources
    assert sorted(s.path.name for s in found) == ["1.2.840.55", "IM0001"]


def test_measures_are_in_millimetres_where_the_file_knows_them(tmp_path, model):
    regions = [region((0.01, 0.02), (0, 0, 63, 47))]
    path = write_dicom(
        tmp_path / "mm.dcm", GREY, "MONOCHROME2", SequenceOfUltrasoundRegions=regions
    )
    result = model.predict(path)
    assert result.lesions[0].area_mm2 == pytest.approx(result.lesions[0].area * 0.02)
    assert result.notes == ()
    given = model.predict(path, spacing=(1, 1))
    assert given.spacing == result.spacing
    assert "0.2 x 0.1 mm is used, not the 1 x 1 mm" in given.notes[0]


def test_bad_files_are_named(tmp_path):
    whole = write_dicom(tmp_path / "whole.dcm", GREY, "MONOCHROME2").read_bytes()
    for size in (140, 300, len(whole) - 500):
        (tmp_path / "cut.dcm").write_bytes(whole[:size])
        with pytest.raises(ImageFileError, match=r"cut\.dcm"):
            read_image(tmp_path / "cut.dcm")
    with pytest.raises(ImageFileError, match=r"odd\.dcm"):
        read_image(
            write_dicom(tmp_path / "odd.dcm", GREY, "NONSENSE", SamplesPerPixel=7)
        )
    with pytest.raises(ImageFileError, match=r"none\.dcm.*Rows"):
        read_image(write_dicom(tmp_path / "none.dcm", GREY, "MONOCHROME2", Rows=0))


def test_predict_command_on_clips_and_stills(tmp_path, weights_file):
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    write_dicom(
        folder / "clip.dcm", np.stack([GREY, 255 - GREY, GREY[::-1]]), "MONOCHROME2"
    )
    write_dicom(folder / "still.dcm", COLOUR, "RGB")
    (folder / "torn.dcm").write_bytes(b"\0" * 128 + b"DICM" + b"\x02\0")
    done = run("predict", folder, "--out", out, "--model", weights_file, check=1)
    text = (out / "predictions.csv").read_text()
    table = list(csv.DictReader(io.StringIO(text)))
    assert [(Path(row["file"]).name, row["frame"]) for row in table] == [
        ("clip.dcm", "1"),
        ("clip.dcm", "2"),
        ("clip.dcm", "3"),
        ("clip.dcm", "clip"),
        ("still.dcm", ""),
        ("torn.dcm", ""),
    ]
    mean = np.mean([float(row["p_malignant"]) for row in table[:3]])
    assert float(table[3]["p_malignant"]) == pytest.approx(mean, abs=1e-5)
    assert sorted(p.name for p in (out / "masks").iterdir()) == [
        "clip_frame0001_mask.png",
        "clip_frame0002_mask.png",
        "clip_frame0003_mask.png",
        "still_mask.png",
    ]
    for told in (text, done.stdout, done.stderr):
        assert "SECRET" not in told


def test_pictures_carry_no_tags(tmp_path):
    picture = read_image(write_dicom(tmp_path / "p.dcm", GREY, "MONOCHROME2"))
    assert "SECRET" not in repr(vars(picture))
    assert isinstance(picture, busnet.Picture)
