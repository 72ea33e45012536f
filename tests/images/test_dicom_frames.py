"""Frames of DICOM files: how many there are, torn files, codecs, what is no image."""

import io
import sys
import threading
import warnings
from pathlib import Path

import numpy as np
import pytest
from helpers import write_dicom
from PIL import Image

from busnet.data.phantom import phantom
from busnet.errors import (
    ImageFileError,
    MissingExtraError,
    NotAnUltrasoundImageError,
)
from busnet.images import read_frames, read_image

pydicom = pytest.importorskip("pydicom", reason="needs busnet[dicom]")

from pydicom.dataset import Dataset  # noqa: E402
from pydicom.encaps import encapsulate, encapsulate_extended  # noqa: E402
from pydicom.uid import (  # noqa: E402
    HTJ2K,
    JPEG2000,
    MPEG4HP41,
    UID,
    DeflatedExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

SHIPPED = Path(pydicom.__file__).parent / "data" / "test_files"
GREY = phantom(48, 64)[0]
UNIT = GREY / np.float32(255)
CLIP = np.stack([GREY, GREY // 2, GREY[::-1], 255 - GREY])
STORAGE = "1.2.840.10008.5.1.4.1.1."


def jpeg(array, **options):
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, "JPEG", quality=98, **options)
    return buffer.getvalue()


def jpeg2000(array, **options):
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, "JPEG2000", no_jp2=True, **options)
    return buffer.getvalue()


def lossless(array, bits=8, predictor=1):
    imagecodecs = pytest.importorskip("imagecodecs", reason="needs busnet[dicom]")
    return imagecodecs.jpeg8_encode(
        array, lossless=True, predictor=predictor, bitspersample=bits
    )


def collect(path):
    """Return the frames that can be read, and the error that ends them, or None."""
    pictures = []
    try:
        pictures.extend(read_frames(path))
    except ImageFileError as error:
        # A list that is extended from a generator loses what was yielded.
        return [*frames_before(path)], error
    return pictures, None


def frames_before(path):
    frames = read_frames(path)
    while True:
        try:
            yield next(frames)
        except (StopIteration, ImageFileError):
            return


def encapsulated(tmp_path, streams, syntax=JPEGBaseline8Bit, said=4, **options):
    return write_dicom(
        tmp_path / "clip.dcm",
        CLIP,
        "MONOCHROME2",
        syntax=syntax,
        data=encapsulate(streams, **options),
        NumberOfFrames=said,
    )


@pytest.mark.parametrize("fragments", [1, 3])
@pytest.mark.parametrize("has_bot", [True, False])
def test_frames_of_one_or_more_fragments(tmp_path, fragments, has_bot):
    streams = [jpeg(frame) for frame in CLIP]
    path = encapsulated(
        tmp_path, streams, fragments_per_frame=fragments, has_bot=has_bot
    )
    pictures = list(read_frames(path))
    assert [picture.frame for picture in pictures] == [1, 2, 3, 4]
    for picture, frame in zip(pictures, CLIP, strict=True):
        assert np.abs(picture.pixels - frame / 255).mean() < 0.01


def test_an_extended_offset_table(tmp_path):
    streams = [jpeg(frame) for frame in CLIP]
    data, offsets, lengths = encapsulate_extended(streams)
    path = write_dicom(
        tmp_path / "clip.dcm",
        CLIP,
        "MONOCHROME2",
        syntax=JPEGBaseline8Bit,
        data=data,
        ExtendedOffsetTable=offsets,
        ExtendedOffsetTableLengths=lengths,
    )
    assert len(list(read_frames(path))) == 4


def test_an_offset_table_that_is_wrong_is_not_followed(tmp_path):
    path = encapsulated(tmp_path, [jpeg(frame) for frame in CLIP])
    dataset = pydicom.dcmread(path)
    data = bytearray(dataset.PixelData)
    data[12:16] = (10).to_bytes(4, "little")
    dataset.PixelData = bytes(data)
    dataset.save_as(path)
    pictures = list(read_frames(path))
    assert np.abs(pictures[3].pixels - CLIP[3] / 255).mean() < 0.01


@pytest.mark.parametrize("said", [1, 3, None])
@pytest.mark.parametrize("form", ["raw", "jpeg", "jpeg without table", "rle"])
def test_more_frames_than_the_file_says_are_refused(tmp_path, said, form):
    if form == "raw":
        path = write_dicom(tmp_path / "clip.dcm", CLIP, "MONOCHROME2")
    elif form == "rle":
        path = write_dicom(tmp_path / "clip.dcm", CLIP, "MONOCHROME2")
        dataset = pydicom.dcmread(path)
        dataset.compress(RLELossless)
        dataset.save_as(path)
    else:
        streams = [jpeg(frame) for frame in CLIP]
        path = encapsulated(tmp_path, streams, has_bot="without" not in form)
    dataset = pydicom.dcmread(path)
    dataset.NumberOfFrames = said
    if said is None:
        del dataset.NumberOfFrames
    dataset.save_as(path)
    with pytest.raises(
        ImageFileError, match=rf"clip\.dcm: .*hold 4 frames.*is {said or 1}"
    ):
        list(read_frames(path))


@pytest.mark.parametrize("form", ["raw", "jpeg", "rle"])
def test_of_fewer_frames_than_the_file_says_the_whole_ones_are_read(tmp_path, form):
    if form == "jpeg":
        path = encapsulated(tmp_path, [jpeg(frame) for frame in CLIP], said=6)
    else:
        path = write_dicom(tmp_path / "clip.dcm", CLIP, "MONOCHROME2")
        dataset = pydicom.dcmread(path)
        if form == "rle":
            dataset.compress(RLELossless)
        dataset.NumberOfFrames = 6
        dataset.save_as(path)
    pictures, error = collect(path)
    assert [picture.frame for picture in pictures] == [1, 2, 3, 4]
    assert "clip.dcm: truncated after frame 4 of 6" in str(error)


@pytest.mark.parametrize("number", [-1, 0])
def test_numbers_of_frames_that_are_none(tmp_path, number):
    path = write_dicom(tmp_path / "n.dcm", GREY, "MONOCHROME2", NumberOfFrames=number)
    if number == 0:
        assert read_image(path).frame is None
    else:
        with pytest.raises(ImageFileError, match=r"n\.dcm: NumberOfFrames"):
            read_image(path)


@pytest.mark.parametrize("form", ["raw", "jpeg", "fragments", "jpeg2000", "rle"])
def test_of_a_torn_file_the_whole_frames_are_read(tmp_path, form):
    if form in ("raw", "rle"):
        path = write_dicom(tmp_path / "clip.dcm", CLIP, "MONOCHROME2")
        dataset = pydicom.dcmread(path)
        if form == "rle":
            dataset.compress(RLELossless)
            dataset.save_as(path)
        last = 1000
    else:
        encode = jpeg2000 if form == "jpeg2000" else jpeg
        streams = [encode(frame) for frame in CLIP]
        syntax = JPEG2000 if form == "jpeg2000" else JPEGBaseline8Bit
        parts = 2 if form == "fragments" else 1
        path = encapsulated(tmp_path, streams, syntax, fragments_per_frame=parts)
        last = len(streams[-1])
    whole = path.read_bytes()
    for cut in (60, last // 2, last - 9):
        path.write_bytes(whole[:-cut])
        pictures, error = collect(path)
        assert [picture.frame for picture in pictures] == [1, 2, 3]
        for picture, frame in zip(pictures, CLIP, strict=False):
            assert np.abs(picture.pixels - frame / 255).mean() < 0.05
        assert "clip.dcm: truncated after frame 3 of 4" in str(error)


@pytest.mark.parametrize("form", ["raw", "jpeg"])
def test_a_torn_still(tmp_path, form):
    if form == "raw":
        path = write_dicom(tmp_path / "cut.dcm", GREY, "MONOCHROME2")
    else:
        path = write_dicom(
            tmp_path / "cut.dcm",
            GREY,
            "MONOCHROME2",
            syntax=JPEGBaseline8Bit,
            data=encapsulate([jpeg(GREY)]),
        )
    whole = path.read_bytes()
    path.write_bytes(whole[:-500])
    with pytest.raises(ImageFileError, match=r"cut\.dcm: truncated within its first"):
        read_image(path)
    for size in (140, 300, 600):
        path.write_bytes(whole[:size])
        with pytest.raises(ImageFileError, match=r"cut\.dcm: "):
            read_image(path)


@pytest.mark.parametrize("tags", [{"Columns": 63}, {"Rows": 40}, {"Rows": 47}])
def test_pixels_that_are_left_over(tmp_path, tags):
    bright = np.maximum(GREY, 1)
    path = write_dicom(tmp_path / "o.dcm", bright, "MONOCHROME2", **tags)
    with pytest.raises(ImageFileError, match=r"o\.dcm: .*bytes longer than 1 frames"):
        read_image(path)


def test_zeros_behind_the_pixels_are_noted(tmp_path):
    for excess, noted in ((1, False), (128, True)):
        array = GREY[:, :63] if excess == 1 else GREY
        array = array[:47] if excess == 1 else array
        path = write_dicom(
            tmp_path / "z.dcm",
            array,
            "MONOCHROME2",
            data=array.tobytes() + bytes(excess),
        )
        picture = read_image(path)
        np.testing.assert_allclose(picture.pixels, array / 255, atol=1e-6)
        assert bool(picture.notes) == noted


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


def test_syntaxes_that_are_not_read(tmp_path):
    for syntax in (MPEG4HP41, UID("1.2.3.4.5")):
        path = write_dicom(
            tmp_path / "m.dcm",
            GREY,
            "MONOCHROME2",
            data=encapsulate([b"video"]),
        )
        dataset = pydicom.dcmread(path)
        dataset.file_meta.TransferSyntaxUID = syntax
        dataset["PixelData"].is_undefined_length = True
        dataset.save_as(path, implicit_vr=False, little_endian=True)
        with pytest.raises(ImageFileError, match=r"m\.dcm: its transfer syntax"):
            read_image(path)


def test_other_syntaxes(tmp_path):
    for syntax in (ImplicitVRLittleEndian, DeflatedExplicitVRLittleEndian):
        path = write_dicom(tmp_path / "s.dcm", GREY, "MONOCHROME2", syntax=syntax)
        np.testing.assert_allclose(read_image(path).pixels, UNIT, atol=1e-6)
        with path.open("rb") as file:
            np.testing.assert_allclose(read_image(file).pixels, UNIT, atol=1e-6)
    data = encapsulate([jpeg2000(GREY)])
    path = write_dicom(tmp_path / "h.dcm", GREY, "MONOCHROME2", syntax=HTJ2K, data=data)
    np.testing.assert_allclose(read_image(path).pixels, UNIT, atol=1e-6)


@pytest.mark.parametrize("syntax", [None, ImplicitVRLittleEndian])
def test_a_file_without_the_mark(tmp_path, syntax):
    path = write_dicom(tmp_path / "whole.dcm", GREY, "MONOCHROME2", syntax=syntax)
    dataset = pydicom.dcmread(path)
    bare = tmp_path / "bare.dcm"
    bare.write_bytes(path.read_bytes()[132:])  # no preamble
    np.testing.assert_allclose(read_image(bare).pixels, UNIT, atol=1e-6)
    implicit = syntax == ImplicitVRLittleEndian
    dataset.SOPClassUID = STORAGE + "6.1"
    Dataset(dataset).save_as(bare, implicit_vr=implicit, little_endian=True)
    assert bare.read_bytes()[:2] == b"\x08\0"
    np.testing.assert_allclose(read_image(bare).pixels, UNIT, atol=1e-6)


def test_too_many_pixels_are_refused(tmp_path, monkeypatch):
    path = write_dicom(tmp_path / "big.dcm", GREY, "MONOCHROME2")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    with pytest.raises(
        ImageFileError, match=r"big\.dcm: 64 x 48 pixels.*limit of 1000"
    ):
        read_image(path)


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


def test_threads_that_read_leave_the_warnings_filter_alone(tmp_path):
    path = write_dicom(tmp_path / "t.dcm", np.stack([GREY] * 20), "MONOCHROME2")
    before = list(warnings.filters)
    threads = [
        threading.Thread(target=lambda: list(read_frames(path))) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert list(warnings.filters) == before


def test_messages_are_of_one_line(tmp_path):
    data = encapsulate([b"\xff\x4f\xff\x51" + bytes(200) + b"\xff\xd9"])
    path = write_dicom(
        tmp_path / "x.dcm", GREY, "MONOCHROME2", syntax=JPEG2000, data=data
    )
    with pytest.raises(ImageFileError, match=r"x\.dcm") as caught:
        read_image(path)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500
