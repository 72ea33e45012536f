"""Compressed frames of DICOM: each codec, and streams that do not fit their file."""

import sys
from pathlib import Path

import numpy as np
import pytest
from encode import jpeg, jpeg2000
from helpers import write_dicom

from busnet.data.phantom import phantom
from busnet.errors import ImageFileError, MissingExtraError
from busnet.images import read_image

pydicom = pytest.importorskip("pydicom", reason="needs busnet[dicom]")

from pydicom.dataset import Dataset  # noqa: E402
from pydicom.encaps import encapsulate  # noqa: E402
from pydicom.uid import (  # noqa: E402
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
)

SHIPPED = Path(pydicom.__file__).parent / "data" / "test_files"
GREY = phantom(48, 64)[0]
UNIT = GREY / np.float32(255)
STORAGE = "1.2.840.10008.5.1.4.1.1."


def lossless(array, bits=8, predictor=1):
    imagecodecs = pytest.importorskip("imagecodecs", reason="needs busnet[dicom]")
    return imagecodecs.jpeg8_encode(
        array, lossless=True, predictor=predictor, bitspersample=bits
    )


STREAMS = {
    JPEGBaseline8Bit: jpeg,
    JPEGLossless: lossless,
    JPEGLosslessSV1: lossless,
    JPEG2000Lossless: jpeg2000,
}


@pytest.mark.parametrize("syntax", STREAMS)
@pytest.mark.parametrize("share", [0.3, 0.6, 0.98])
def test_a_stream_that_is_torn_is_refused(tmp_path, syntax, share):
    stream = STREAMS[syntax](GREY)
    data = encapsulate([stream[: int(share * len(stream))]])
    path = write_dicom(
        tmp_path / "t.dcm", GREY, "MONOCHROME2", syntax=syntax, data=data
    )
    with pytest.raises(ImageFileError, match=r"t\.dcm: .*torn"):
        read_image(path)


@pytest.mark.parametrize("bits", [8, 10, 12, 16])
@pytest.mark.parametrize("syntax", [JPEGLossless, JPEGLosslessSV1])
@pytest.mark.parametrize("signed", [False, True])
def test_lossless_jpeg(tmp_path, bits, syntax, signed):
    white = 2**bits - 1
    array = np.rint(UNIT.astype(float) * white).astype("u1" if bits == 8 else "u2")
    stored = array
    if signed:
        stored = array ^ array.dtype.type(1 << (bits - 1))
    predictor = 1 if syntax == JPEGLosslessSV1 else 7
    path = write_dicom(
        tmp_path / "l.dcm",
        stored,
        "MONOCHROME2",
        syntax=syntax,
        data=encapsulate([lossless(stored, bits, predictor)]),
        BitsStored=bits,
        HighBit=bits - 1,
        PixelRepresentation=int(signed),
    )
    np.testing.assert_allclose(read_image(path).pixels, array / white, atol=1e-6)


def test_jpeg_of_twelve_bits(tmp_path):
    dataset = pydicom.dcmread(SHIPPED / "JPGExtended.dcm")
    dataset.SOPClassUID = STORAGE + "6.1"
    dataset.Modality = "US"
    dataset.save_as(tmp_path / "j.dcm")
    assert dataset.file_meta.TransferSyntaxUID == JPEGExtended12Bit
    picture = read_image(tmp_path / "j.dcm")
    assert picture.pixels.max() == pytest.approx(264 / 4095)
    assert "6.4% of white, which 12 bits give" in picture.notes[0]


def test_jpeg_that_needs_the_extra(tmp_path, monkeypatch):
    path = write_dicom(
        tmp_path / "l.dcm",
        GREY,
        "MONOCHROME2",
        syntax=JPEGLosslessSV1,
        data=encapsulate([lossless(GREY)]),
    )
    monkeypatch.setitem(sys.modules, "imagecodecs", None)
    with pytest.raises(MissingExtraError, match=r"l\.dcm: .*busnet\[dicom\]"):
        read_image(path)


@pytest.mark.parametrize("syntax", [JPEGLSLossless, JPEG2000Lossless])
@pytest.mark.parametrize("signed", [False, True])
def test_lossless_codecs_of_twelve_bits(tmp_path, syntax, signed):
    deep = GREY.astype(np.uint16) * 16
    array = deep.astype(np.int16) - 2048 if signed else deep
    path = write_dicom(
        tmp_path / "c.dcm",
        array,
        "MONOCHROME2",
        BitsStored=12,
        HighBit=11,
        PixelRepresentation=int(signed),
    )
    dataset = pydicom.dcmread(path)
    dataset.compress(syntax)
    dataset.save_as(path)
    np.testing.assert_allclose(read_image(path).pixels, deep / 4095, atol=1e-6)


def test_a_colour_transform_in_jpeg_2000(tmp_path):
    colour = np.stack([GREY, GREY[::-1], np.full_like(GREY, 90)], 2)
    for mct in (0, 1):
        for tag in ("RGB", "YBR_RCT") if mct else ("RGB",):
            path = write_dicom(
                tmp_path / "c.dcm",
                colour,
                tag,
                syntax=JPEG2000Lossless,
                data=encapsulate([jpeg2000(colour, mct=mct)]),
            )
            np.testing.assert_allclose(read_image(path).pixels, colour / 255, atol=1e-6)
    path = write_dicom(
        tmp_path / "c.dcm",
        colour,
        "YBR_FULL",  # which its stream contradicts
        syntax=JPEG2000Lossless,
        data=encapsulate([jpeg2000(colour, mct=1)]),
    )
    np.testing.assert_allclose(read_image(path).pixels, colour / 255, atol=1e-6)


def test_a_stream_of_fewer_bits_than_the_file_says(tmp_path):
    path = write_dicom(
        tmp_path / "b.dcm",
        GREY.astype(np.uint16),
        "MONOCHROME2",
        syntax=JPEGLosslessSV1,
        data=encapsulate([lossless(GREY)]),
    )
    picture = read_image(path)
    np.testing.assert_allclose(picture.pixels, UNIT, atol=1e-6)
    assert picture.notes == ("BitsStored is 16, but its stream has 8 bits",)


@pytest.mark.parametrize(
    ("array", "tags", "fact"),
    [
        (GREY[:20, :30], {}, "20 x 30 pixels, but Rows and Columns are 48 x 64"),
        (np.dstack([GREY] * 3), {}, "3 components, but SamplesPerPixel is 1"),
        (GREY, {"BitsAllocated": 16, "HighBit": 15}, "HighBit is 15"),
    ],
)
def test_a_stream_that_does_not_fit_the_file(tmp_path, array, tags, fact):
    region = Dataset()
    region.RegionSpatialFormat = region.RegionDataType = 1
    region.RegionLocationMinX0, region.RegionLocationMinY0 = 40, 30
    region.RegionLocationMaxX1, region.RegionLocationMaxY1 = 63, 47
    region.PhysicalUnitsXDirection = region.PhysicalUnitsYDirection = 3
    region.PhysicalDeltaX = region.PhysicalDeltaY = 0.01
    path = write_dicom(
        tmp_path / "s.dcm",
        GREY,
        "MONOCHROME2",
        syntax=JPEGBaseline8Bit,
        data=encapsulate([jpeg(array)]),
        SequenceOfUltrasoundRegions=[region],
        **tags,
    )
    with pytest.raises(ImageFileError, match=rf"s\.dcm: .*{fact}"):
        read_image(path)


def test_a_value_of_more_bits_than_the_file_says(tmp_path):
    path = write_dicom(
        tmp_path / "v.dcm",
        GREY.astype(np.uint16) * 16,
        "MONOCHROME2",
        syntax=JPEGLosslessSV1,
        data=encapsulate([lossless(GREY.astype(np.uint16) * 16, 12)]),
        BitsStored=10,
        HighBit=9,
    )
    with pytest.raises(ImageFileError, match=r"v\.dcm: .*more than BitsStored"):
        read_image(path)
