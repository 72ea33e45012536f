"""Which DICOM objects are ultrasound images, and which are skipped."""

from pathlib import Path

import numpy as np
import pytest
from helpers import write_dicom

from busnet.data.phantom import phantom
from busnet.errors import ImageFileError, NotAnUltrasoundImageError
from busnet.images import read_image

pydicom = pytest.importorskip("pydicom", reason="needs busnet[dicom]")

SHIPPED = Path(pydicom.__file__).parent / "data" / "test_files"
GREY = phantom(48, 64)[0]
UNIT = GREY / np.float32(255)
STORAGE = "1.2.840.10008.5.1.4.1.1."


@pytest.mark.parametrize(
    ("uid", "modality", "noted"),
    [
        (STORAGE + "6.1", "US", False),
        (STORAGE + "3.1", "US", False),
        (STORAGE + "6", "US", False),
        (STORAGE + "3", "US", False),
        (STORAGE + "6.1", "", False),
        (STORAGE + "6.1", "OT", False),
        (STORAGE + "7", "US", True),
        (STORAGE + "7.4", "OT", True),
        ("1.3.12.2.1107.5.9.1", "US", False),  # private
        ("", "US", False),
        ("", "", True),
    ],
)
def test_objects_that_are_ultrasound(tmp_path, uid, modality, noted):
    path = ultrasound(tmp_path / "u.dcm", uid, modality)
    picture = read_image(path)
    np.testing.assert_allclose(picture.pixels, UNIT, atol=1e-6)
    assert bool(picture.notes) == noted


def ultrasound(path, uid, modality):
    write_dicom(path, GREY, "MONOCHROME2", SOPClassUID=uid, Modality=modality)
    dataset = pydicom.dcmread(path)
    del dataset.file_meta.MediaStorageSOPClassUID
    dataset.save_as(path, enforce_file_format=False)
    return path


@pytest.mark.parametrize(
    ("uid", "modality", "fact"),
    [
        (STORAGE + "2", "CT", "CT Image Storage"),
        (STORAGE + "4", "MR", "MR Image Storage"),
        (STORAGE + "481.2", "RTDOSE", "RT Dose Storage"),
        (STORAGE + "66.4", "SEG", "Segmentation Storage"),
        (STORAGE + "88.11", "SR", "Basic Text SR"),
        (STORAGE + "11.1", "PR", "Presentation State"),
        (STORAGE + "1.2", "MG", "Mammography"),
        (STORAGE + "6.1", "CT", "modality is CT"),
        (STORAGE + "7", "CT", "modality is CT"),
        ("", "MG", "modality is MG"),
        ("1.3.12.2.1107.5.9.1", "CT", "modality is CT"),
    ],
)
def test_objects_that_are_not(tmp_path, uid, modality, fact):
    path = ultrasound(tmp_path / "n.dcm", uid, modality)
    for name in ("PixelData", "Rows"):  # reports have neither
        with pytest.raises(NotAnUltrasoundImageError, match=rf"n\.dcm: .*{fact}"):
            read_image(path)
        dataset = pydicom.dcmread(path)
        del dataset[name]
        dataset.save_as(path)


def test_other_objects_that_ship_with_pydicom():
    for name in ("CT_small.dcm", "rtdose.dcm", "test-SR.dcm", "reportsi.dcm"):
        with pytest.raises(NotAnUltrasoundImageError, match=name):
            read_image(SHIPPED / name)
    with pytest.raises(NotAnUltrasoundImageError, match="DICOMDIR"):
        read_image(SHIPPED / "dicomdirtests" / "DICOMDIR")


def test_ultrasound_without_pixels(tmp_path):
    path = write_dicom(tmp_path / "e.dcm", GREY, "MONOCHROME2")
    dataset = pydicom.dcmread(path)
    del dataset.PixelData
    dataset.save_as(path)
    with pytest.raises(ImageFileError, match=r"e\.dcm: it holds no image") as caught:
        read_image(path)
    assert not isinstance(caught.value, NotAnUltrasoundImageError)
