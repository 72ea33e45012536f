"""Colours of DICOM: palettes, YBR, planes, 16 bits, and what JPEG streams say."""

import io
import warnings
from pathlib import Path

import numpy as np
import pytest
from helpers import write_dicom
from PIL import Image

from busnet.data.phantom import phantom
from busnet.errors import ImageFileError
from busnet.images import read_frames, read_image

pydicom = pytest.importorskip("pydicom", reason="needs busnet[dicom]")

from pydicom.encaps import encapsulate  # noqa: E402
from pydicom.uid import (  # noqa: E402
    ExplicitVRBigEndian,
    JPEGBaseline8Bit,
    JPEGLosslessSV1,
    RLELossless,
)

SHIPPED = Path(pydicom.__file__).parent / "data" / "test_files"
GREY = phantom(48, 64)[0]
UNIT = GREY / np.float32(255)
COLOUR = np.stack([GREY, GREY[::-1], np.full_like(GREY, 90)], 2)
SMOOTH = np.asarray(Image.fromarray(COLOUR).resize((16, 12)).resize((64, 48)))


@pytest.fixture
def pixels(tmp_path):
    """Return a function that writes values and reads them back as pixels."""

    def write_and_read(array, photometric, options=None, **tags):
        path = write_dicom(tmp_path / "colour.dcm", array, photometric, **tags)
        return read_image(path, **(options or {})).pixels

    return write_and_read


def palette(tables, *, count=256, first=0, bits=16, form="<u2", segmented=False):
    """Return the elements of a palette."""
    tags = {}
    for name, table in zip(("Red", "Green", "Blue"), tables, strict=True):
        stem = f"{name}PaletteColorLookupTable"
        tags[f"{stem}Descriptor"] = [count % 65536, first, bits]
        data = np.asarray(table).astype(form).tobytes()
        data += b"\0" * (len(data) % 2)
        tags[("Segmented" if segmented else "") + stem + "Data"] = data
    return tags


RAMP = np.arange(256)
TABLES = RAMP, 255 - RAMP, RAMP // 2
SHOWN = np.stack([UNIT, 1 - UNIT, (GREY // 2) / 255], 2)


@pytest.mark.parametrize(
    "form",
    [
        palette([t * 257 for t in TABLES]),
        palette(TABLES, bits=8, form="u1"),
        palette(TABLES, bits=8),  # bytes in words
        palette(TABLES, bits=16),  # which says 16 bits, and has 8
        palette([t * 257 for t in TABLES], bits=8),  # and the other way round
        palette(TABLES, bits=16, form="u1"),
    ],
)
def test_palettes_of_every_depth(pixels, form):
    got = pixels(GREY, "PALETTE COLOR", **form)
    np.testing.assert_allclose(got, SHOWN, atol=1e-5)


def test_a_palette_that_begins_later(pixels):
    tables = [t[100:200] * 257 for t in TABLES]
    form = palette(tables, count=100, first=100)
    got = pixels(GREY, "PALETTE COLOR", **form)
    at = np.clip(GREY, 100, 199)
    expected = np.stack([at / 255, 1 - at / 255, (at // 2) / 255], 2)
    np.testing.assert_allclose(got, expected, atol=1e-5)


def test_a_palette_of_more_inputs_than_a_byte_counts(pixels):
    deep = GREY.astype(np.uint16) * 4
    tables = [np.arange(1024) // 4, np.arange(1023, -1, -1) // 4, np.arange(1024) // 8]
    form = palette(tables, count=1024, bits=8, form="u1")
    got = pixels(deep, "PALETTE COLOR", BitsStored=10, HighBit=9, **form)
    np.testing.assert_allclose(got, SHOWN, atol=1 / 255)


def test_a_palette_in_big_endian(pixels):
    form = palette([t * 257 for t in TABLES], form=">u2")
    got = pixels(GREY, "PALETTE COLOR", syntax=ExplicitVRBigEndian, **form)
    np.testing.assert_allclose(got, SHOWN, atol=1e-5)


def test_segmented_palettes(pixels):
    # One entry, then a line to the last; in blue twice a line up, the second by
    # reference to the segments at byte 0.
    red = [0, 1, 0, 1, 255, 65535]
    green = [0, 1, 65535, 1, 255, 0]
    blue = [0, 2, 0, 514, 1, 126, 127 * 514, 2, 2, 0, 0]
    form = palette((red, green, blue), segmented=True)
    got = pixels(GREY, "PALETTE COLOR", **form)
    np.testing.assert_allclose(got[..., 0], UNIT, atol=1e-4)
    np.testing.assert_allclose(got[..., 1], 1 - UNIT, atol=1e-4)
    np.testing.assert_allclose(
        got[..., 2], GREY.astype(int) % 128 * 514 / 65535, atol=1e-4
    )
    eight = [[0, 1, 0, 1, 255, 255], [0, 1, 255, 1, 255, 0], [0, 2, 9, 9, 1, 254, 9]]
    form = palette(eight, bits=8, form="u1", segmented=True)
    got = pixels(GREY, "PALETTE COLOR", **form)
    np.testing.assert_allclose(got[..., 1], 1 - UNIT, atol=1e-4)
    np.testing.assert_allclose(got[..., 2], 9 / 255, atol=1e-4)


@pytest.mark.parametrize(
    "segments",
    [[0, 300, 1], [1, 255, 9], [7, 1, 1], [2, 1, 0, 0], [0, 1, 5, 2, 1, 4, 0]],
)
def test_segments_that_are_not_valid(pixels, segments):
    form = palette([segments] * 3, segmented=True)
    with pytest.raises(ImageFileError, match=r"colour\.dcm: .*segment"):
        pixels(GREY, "PALETTE COLOR", **form)


def test_a_palette_that_lacks(pixels):
    with pytest.raises(ImageFileError, match="lacks RedPalette"):
        pixels(GREY, "PALETTE COLOR")
    form = palette(TABLES, bits=8, form="u1", count=999)
    with pytest.raises(ImageFileError, match="256 entries of 999"):
        pixels(GREY, "PALETTE COLOR", **form)
    with pytest.raises(ImageFileError, match="PixelPresentation MIXED"):
        pixels(GREY, "MONOCHROME2", PixelPresentation="MIXED")


def test_windows_and_tables_do_not_count_for_colours(pixels):
    window = {"WindowCenter": 10, "WindowWidth": 3, "RescaleSlope": 9}
    got = pixels(COLOUR, "RGB", **window)
    np.testing.assert_allclose(got, COLOUR / 255, atol=1e-6)
    got = pixels(GREY, "PALETTE COLOR", **palette(TABLES, bits=8), **window)
    np.testing.assert_allclose(got, SHOWN, atol=1e-5)


def test_planes(pixels):
    planes = np.moveaxis(COLOUR, 2, 0).tobytes()
    got = pixels(COLOUR, "RGB", PlanarConfiguration=1, data=planes)
    np.testing.assert_allclose(got, COLOUR / 255, atol=1e-6)


def test_colours_of_more_bits(pixels):
    deep = COLOUR.astype(np.uint16)
    got = pixels(deep * 257, "RGB")
    np.testing.assert_allclose(got, COLOUR / 255, atol=1e-5)
    got = pixels(deep * 16, "RGB", BitsStored=12, HighBit=11)
    np.testing.assert_allclose(got, deep * 16 / 4095, atol=1e-5)
    got = pixels(deep << 8, "RGB", BitsStored=8, HighBit=15)
    np.testing.assert_allclose(got, COLOUR / 255, atol=1e-5)
    got = pixels(deep * 16, "RGB", options={"value_range": (0, 4080)})
    np.testing.assert_allclose(got, COLOUR / 255, atol=1e-5)


def to_ybr(rgb, white=255):
    """Convert to Y, Cb, Cr by the standard's equations (PS3.3 C.7.6.3.1.2)."""
    red, green, blue = np.moveaxis(rgb.astype(float), 2, 0)
    half = (white + 1) / 2
    ybr = np.stack(
        [
            0.2990 * red + 0.5870 * green + 0.1140 * blue,
            -0.1687 * red - 0.3313 * green + 0.5000 * blue + half,
            0.5000 * red - 0.4187 * green - 0.0813 * blue + half,
        ],
        2,
    )
    return np.clip(np.rint(ybr), 0, white)


def test_ybr_full(pixels):
    got = pixels(to_ybr(COLOUR).astype(np.uint8), "YBR_FULL")
    np.testing.assert_allclose(got, COLOUR / 255, atol=0.006)
    deep = COLOUR.astype(np.uint16) * 16
    twelve = to_ybr(deep, 4095).astype(np.uint16)
    got = pixels(twelve, "YBR_FULL", BitsStored=12, HighBit=11)
    np.testing.assert_allclose(got, deep / 4095, atol=0.001)


@pytest.mark.parametrize("photometric", ["YBR_FULL_422", "YBR_PARTIAL_422"])
def test_ybr_of_halved_chrominance(pixels, photometric):
    twice = np.repeat(COLOUR[:, ::2], 2, axis=1)
    ybr = to_ybr(twice)
    if photometric == "YBR_PARTIAL_422":
        ybr[..., 0] = ybr[..., 0] * 219 / 255 + 16
        ybr[..., 1:] = (ybr[..., 1:] - 128) * 224 / 255 + 128
    ybr = np.rint(ybr).astype(np.uint8)
    pairs = ybr.reshape(48, 32, 2, 3)
    data = np.stack(
        [pairs[:, :, 0, 0], pairs[:, :, 1, 0], pairs[:, :, 0, 1], pairs[:, :, 0, 2]], 2
    ).tobytes()
    got = pixels(twice, photometric, data=data)
    np.testing.assert_allclose(got, twice / 255, atol=0.012)


@pytest.mark.parametrize("photometric", ["CMYK", "HSV", "ARGB", "XYB", "NONSENSE"])
def test_colours_that_are_not_read(pixels, photometric):
    with pytest.raises(ImageFileError, match=rf"'{photometric}'.*is not read"):
        pixels(COLOUR, photometric)


@pytest.mark.parametrize(
    ("array", "photometric", "samples"),
    [(COLOUR, "MONOCHROME2", 3), (GREY, "RGB", 1), (COLOUR, "PALETTE COLOR", 3)],
)
def test_samples_fit_the_photometric_interpretation(
    pixels, array, photometric, samples
):
    with pytest.raises(ImageFileError, match=f"{samples} samples"):
        pixels(array, photometric)


@pytest.mark.parametrize("tag", ["RGB", "YBR_FULL_422"])
@pytest.mark.parametrize("marker", ["JFIF", "Adobe", "names"])
def test_jpeg_frames_are_read_by_their_stream_and_not_their_tag(pixels, tag, marker):
    buffer = io.BytesIO()
    Image.fromarray(SMOOTH).save(buffer, "JPEG", quality=95, keep_rgb=marker != "JFIF")
    stream = buffer.getvalue()
    if marker == "names":  # components R, G and B, and no marker
        stream = without(stream, 0xEE)
        assert b"Adobe" not in stream
    assert (b"JFIF" in stream) == (marker == "JFIF")
    got = pixels(SMOOTH, tag, syntax=JPEGBaseline8Bit, data=encapsulate([stream]))
    assert np.abs(got - SMOOTH / 255).mean() < 0.02


def without(stream, marker):
    """Return a JPEG stream without its markers of a kind."""
    place = stream.index(bytes((0xFF, marker)))
    length = int.from_bytes(stream[place + 2 : place + 4], "big")
    return stream[:place] + stream[place + 2 + length :]


def renamed(stream):
    """Return a JPEG stream whose components are 1, 2 and 3."""
    out = bytearray(stream)
    frame = next(stream.index(m) for m in (b"\xff\xc0", b"\xff\xc3") if m in stream)
    scan = stream.index(b"\xff\xda")
    for i in range(3):
        out[frame + 10 + 3 * i] = out[scan + 5 + 2 * i] = i + 1
    return bytes(out)


@pytest.mark.parametrize("rgb", [True, False])
def test_the_tag_decides_where_the_stream_is_mute(pixels, rgb):
    buffer = io.BytesIO()
    Image.fromarray(SMOOTH).save(
        buffer, "JPEG", quality=95, keep_rgb=rgb, subsampling=0
    )
    stream = without(buffer.getvalue(), 0xEE if rgb else 0xE0)
    data = encapsulate([renamed(stream)])
    tag = "RGB" if rgb else "YBR_FULL"
    got = pixels(SMOOTH, tag, syntax=JPEGBaseline8Bit, data=data)
    assert np.abs(got - SMOOTH / 255).mean() < 0.02


def test_components_of_different_resolution_are_ybr(pixels):
    buffer = io.BytesIO()
    Image.fromarray(SMOOTH).save(buffer, "JPEG", quality=95, subsampling=2)
    data = encapsulate([without(buffer.getvalue(), 0xE0)])
    got = pixels(SMOOTH, "RGB", syntax=JPEGBaseline8Bit, data=data)
    assert np.abs(got - SMOOTH / 255).mean() < 0.02


@pytest.mark.parametrize(
    ("photometric", "stored"), [("RGB", COLOUR), ("YBR_FULL", to_ybr(COLOUR))]
)
@pytest.mark.parametrize("jfif", [True, False])
def test_lossless_jpeg_of_colours(pixels, photometric, stored, jfif):
    imagecodecs = pytest.importorskip("imagecodecs", reason="needs busnet[dicom]")
    stream = imagecodecs.jpeg8_encode(
        stored.astype(np.uint8), lossless=True, predictor=1, colorspace="RGB"
    )
    for marker in (0xE0, 0xEE):
        if bytes((0xFF, marker)) in stream[:60]:
            stream = without(stream, marker)
    stream = renamed(stream)
    if jfif:
        stream = stream[:2] + b"\xff\xe0\0\x10JFIF\0\1\1\0\0\1\0\1\0\0" + stream[2:]
    got = pixels(
        COLOUR, photometric, syntax=JPEGLosslessSV1, data=encapsulate([stream])
    )
    slack = 1e-6 if photometric == "RGB" else 0.006
    np.testing.assert_allclose(got, COLOUR / 255, atol=slack)


def ultrasound(tmp_path, name):
    """Return a file that ships with pydicom as if it were ultrasound."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataset = pydicom.dcmread(SHIPPED / name)
        dataset.walk(lambda *_: None)
    dataset.SOPClassUID = "1.2.840.10008.5.1.4.1.1.6.1"
    dataset.Modality = "US"
    for element in list(dataset):  # some have elements that cannot be written
        if element.tag.group < 0x28 and element.keyword not in (
            "SOPClassUID",
            "Modality",
        ):
            del dataset[element.tag]
    dataset.save_as(tmp_path / name)
    return tmp_path / name


@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("SC_rgb_dcmtk_+eb+cy+np.dcm", "SC_rgb_dcmtk_+eb+cr.dcm"),
        ("SC_ybr_full_422_uncompressed.dcm", "SC_rgb_dcmtk_+eb+cr.dcm"),
        ("SC_rgb_rle.dcm", "SC_rgb_dcmtk_+eb+cr.dcm"),
        ("SC_rgb_rle_16bit.dcm", "SC_rgb_dcmtk_+eb+cr.dcm"),
        ("SC_rgb_rle_32bit.dcm", "SC_rgb_dcmtk_+eb+cr.dcm"),
        ("SC_rgb_jpeg_gdcm.dcm", "SC_rgb_rle.dcm"),
        ("SC_rgb_gdcm_KY.dcm", "SC_rgb_rle.dcm"),
        ("SC_rgb_jls_lossy_line.dcm", "SC_rgb_rle.dcm"),
        ("SC_rgb_jpeg_lossy_gdcm.dcm", "SC_rgb_rle.dcm"),
        ("SC_rgb_jpeg.dcm", "SC_rgb_jpeg_app14_dcmd.dcm"),
        ("SC_rgb_jpeg_dcmd.dcm", "SC_rgb_jpeg_app14_dcmd.dcm"),
    ],
)
def test_encodings_of_the_same_picture_agree(tmp_path, name, other):
    first, second = (
        read_image(ultrasound(tmp_path, file)).pixels for file in (name, other)
    )
    assert first.shape == second.shape
    assert np.abs(first - second).mean() < 0.02


def test_a_clip_in_rle(tmp_path):
    clip = np.stack([COLOUR, COLOUR[::-1]])
    path = write_dicom(tmp_path / "c.dcm", COLOUR, "RGB")
    dataset = pydicom.dcmread(path)
    dataset.NumberOfFrames = 2
    dataset.PixelData = clip.tobytes()
    dataset.compress(RLELossless)
    dataset.save_as(path)
    for picture, frame in zip(read_frames(path), clip, strict=True):
        np.testing.assert_allclose(picture.pixels, frame / 255, atol=1e-6)
