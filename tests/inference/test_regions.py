"""Tissue regions of DICOM frames: all that looks at images looks at the same part."""

import numpy as np
import pytest
from helpers import tissue_region, write_dicom
from PIL import Image

import busnet
from busnet.data.cases import Case
from busnet.data.phantom import phantom
from busnet.evaluation.scoring import score_cases
from busnet.quantization import quantize
from busnet.weights import read_arrays

pytest.importorskip("pydicom")

GREY, LESION = phantom(48, 64)
TOP, LEFT = 30, 50
INSIDE = np.s_[TOP : TOP + 48, LEFT : LEFT + 64]


@pytest.fixture
def frame():
    """Return a frame with an image at ``INSIDE`` and text of the scanner."""
    pixels = np.zeros((100, 140), np.uint8)
    pixels[:20] = 255
    pixels[INSIDE] = GREY
    return pixels


@pytest.fixture
def one(tmp_path, frame):
    """Write a file that names the image's place."""
    regions = [tissue_region(TOP, LEFT, TOP + 48, LEFT + 64)]
    path = tmp_path / "one.dcm"
    return write_dicom(path, frame, "MONOCHROME2", SequenceOfUltrasoundRegions=regions)


@pytest.fixture
def two(tmp_path, frame):
    """Write a file that names another, larger place first."""
    regions = [
        tissue_region(0, 0, 100, 49),
        tissue_region(TOP, LEFT, TOP + 48, LEFT + 64),
    ]
    path = tmp_path / "two.dcm"
    return write_dicom(path, frame, "MONOCHROME2", SequenceOfUltrasoundRegions=regions)


@pytest.fixture
def outline(tmp_path):
    """Write the lesion's mask in the frame's geometry."""
    mask = np.zeros((100, 140), bool)
    mask[INSIDE] = LESION
    Image.fromarray(mask).save(tmp_path / "mask.png")
    return tmp_path / "mask.png"


def test_features_are_those_of_the_region(model, one, frame):
    got = model.features(one)
    np.testing.assert_allclose(got, model.features(GREY), atol=1e-5)
    whole = model.features(one, crop=False)
    np.testing.assert_allclose(whole, model.features(frame), atol=1e-5)
    assert np.abs(got - whole).max() > 0.01


def test_an_activation_map_is_that_of_the_region(model, one, frame):
    got = model.activation_map(one, "malignant")
    assert got.shape == frame.shape
    alone = model.activation_map(GREY, "malignant")
    np.testing.assert_allclose(got[INSIDE], alone, atol=1e-5)
    assert np.isfinite(got).sum() == GREY.size
    whole = model.activation_map(one, "malignant", crop=False)
    np.testing.assert_allclose(
        whole, model.activation_map(frame, "malignant"), atol=1e-5
    )


def test_features_of_several_regions_are_refused(model, two, frame):
    for compute in (model.features, model.activation_map):
        with pytest.raises(busnet.ImageFileError, match=r"two\.dcm.*2 tissue regions"):
            compute(two)
    (picture,) = busnet.read_frames(two)
    part = picture.part(picture.regions[1])
    np.testing.assert_allclose(model.features(part), model.features(GREY), atol=1e-5)
    np.testing.assert_allclose(
        model.features(two, crop=False), model.features(frame), atol=1e-5
    )


@pytest.mark.parametrize("name", ["one", "two"])
def test_a_case_is_read_where_its_lesion_is(name, request, outline):
    case = Case("a", request.getfixturevalue(name), (outline,), "benign")
    picture, mask = case.read_tissue()
    np.testing.assert_allclose(picture.pixels, GREY / 255, atol=1e-6)
    np.testing.assert_array_equal(mask, LESION)
    assert picture.spacing == pytest.approx((0.1, 0.1))


def test_a_case_without_a_mask_is_read_in_its_largest_region(two, frame):
    picture, mask = Case("a", two, (), "benign").read_tissue()
    assert mask is None
    np.testing.assert_allclose(picture.pixels, frame[:, :49] / 255, atol=1e-6)


def test_a_mask_outside_all_regions_is_refused(tmp_path, one):
    mask = np.zeros((100, 140), bool)
    mask[:20, :20] = True
    Image.fromarray(mask).save(tmp_path / "mask.png")
    case = Case("a", one, (tmp_path / "mask.png",), "benign")
    with pytest.raises(busnet.DataError, match=r"one\.dcm: the mask lies outside"):
        case.read_tissue()


def test_a_change_is_scored_on_the_region(model, one, outline):
    case = Case("a", one, (outline,), "benign")
    (plain,) = score_cases(model, [case])
    (same,) = score_cases(model, [case], change=lambda pixels, mask, _: (pixels, mask))
    assert same.probabilities == pytest.approx(plain.probabilities, abs=1e-6)


def test_int8_is_calibrated_on_the_region(tmp_path, weights_file, one):
    for name, image in (("file", one), ("array", GREY)):
        quantize(weights_file, [image], tmp_path / f"{name}.safetensors", data="x")
    first, second = (
        read_arrays(tmp_path / f"{name}.safetensors") for name in ("file", "array")
    )
    assert first.keys() == second.keys()
    for name, array in first.items():
        np.testing.assert_allclose(array, second[name], rtol=1e-4, atol=1e-6)
