"""Frames of DICOM files: how many there are, torn files, codecs, what is no image."""

import threading
import warnings
from pathlib import Path

import numpy as np
import pytest
from encode import jpeg, jpeg2000
from helpers import UIDS, write_dicom
from PIL import Image

from busnet.data.phantom import phantom
from busnet.errors import (
    ImageFileError,
)
from busnet.images import is_dicom, read_frames, read_image

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
    JPEGBaseline8Bit,
    RLELossless,
)

SHIPPED = Path(pydicom.__file__).parent / "data" / "test_files"
GREY = phantom(48, 64)[0]
UNIT = GREY / np.float32(255)
CLIP = np.stack([GREY, GREY // 2, GREY[::-1], 255 - GREY])
STORAGE = "1.2.840.10008.5.1.4.1.1."


def collect(path):
    """Return the frames that can be read, and the error that ends them, or None."""
    pictures = []
    try:
        pictures.extend(read_frames(path))
    except ImageFileError as error:
        return pictures, error
    return pictures, None


def encapsulated(tmp_path, streams, syntax=JPEGBaseline8Bit, declared=4, **options):
    return write_dicom(
        tmp_path / "clip.dcm",
        CLIP,
        "MONOCHROME2",
        syntax=syntax,
        data=encapsulate(streams, **options),
        NumberOfFrames=declared,
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


@pytest.mark.parametrize("declared", [1, 3, None])
@pytest.mark.parametrize("form", ["raw", "jpeg", "jpeg without table", "rle"])
def test_more_frames_than_the_file_says_are_refused(tmp_path, declared, form):
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
    dataset.NumberOfFrames = declared
    if declared is None:
        del dataset.NumberOfFrames
    dataset.save_as(path)
    with pytest.raises(
        ImageFileError, match=rf"clip\.dcm: .*hold 4 frames.*is {declared or 1}"
    ):
        list(read_frames(path))


@pytest.mark.parametrize("form", ["raw", "jpeg", "rle"])
def test_of_fewer_frames_than_the_file_says_the_whole_ones_are_read(tmp_path, form):
    if form == "jpeg":
        path = encapsulated(tmp_path, [jpeg(frame) for frame in CLIP], declared=6)
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
    assert is_dicom(bare)
    implicit = syntax == ImplicitVRLittleEndian
    dataset.SOPClassUID = STORAGE + "6.1"
    Dataset(dataset).save_as(bare, implicit_vr=implicit, little_endian=True)
    assert bare.read_bytes()[:2] == b"\x08\0"
    np.testing.assert_allclose(read_image(bare).pixels, UNIT, atol=1e-6)
    assert is_dicom(bare)


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"\x08\0",
        b"\x08\0\x05\0CS\x0a\0ISO_IR 100",  # one element
        b"\x08\0\x02\0\0\0\0\0\0\0\0\0\x20\0\x20\0\x18\0",  # a TGA with a name
        b"\x02\0\0\0AB\x04\0\0\0\0\0" + bytes(200),
        b"\x08\0\x16\0UI\x04\0\x31\0\0\0" + b"\x08\0\x05\0CS\0\0" + bytes(99),
        b"\x08\0" * 99,
        bytes(300),
    ],
)
def test_other_files_are_no_dicom(tmp_path, head):
    path = tmp_path / "x"
    path.write_bytes(head)
    assert not is_dicom(path)
    assert not is_dicom(tmp_path / "none")


def test_a_segmentation_of_a_file_without_the_mark(tmp_path):
    seg = pytest.importorskip("busnet.export.dicom_seg", reason="needs highdicom")
    path = write_dicom(tmp_path / "whole.dcm", GREY, "MONOCHROME2", **UIDS)
    bare = tmp_path / "bare"
    bare.write_bytes(path.read_bytes()[132:])
    out = tmp_path / "seg.dcm"
    seg.save_segmentation(np.ones((1, *GREY.shape), bool), bare, out, "resnet18")
    written = pydicom.dcmread(out)
    assert (written.Rows, written.Columns) == GREY.shape


def test_too_many_pixels_are_refused(tmp_path, monkeypatch):
    path = write_dicom(tmp_path / "big.dcm", GREY, "MONOCHROME2")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    with pytest.raises(
        ImageFileError, match=r"big\.dcm: 64 x 48 pixels.*limit of 1000"
    ):
        read_image(path)


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


@pytest.mark.parametrize("value", [("LO", "abc"), ("US", [1, 2]), ("FD", 0.5)])
def test_functional_groups_that_are_no_sequence_are_named(tmp_path, value):
    path = write_dicom(tmp_path / "groups.dcm", CLIP, "MONOCHROME2")
    dataset = pydicom.dcmread(path)
    dataset.add_new("PerFrameFunctionalGroupsSequence", *value)
    dataset.save_as(path)
    with pytest.raises(ImageFileError, match=r"groups\.dcm"):
        list(read_frames(path))


def test_an_error_says_how_many_frames_it_costs(tmp_path):
    for broken, behind in ((0, "; 3 frames behind"), (2, "; 1 frame behind"), (3, "")):
        streams = [jpeg(frame) for frame in CLIP]
        streams[broken] = jpeg(GREY[:-8])  # of another size than the others
        pictures, error = collect(encapsulated(tmp_path, streams))
        assert len(pictures) == broken
        assert f"clip.dcm: frame {broken + 1}: its stream has 40 x 64" in str(error)
        assert str(error).endswith(f"{behind} it not read" if behind else "48 x 64")
