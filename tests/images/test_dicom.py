"""DICOM frames: every photometric interpretation, spacing, cine loops, no patient."""

import csv
import io
from pathlib import Path

import numpy as np
import pytest
from helpers import call, write_dicom

import busnet
from busnet.batch import collect
from busnet.data.phantom import phantom
from busnet.errors import ImageFileError
from busnet.images import read_frames, read_image

pydicom = pytest.importorskip("pydicom", reason="needs busnet[dicom]")

from pydicom.dataset import Dataset  # noqa: E402

SHIPPED = Path(pydicom.__file__).parent / "data" / "test_files"
GREY = phantom(48, 64)[0]
COLOUR = np.stack([GREY, GREY[::-1], np.full_like(GREY, 90)], 2)


def region(delta, box, *, kind=1, form=1, unit=3):
    dataset = Dataset()
    dataset.RegionSpatialFormat = form
    dataset.RegionDataType = kind
    dataset.RegionLocationMinX0, dataset.RegionLocationMinY0 = box[:2]
    dataset.RegionLocationMaxX1, dataset.RegionLocationMaxY1 = box[2:]
    dataset.PhysicalUnitsXDirection = dataset.PhysicalUnitsYDirection = unit
    dataset.PhysicalDeltaX, dataset.PhysicalDeltaY = delta
    return dataset


def test_grey_and_its_inverse(tmp_path):
    two = read_image(write_dicom(tmp_path / "2.dcm", GREY, "MONOCHROME2"))
    one = read_image(write_dicom(tmp_path / "1.dcm", 255 - GREY, "MONOCHROME1"))
    np.testing.assert_allclose(two.pixels, GREY / 255, atol=1e-6)
    np.testing.assert_allclose(one.pixels, two.pixels, atol=1e-6)


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


def test_spacing_is_that_of_all_tissue_regions(tmp_path):
    def spacing(*regions, **tags):
        if regions:
            tags["SequenceOfUltrasoundRegions"] = list(regions)
        return read_image(
            write_dicom(tmp_path / "s.dcm", GREY, "MONOCHROME2", **tags)
        ).spacing

    whole, part = (0, 0, 63, 47), (0, 0, 20, 20)
    assert spacing() is None
    assert spacing(region((0.01, 0.02), whole)) == pytest.approx((0.2, 0.1))
    two = region((0.01, 0.02), part), region((0.01, -0.02), whole)
    assert spacing(*two) == pytest.approx((0.2, 0.1))
    assert spacing(region((0.05, 0.05), part), region((0.01, -0.02), whole)) is None
    assert spacing(region((0.01, 0.02), whole, unit=4)) is None  # seconds
    assert spacing(region((0.01, 0.02), whole, kind=3)) is None  # a spectrum
    assert spacing(region((0.01, 0.02), whole, form=2)) is None  # M-mode
    assert spacing(region((0.0, 0.0), whole)) is None
    assert spacing(PixelSpacing=[0.3, 0.4]) == pytest.approx((0.3, 0.4))


@pytest.mark.parametrize(
    ("value", "fact"),
    [
        *((0.3, "has one value"), ([0.3, 0], "is"), ([0.1, 0.2, 0.3], "is")),
        *(([1e-200, 1e-200], "is"), ([1e300, 0.1], "is"), ([-0.1, 0.1], "is")),
        (None, ""),
    ],
)
def test_pixel_spacing_that_is_no_pair(tmp_path, value, fact):
    path = write_dicom(tmp_path / "p.dcm", GREY, "MONOCHROME2", PixelSpacing=value)
    picture = read_image(path)
    assert picture.spacing is None
    if fact:
        assert f"PixelSpacing {fact}" in picture.notes[0]
    else:
        assert picture.notes == ()


def test_spacing_of_functional_groups(tmp_path):
    def groups(spacing):
        measures, item = Dataset(), Dataset()
        measures.PixelSpacing = spacing
        item.PixelMeasuresSequence = [measures]
        return item

    clip = np.stack([GREY, GREY])
    tags = {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.6.2"}
    path = write_dicom(
        tmp_path / "e.dcm",
        clip,
        "MONOCHROME2",
        SharedFunctionalGroupsSequence=[groups([0.1, 0.2])],
        PixelSpacing=[7, 7],
        **tags,
    )
    assert [p.spacing for p in read_frames(path)] == [(0.1, 0.2)] * 2
    path = write_dicom(
        tmp_path / "f.dcm",
        clip,
        "MONOCHROME2",
        SharedFunctionalGroupsSequence=[groups([0.1, 0.2])],
        PerFrameFunctionalGroupsSequence=[groups([0.3, 0.3]), groups([0.4, 0.4])],
        **tags,
    )
    assert [p.spacing for p in read_frames(path)] == [(0.3, 0.3), (0.4, 0.4)]


def test_regions_lie_in_the_frame(tmp_path):
    def read(*items):
        path = write_dicom(
            tmp_path / "r.dcm",
            GREY,
            "MONOCHROME2",
            SequenceOfUltrasoundRegions=list(items),
        )
        return read_image(path)

    def regions(*items):
        return [r.box for r in read(*items).regions]

    fine = (0.01, 0.01)
    assert regions(region(fine, (5, 2, 500, 30))) == [(2, 5, 31, 64)]
    assert regions(region(fine, (70, 0, 80, 10)), region(fine, (9, 9, 3, 3))) == []
    unset = read(region(fine, (0, 0, 0, 0)), region(fine, (70, 0, 80, 10)))
    assert unset.regions == ()
    assert unset.notes == (
        "region 1 of the file is not used: 1 x 1 pixels of it lie in the frame",
        "region 2 of the file is not used: 11 x 0 pixels of it lie in the frame",
    )
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
    whole = model.predict(path, crop=False)
    assert whole.spacing is None
    assert whole.notes == ("the file has no scale that holds for the whole frame",)
    assert not whole.lesions or whole.lesions[0].area_mm2 is None
    assert model.predict(path, crop=False, spacing=(0.2, 0.2)).spacing == (0.2, 0.2)


@pytest.mark.parametrize(
    ("name", "value", "fact"),
    [
        ("PhysicalDeltaX", None, "PhysicalDeltaX is missing"),
        ("PhysicalDeltaY", np.nan, "PhysicalDeltaY is not a finite number"),
        ("PhysicalDeltaX", [0.1, 0.2], "PhysicalDeltaX has 2 values"),
        ("PhysicalDeltaX", 0.0, "PhysicalDeltaX is 0"),
        ("PhysicalDeltaX", 1e-200, "PhysicalDeltaX is 1e-200"),
        ("PhysicalDeltaY", -1e300, r"PhysicalDeltaY is -1e+300"),
    ],
)
def test_regions_without_a_scale(tmp_path, name, value, fact):
    broken = region((0.01, 0.02), (10, 5, 40, 30))
    setattr(broken, name, value)
    path = write_dicom(
        tmp_path / "r.dcm",
        GREY,
        "MONOCHROME2",
        SequenceOfUltrasoundRegions=[region((0.01, 0.02), (0, 0, 5, 5)), broken],
    )
    picture = read_image(path)
    boxes = [(r.box, r.spacing) for r in picture.regions]
    assert boxes == [((5, 10, 31, 41), None), ((0, 0, 6, 6), (0.2, 0.1))]
    assert picture.spacing is None
    (note,) = picture.notes
    assert note.startswith(f"region 2 of the file has no millimetres: {fact}")


@pytest.mark.parametrize("end", ["MinX0", "MaxY1"])
def test_regions_without_a_place_are_left_out(tmp_path, end):
    broken, whole = (region((0.01, 0.02), (0, 0, 63, 47)) for _ in range(2))
    delattr(broken, f"RegionLocation{end}")
    path = tmp_path / "r.dcm"
    for regions in ([broken], [broken, whole]):
        write_dicom(
            path, GREY, "MONOCHROME2", SequenceOfUltrasoundRegions=regions,
            PixelSpacing=[0.3, 0.4],
        )  # fmt: skip
        picture = read_image(path)
        assert len(picture.regions) == len(regions) - 1
        alone = len(regions) == 1
        assert picture.spacing == pytest.approx((0.3, 0.4) if alone else (0.2, 0.1))
        (note,) = picture.notes
        assert note == (
            f"region 1 of the file is not used: RegionLocation{end} is missing"
        )


def test_regions_of_a_kind_that_cannot_be_read_are_left_out(tmp_path):
    broken, whole = (region((0.01, 0.02), (0, 0, 63, 47)) for _ in range(2))
    broken.RegionDataType = [1, 2]
    path = write_dicom(
        tmp_path / "r.dcm",
        GREY,
        "MONOCHROME2",
        SequenceOfUltrasoundRegions=[broken, whole],
    )
    picture = read_image(path)
    assert [r.box for r in picture.regions] == [(0, 0, 48, 64)]
    fact = "region 1 of the file is not used: RegionDataType has 2 values"
    assert picture.notes == (f"{fact}; it should have one",)


def test_exports_without_endings_are_found(tmp_path):
    write_dicom(tmp_path / "IM0001", GREY, "MONOCHROME2")
    write_dicom(tmp_path / "1.2.840.55", GREY, "MONOCHROME2")
    write_dicom(tmp_path / "DICOMDIR", GREY, "MONOCHROME2")
    (tmp_path / "README").write_text("no image")
    sources = collect([tmp_path]).sources
    assert sorted(s.path.name for s in sources) == ["1.2.840.55", "IM0001"]


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
    done = call("predict", folder, "--out", out, "--model", weights_file, check=1)
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
    for output in (text, done.stdout, done.stderr):
        assert "SECRET" not in output


def test_pictures_carry_no_tags(tmp_path):
    picture = read_image(write_dicom(tmp_path / "p.dcm", GREY, "MONOCHROME2"))
    assert "SECRET" not in repr(vars(picture))
    assert isinstance(picture, busnet.Picture)
