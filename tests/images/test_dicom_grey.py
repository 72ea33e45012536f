"""Grey values of DICOM: stored bits, modality, VOI and presentation."""

import numpy as np
import pytest
from helpers import write_dicom

from busnet.data.phantom import phantom
from busnet.errors import ImageFileError
from busnet.images import read_frames, read_image

pydicom = pytest.importorskip("pydicom", reason="needs busnet[dicom]")

from pydicom.dataset import Dataset  # noqa: E402
from pydicom.uid import (  # noqa: E402
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    RLELossless,
)

GREY = phantom(48, 64)[0]
UNIT = GREY / np.float32(255)
DEEP = GREY.astype(np.uint16) * 16
TWELVE = {"BitsStored": 12, "HighBit": 11}


@pytest.fixture
def pixels(tmp_path):
    """Return a function that writes grey values and reads them back as pixels."""

    def write_and_read(array=GREY, photometric="MONOCHROME2", options=None, **tags):
        path = write_dicom(tmp_path / "grey.dcm", array, photometric, **tags)
        return read_image(path, **(options or {})).pixels

    return write_and_read


def table(count, first, bits, data, representation=None):
    """Return the item of a lookup table."""
    item = Dataset()
    kind = "SS" if first < 0 else "US"
    item.add_new("LUTDescriptor", kind, [count % 65536, first, bits])
    if isinstance(data, bytes):
        item.add_new("LUTData", "OW", data)
    else:
        item.add_new("LUTData", representation or "US", [int(x) for x in data])
    return [item]


def test_an_identity_rescale_changes_nothing(pixels):
    dark = GREY // 4
    expected = dark / np.float32(255)
    np.testing.assert_allclose(pixels(dark), expected, atol=1e-6)
    for tags in (
        {"RescaleSlope": 1, "RescaleIntercept": 0},
        {"RescaleSlope": 1},
        {"RescaleIntercept": 0},
        {"RescaleSlope": "1.0", "RescaleIntercept": "0.0", "RescaleType": "US"},
    ):
        np.testing.assert_allclose(pixels(dark, **tags), expected, atol=1e-6)


@pytest.mark.parametrize(("slope", "intercept"), [(2, -100), (1 / 16, 0), (0.5, 1000)])
def test_a_rescale_alone_moves_the_range_with_it(pixels, slope, intercept):
    tags = {"RescaleSlope": slope, "RescaleIntercept": intercept}
    np.testing.assert_allclose(pixels(**tags), UNIT, atol=1e-5)
    np.testing.assert_allclose(pixels(DEEP, **TWELVE, **tags), DEEP / 4095, atol=1e-5)


def test_a_negative_slope_inverts(pixels):
    tags = {"RescaleSlope": -1, "RescaleIntercept": 0}
    np.testing.assert_allclose(pixels(**tags), 1 - UNIT, atol=1e-5)


def test_frames_of_a_clip_have_one_scale(tmp_path):
    clip = np.stack([GREY // 4, GREY // 2, GREY])
    path = write_dicom(
        tmp_path / "clip.dcm", clip, "MONOCHROME2", RescaleSlope=1, RescaleIntercept=0
    )
    for picture, frame in zip(read_frames(path), clip, strict=True):
        np.testing.assert_allclose(picture.pixels, frame / 255, atol=1e-6)


def test_the_window_is_applied_after_the_rescale(pixels):
    tags = {"RescaleSlope": 1 / 16, "RescaleIntercept": 0}
    window = {"WindowCenter": 128, "WindowWidth": 256}
    got = pixels(DEEP, **TWELVE, **tags, **window)
    np.testing.assert_allclose(got, UNIT, atol=1e-5)


@pytest.mark.parametrize("function", [None, "LINEAR", "LINEAR_EXACT", "SIGMOID"])
@pytest.mark.parametrize(("centre", "width"), [(1000.5, 1001), (2048, 4096), (900, 1)])
def test_windows(pixels, function, centre, width):
    tags = {} if function is None else {"VOILUTFunction": function}
    got = pixels(DEEP, **TWELVE, WindowCenter=centre, WindowWidth=width, **tags)
    x = DEEP.astype(float)
    if function == "SIGMOID":
        exponent = np.clip(-4 * (x - centre) / width, -99, 99)
        expected = 1 / (1 + np.exp(exponent))
    elif function == "LINEAR_EXACT":
        expected = (x - centre) / width + 0.5
    elif width == 1:
        expected = x > centre - 0.5
    else:
        expected = (x - (centre - 0.5)) / (width - 1) + 0.5
    np.testing.assert_allclose(got, np.clip(expected, 0, 1), atol=1e-5)


def test_of_several_windows_the_first_counts(pixels):
    tags = {"WindowCenter": [128, 50], "WindowWidth": [256, 10]}
    np.testing.assert_allclose(pixels(**tags), UNIT, atol=1e-5)


@pytest.mark.parametrize(
    "tags",
    [
        {"WindowCenter": 0, "WindowWidth": 0},
        {"WindowCenter": None, "WindowWidth": None},
        {"WindowCenter": 40},
        {"WindowWidth": 40},
    ],
)
def test_windows_that_are_none(pixels, tags):
    np.testing.assert_allclose(pixels(**tags), UNIT, atol=1e-6)


@pytest.mark.parametrize(
    ("tags", "fact"),
    [
        ({"WindowCenter": 40, "WindowWidth": -5}, "WindowWidth is -5"),
        ({"WindowCenter": 0.5, "WindowWidth": 0.5}, r"0\.5.*LINEAR window"),
        (
            {"WindowCenter": 1, "WindowWidth": 9, "VOILUTFunction": "CUBIC"},
            "VOILUTFunction is 'CUBIC'",
        ),
        ({"RescaleSlope": 0, "RescaleIntercept": 0}, "RescaleSlope is 0"),
        ({"RescaleSlope": [1, 2], "RescaleIntercept": 0}, "RescaleSlope has 2 values"),
        ({"PresentationLUTShape": "ROUND"}, "PresentationLUTShape is 'ROUND'"),
        ({"RescaleIntercept": "1e300"}, "leave no range"),
        ({"BitsStored": 9}, "BitsStored 9"),
        ({"HighBit": 3}, "HighBit 3"),
    ],
)
def test_transforms_that_are_not_valid(pixels, tags, fact):
    with pytest.raises(ImageFileError, match=rf"grey\.dcm: .*{fact}"):
        pixels(**tags)


def test_bits_lie_where_the_high_bit_says(pixels):
    twelve = GREY.astype(np.uint16) * 16 + 15
    expected = twelve / 4095
    shifted = (twelve << 4) | 5  # what is below counts for nothing
    got = pixels(shifted, BitsStored=12, HighBit=15)
    np.testing.assert_allclose(got, expected, atol=1e-6)
    got = pixels(twelve << 2, BitsStored=12, HighBit=13)
    np.testing.assert_allclose(got, expected, atol=1e-6)
    eight = GREY.astype(np.uint16) << 8
    np.testing.assert_allclose(pixels(eight, BitsStored=8, HighBit=15), UNIT, atol=1e-6)
    rle = pixels(GREY.astype(np.uint16), BitsStored=8, HighBit=7)
    np.testing.assert_allclose(rle, UNIT, atol=1e-6)


def test_bits_above_the_stored_ones_do_not_count(pixels):
    dirty = GREY.astype(np.uint16) * 16 | 0xA000  # overlays were kept there
    got = pixels(dirty, **TWELVE)
    np.testing.assert_allclose(got, DEEP / 4095, atol=1e-6)


@pytest.mark.parametrize("syntax", [None, ExplicitVRBigEndian, ImplicitVRLittleEndian])
def test_signed_values(pixels, syntax):
    signed = DEEP.astype(np.int16) - 2048
    expected = DEEP / 4095
    order = ">" if syntax == ExplicitVRBigEndian else "<"
    data = signed.astype(order + "i2").tobytes()
    tags = {"PixelRepresentation": 1, **TWELVE, "syntax": syntax, "data": data}
    np.testing.assert_allclose(pixels(signed, **tags), expected, atol=1e-6)
    bare = (signed & 0x0FFF).astype(order + "i2").tobytes()  # without sign extension
    tags["data"] = bare
    np.testing.assert_allclose(pixels(signed, **tags), expected, atol=1e-6)
    window = {"WindowCenter": 0, "WindowWidth": 4096}
    np.testing.assert_allclose(pixels(signed, **tags, **window), expected, atol=1e-4)


def test_one_bit_a_pixel(pixels):
    bits = GREY > 99
    packed = np.packbits(bits.ravel(), bitorder="little").tobytes()
    tags = {"BitsAllocated": 1, "BitsStored": 1, "HighBit": 0, "data": packed}
    np.testing.assert_array_equal(pixels(GREY, **tags), bits)
    np.testing.assert_array_equal(pixels(GREY, "MONOCHROME1", **tags), ~bits)


def test_thirty_two_bits(pixels, tmp_path):
    wide = GREY.astype(np.uint32) << 24
    np.testing.assert_allclose(pixels(wide), UNIT, atol=1e-2)
    window = {"WindowCenter": 128, "WindowWidth": 256}
    got = pixels(GREY.astype(np.uint32), **window)
    np.testing.assert_allclose(got, UNIT, atol=1e-5)
    with pytest.raises(ImageFileError, match="more than 32"):
        pixels(GREY.astype(np.uint64))


@pytest.mark.parametrize("bits", [8, 10, 12, 16])
@pytest.mark.parametrize("form", ["US", "OW"])
def test_voi_tables(pixels, bits, form):
    # Squares of 0..4095, in the table's bits; inputs below 100 take the first entry.
    inputs = np.arange(100, 4096)
    outputs = np.rint((inputs / 4095) ** 2 * (2**bits - 1)).astype(np.uint16)
    data = outputs.tolist() if form == "US" else outputs.astype("<u2").tobytes()
    got = pixels(DEEP, **TWELVE, VOILUTSequence=table(3996, 100, bits, data))
    expected = (np.maximum(DEEP, 100) / 4095) ** 2
    np.testing.assert_allclose(got, expected, atol=0.6 / (2**bits - 1) + 1e-6)


def test_a_voi_table_of_bytes(pixels):
    outputs = 255 - np.arange(256, dtype=np.uint8)
    item = table(256, 0, 8, outputs.tobytes())
    np.testing.assert_allclose(pixels(VOILUTSequence=item), 1 - UNIT, atol=1e-6)
    words = outputs.view("<u2").tolist()  # two entries a word
    item = table(256, 0, 8, words)
    np.testing.assert_allclose(pixels(VOILUTSequence=item), 1 - UNIT, atol=1e-6)


def test_a_voi_table_in_big_endian(pixels):
    outputs = np.arange(255, -1, -1).astype(np.uint16) * 257
    got = pixels(
        syntax=ExplicitVRBigEndian,
        VOILUTSequence=table(256, 0, 16, outputs.astype(">u2").tobytes()),
        data=GREY.tobytes(),
    )
    np.testing.assert_allclose(got, 1 - UNIT, atol=1e-6)


@pytest.mark.parametrize("explicit", [True, False])
def test_a_voi_table_of_negative_inputs(pixels, explicit):
    # Inputs -2048..2047 after the rescale; the table goes down from -1024 to 1023.
    outputs = np.arange(2047, -1, -1) * 32
    item = table(2048, -1024, 16, outputs)
    if not explicit:  # as a writer puts it that only knows US
        item[0].add_new("LUTDescriptor", "US", [2048, 65536 - 1024, 16])
    got = pixels(
        DEEP,
        **TWELVE,
        RescaleSlope=1,
        RescaleIntercept=-2048,
        VOILUTSequence=item,
    )
    inputs = np.clip(DEEP.astype(int) - 2048, -1024, 1023)
    np.testing.assert_allclose(got, (1023 - inputs) * 32 / 65535, atol=1e-6)


@pytest.mark.parametrize("signed", [False, True])
def test_a_table_in_implicit_representation(pixels, signed):
    # There the file does not tell which values are signed.
    first = -128 if signed else 0
    array = (GREY.astype(int) + first).astype("i1" if signed else "u1")
    item = table(256, first, 16, np.arange(255, -1, -1) * 257)
    for name in ("VOILUTSequence", "ModalityLUTSequence"):
        got = pixels(
            array,
            syntax=ImplicitVRLittleEndian,
            PixelRepresentation=int(signed),
            **{name: item},
        )
        np.testing.assert_allclose(got, 1 - UNIT, atol=1e-6)


def test_a_table_counts_more_than_a_window(pixels):
    item = table(256, 0, 8, range(255, -1, -1))
    got = pixels(VOILUTSequence=item, WindowCenter=10, WindowWidth=2)
    np.testing.assert_allclose(got, 1 - UNIT, atol=1e-6)


@pytest.mark.parametrize("bits", [8, 12, 16])
def test_modality_tables(pixels, bits):
    white = 2**bits - 1
    outputs = np.rint(np.linspace(white, 0, 4096)).astype(int)
    item = table(4096, 0, bits, outputs)
    got = pixels(DEEP, **TWELVE, ModalityLUTSequence=item)
    np.testing.assert_allclose(got, 1 - DEEP / 4095, atol=0.6 / white + 1e-6)
    half = {"WindowCenter": (white + 1) / 4, "WindowWidth": (white + 1) / 2}
    got = pixels(DEEP, **TWELVE, ModalityLUTSequence=item, **half)
    expected = np.clip(2 * (1 - DEEP / 4095), 0, 1)
    np.testing.assert_allclose(got, expected, atol=3 / white)


def test_a_full_table_has_a_count_of_zero(pixels):
    outputs = np.arange(65535, -1, -1)
    item = table(65536, 0, 16, outputs.astype("<u2").tobytes())
    assert item[0].LUTDescriptor[0] == 0
    deep = GREY.astype(np.uint16) * 257
    got = pixels(deep, VOILUTSequence=item)
    np.testing.assert_allclose(got, 1 - UNIT, atol=1e-6)


@pytest.mark.parametrize(
    ("item", "fact"),
    [
        (table(256, 0, 8, range(100)), "LUTData has 200 entries of 256"),
        (table(4, 0, 20, [1, 2, 3, 4]), "20 bits"),
        (table(4, 0, 12, [1, 2, 3, 5000]), "entry 5000, more than 12 bits"),
        ([Dataset()], "lacks LUTDescriptor"),
    ],
)
def test_tables_that_are_not_valid(pixels, item, fact):
    for name in ("VOILUTSequence", "ModalityLUTSequence"):
        with pytest.raises(ImageFileError, match=rf"grey\.dcm: .*{fact}"):
            pixels(**{name: item})


def test_presentation(tmp_path, pixels):
    shown = {
        ("MONOCHROME2", None): False,
        ("MONOCHROME2", "IDENTITY"): False,
        ("MONOCHROME2", "INVERSE"): True,
        ("MONOCHROME1", None): True,
        ("MONOCHROME1", "INVERSE"): True,
        ("MONOCHROME1", "IDENTITY"): False,
    }
    for (photometric, shape), inverted in shown.items():
        tags = {} if shape is None else {"PresentationLUTShape": shape}
        expected = 1 - UNIT if inverted else UNIT
        np.testing.assert_allclose(
            pixels(GREY, photometric, **tags), expected, atol=1e-6
        )
        path = write_dicom(tmp_path / "n.dcm", GREY, photometric, **tags)
        odd = shape is not None and inverted != (photometric == "MONOCHROME1")
        assert bool(read_image(path).notes) == odd
    window = {"WindowCenter": 64, "WindowWidth": 128}
    expected = 1 - np.clip(GREY / 127, 0, 1)
    got = pixels(GREY, "MONOCHROME1", **window)
    np.testing.assert_allclose(got, expected, atol=1e-5)


def test_a_presentation_table(pixels):
    item = table(256, 0, 16, np.arange(255, -1, -1) * 257)
    got = pixels(PresentationLUTSequence=item)
    np.testing.assert_allclose(got, 1 - UNIT, atol=1e-6)


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_padding_is_black(pixels, photometric):
    padded = np.maximum(GREY, 1)
    padded[:9] = 0
    got = pixels(padded, photometric, PixelPaddingValue=0)
    assert (got[:9] == 0).all()
    expected = padded / 255 if photometric == "MONOCHROME2" else 1 - padded / 255
    np.testing.assert_allclose(got[9:], expected[9:], atol=1e-6)
    padded[9:20] = 255
    got = pixels(padded, photometric, PixelPaddingValue=250, PixelPaddingRangeLimit=255)
    assert (got[9:20] == 0).all()


def test_floating_point_pixels(tmp_path):
    def write(**tags):
        path = write_dicom(tmp_path / "f.dcm", GREY, "MONOCHROME2", **tags)
        dataset = pydicom.dcmread(path)
        del dataset.PixelData
        dataset.FloatPixelData = UNIT.astype("<f4").tobytes()
        dataset.BitsAllocated = 32
        dataset.save_as(path)
        return path

    window = {"WindowCenter": 0.5, "WindowWidth": 1, "VOILUTFunction": "LINEAR_EXACT"}
    np.testing.assert_allclose(read_image(write(**window)).pixels, UNIT, atol=1e-6)
    with pytest.raises(ImageFileError, match=r"f\.dcm.*value_range"):
        read_image(write())
    picture = read_image(write(), value_range=(0, 1))
    np.testing.assert_allclose(picture.pixels, UNIT, atol=1e-6)


def test_a_value_range_takes_the_place_of_the_window(pixels):
    window = {"WindowCenter": 10, "WindowWidth": 3}
    options = {"value_range": (0, 4080)}
    got = pixels(DEEP, options=options, **window)
    np.testing.assert_allclose(got, UNIT, atol=1e-5)
    got = pixels(DEEP, "MONOCHROME1", options=options, **window)
    np.testing.assert_allclose(got, 1 - UNIT, atol=1e-5)
    got = pixels(DEEP, options={"value_range": (0, 255)}, RescaleSlope=1 / 16)
    np.testing.assert_allclose(got, UNIT, atol=1e-5)


def test_a_range_that_is_hardly_used_is_noted(tmp_path):
    path = write_dicom(tmp_path / "u.dcm", DEEP, "MONOCHROME2")
    (note,) = read_image(path).notes
    assert "of white, which 16 bits give" in note
    for tags in (TWELVE, {"WindowCenter": 2048, "WindowWidth": 4096}):
        path = write_dicom(tmp_path / "u.dcm", DEEP, "MONOCHROME2", **tags)
        assert read_image(path).notes == ()


def test_transforms_of_functional_groups(tmp_path):
    def groups(slope, centre, width):
        transform, window, item = Dataset(), Dataset(), Dataset()
        transform.RescaleSlope, transform.RescaleIntercept = slope, 0
        window.WindowCenter, window.WindowWidth = centre, width
        item.PixelValueTransformationSequence = [transform]
        item.FrameVOILUTSequence = [window]
        return item

    clip = np.stack([DEEP, DEEP])
    own = [groups(1 / 16, 128, 256), groups(1 / 16, 64, 128)]
    path = write_dicom(
        tmp_path / "e.dcm",
        clip,
        "MONOCHROME2",
        **TWELVE,
        SharedFunctionalGroupsSequence=[groups(1, 5, 9)],
        PerFrameFunctionalGroupsSequence=own,
    )
    first, second = read_frames(path)
    np.testing.assert_allclose(first.pixels, UNIT, atol=1e-5)
    np.testing.assert_allclose(second.pixels, np.clip(GREY / 127, 0, 1), atol=1e-5)
    path = write_dicom(
        tmp_path / "s.dcm",
        clip,
        "MONOCHROME2",
        **TWELVE,
        SharedFunctionalGroupsSequence=[groups(1 / 16, 128, 256)],
    )
    for picture in read_frames(path):
        np.testing.assert_allclose(picture.pixels, UNIT, atol=1e-5)


def test_rle_of_sixteen_bits(tmp_path):
    path = write_dicom(tmp_path / "r.dcm", DEEP, "MONOCHROME2", **TWELVE)
    dataset = pydicom.dcmread(path)
    dataset.compress(RLELossless)
    dataset.save_as(path)
    np.testing.assert_allclose(read_image(path).pixels, DEEP / 4095, atol=1e-6)
    shifted = DEEP << 4
    path = write_dicom(tmp_path / "h.dcm", shifted, "MONOCHROME2")
    dataset = pydicom.dcmread(path)
    dataset.compress(RLELossless)
    dataset.BitsStored = 12
    dataset.save_as(path)
    np.testing.assert_allclose(read_image(path).pixels, DEEP / 4095, atol=1e-6)
