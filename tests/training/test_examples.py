"""Cases as training sees them."""

import numpy as np
import pytest
from helpers import tissue_region, write_dicom
from PIL import Image

from busnet.data.cases import Case
from busnet.data.phantom import phantom
from busnet.training.examples import Examples

pytest.importorskip("pydicom")


def test_of_a_dicom_frame_the_tissue_region_is_seen(tmp_path):
    image, lesion = phantom(48, 64)
    place = np.s_[30:78, 50:114]
    frame, mask = np.zeros((100, 140), np.uint8), np.zeros((100, 140), bool)
    frame[:20] = 255  # text of the scanner
    frame[place], mask[place] = image, lesion
    regions = [tissue_region(30, 50, 78, 114)]
    dicom = write_dicom(
        tmp_path / "a.dcm", frame, "MONOCHROME2", SequenceOfUltrasoundRegions=regions
    )
    Image.fromarray(image).save(tmp_path / "b.png")
    Image.fromarray(mask).save(tmp_path / "a_mask.png")
    Image.fromarray(lesion).save(tmp_path / "b_mask.png")
    cases = [
        Case("a", dicom, (tmp_path / "a_mask.png",), "benign"),
        Case("b", tmp_path / "b.png", (tmp_path / "b_mask.png",), "benign"),
    ]
    examples = Examples.load(cases, 64, 1)
    np.testing.assert_array_equal(examples.images[0], examples.images[1])
    np.testing.assert_array_equal(examples.masks[0], examples.masks[1])
    assert examples.masks[0].sum() > 100
