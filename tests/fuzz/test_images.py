"""Image files with any bytes or tags changed: read, or refused by name, nothing else.

``make fuzz`` runs it with many more examples than the test suite does.
"""

import io
import warnings

import encode
import numpy as np
import pytest
from damage import EDITS, END, SETTINGS, attempt, changed
from helpers import write_dicom
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image

import busnet
from busnet.data.phantom import phantom
from busnet.images import read, read_frames, read_mask

GREY = phantom(20, 24)[0]
COLOUR = np.stack([GREY, GREY[::-1], GREY // 2], 2)
DEEP = GREY.astype(np.uint16) * 200


def stills():
    """Encode the same picture in every form that is common."""
    grey = Image.fromarray(GREY)
    forms = {
        "grey.png": grey,
        "rgba.png": grey.convert("RGBA"),
        "palette.png": grey.convert("P"),
        "bit.png": grey.convert("1"),
        "deep.png": Image.fromarray(DEEP),
        "colour.jpg": grey.convert("RGB"),
        "cmyk.jpg": grey.convert("CMYK"),
        "grey.bmp": grey,
        "float.tiff": Image.fromarray(GREY.astype(np.float32) / 255),
        "grey.gif": grey,
        "lossy.webp": grey.convert("RGB"),
        "stream.jp2": grey,
    }
    kinds = {"jpg": "JPEG", "jp2": "JPEG2000"}
    for name, image in forms.items():
        buffer = io.BytesIO()
        ending = name.split(".")[1]
        image.save(buffer, kinds.get(ending, ending))
        yield name, buffer.getvalue()
    others = [Image.fromarray(GREY[::-1]), Image.fromarray(GREY // 2)]
    for name in ("clip.gif", "clip.png", "clip.webp", "clip.tiff", "clip.mpo"):
        buffer = io.BytesIO()
        kind = name.split(".")[1]
        grey.save(buffer, kind, save_all=True, append_images=others)
        yield name, buffer.getvalue()
    lzw = io.BytesIO()
    Image.fromarray(COLOUR).save(lzw, "TIFF", compression="tiff_lzw")
    yield "lzw.tiff", lzw.getvalue()
    yield "colours.png", encode.png(COLOUR.astype(np.uint16) * 200)
    yield "alpha.png", encode.png(np.dstack([DEEP, DEEP]))
    yield "pages.tiff", encode.tiff(GREY, DEEP, COLOUR.astype(np.uint16), photometric=0)
    yield "signed.tiff", encode.tiff(GREY.astype(np.int32), order=">")
    yield "packed.tiff", encode.tiff(DEEP // 20, bits=12)


STILLS = dict(stills())


def check_picture(picture):
    assert picture.pixels.dtype == np.float32
    assert picture.pixels.ndim == 2 or picture.pixels.shape[2] == 3
    assert np.isfinite(picture.pixels).all()
    assert 0 <= picture.pixels.min() <= picture.pixels.max() <= 1


def check_frames(path, **options):
    pictures, error = attempt(lambda: list(read_frames(path, **options)))
    for picture in pictures or ():
        check_picture(picture)
    assert error is None or str(path) in str(error)


@pytest.mark.parametrize("name", STILLS)
@SETTINGS
@given(edits=EDITS, end=END)
@example(edits=[(0.0, b"II+")], end=1.0)  # a BigTIFF's numbers can be any
def test_stills(tmp_path, name, edits, end):
    path = tmp_path / name
    path.write_bytes(changed(STILLS[name], edits, end))
    check_frames(path)
    check_frames(path, value_range=(10, 200))
    mask, error = attempt(lambda: read_mask(path))
    assert error is None or str(path) in str(error)
    assert error is not None or (mask.dtype == bool and mask.ndim == 2)


def table(count, bits):
    from pydicom.dataset import Dataset

    item = Dataset()
    item.add_new("LUTDescriptor", "US", [count, 0, bits])
    item.add_new("LUTData", "OW", np.arange(count, dtype="<u2").tobytes())
    return [item]


def palette(segmented):
    tags = {}
    for name in ("Red", "Green", "Blue"):
        stem = f"{name}PaletteColorLookupTable"
        tags[f"{stem}Descriptor"] = [256, 0, 16]
        data = [0, 1, 0, 1, 255, 65535] if segmented else np.arange(256) * 257
        data = np.asarray(data, "<u2").tobytes()
        tags[("Segmented" if segmented else "") + stem + "Data"] = data
    return tags


def clips(folder):
    """Write DICOM files of every kind, and return their bytes by name."""
    import pydicom
    from pydicom.dataset import Dataset
    from pydicom.encaps import encapsulate
    from pydicom.uid import (
        JPEG2000Lossless,
        JPEGBaseline8Bit,
        JPEGLosslessSV1,
        JPEGLSLossless,
        RLELossless,
    )

    imagecodecs = pytest.importorskip("imagecodecs", reason="needs busnet[dicom]")
    window = {"WindowCenter": [128, 99], "WindowWidth": [256, 9]}
    measures, group = Dataset(), Dataset()
    measures.PixelSpacing = [0.1, 0.2]
    group.PixelMeasuresSequence = [measures]
    forms = {
        "grey": (GREY, "MONOCHROME2", window),
        "colour": (COLOUR, "RGB", {}),
        "ybr": (COLOUR, "YBR_FULL", {}),
        "loop": (np.stack([GREY] * 3), "MONOCHROME1", {"RescaleSlope": 1}),
        "voi": (GREY, "MONOCHROME2", {"VOILUTSequence": table(256, 8)}),
        "modality": (DEEP, "MONOCHROME2", {"ModalityLUTSequence": table(999, 16)}),
        "palette": (GREY, "PALETTE COLOR", palette(False)),
        "segmented": (GREY, "PALETTE COLOR", palette(True)),
        "enhanced": (
            np.stack([GREY] * 2),
            "MONOCHROME2",
            {"SharedFunctionalGroupsSequence": [group], "PixelPaddingValue": 3},
        ),
    }
    for name, (pixels, photometric, tags) in forms.items():
        path = write_dicom(folder / f"{name}.dcm", pixels, photometric, **tags)
        yield name, path.read_bytes()
    jpeg, lossless = (
        io.BytesIO(),
        imagecodecs.jpeg8_encode(
            DEEP // 16, lossless=True, predictor=1, bitspersample=12
        ),
    )
    Image.fromarray(COLOUR).save(jpeg, "JPEG")
    streams = {
        "jpeg": (COLOUR, "YBR_FULL_422", JPEGBaseline8Bit, jpeg.getvalue(), {}),
        "lossless": (
            DEEP,
            "MONOCHROME2",
            JPEGLosslessSV1,
            lossless,
            {"BitsStored": 12, "HighBit": 11},
        ),
    }
    for name, (pixels, photometric, syntax, stream, tags) in streams.items():
        path = write_dicom(
            folder / f"{name}.dcm",
            pixels,
            photometric,
            syntax=syntax,
            data=encapsulate([stream] * 2),
            NumberOfFrames=2,
            **tags,
        )
        yield name, path.read_bytes()
    for syntax in (RLELossless, JPEGLSLossless, JPEG2000Lossless):
        large = np.kron(np.stack([GREY] * 2), np.ones((1, 2, 2), np.uint8))
        path = write_dicom(folder / "c.dcm", large, "MONOCHROME2")
        dataset = pydicom.dcmread(path)
        dataset.compress(syntax)
        dataset.save_as(path)
        yield syntax.keyword, path.read_bytes()


class Files(dict):
    """Files by name; hypothesis prints arguments, which this keeps short."""

    def __repr__(self):
        return f"Files({len(self)})"


@pytest.fixture(scope="module")
def dicom_files(tmp_path_factory):
    pytest.importorskip("pydicom", reason="needs busnet[dicom]")
    return Files(clips(tmp_path_factory.mktemp("clips")))


@pytest.mark.parametrize(
    "name",
    [
        *("grey", "colour", "ybr", "loop", "voi", "modality", "palette", "segmented"),
        *("enhanced", "jpeg", "lossless"),
        *("RLELossless", "JPEGLSLossless", "JPEG2000Lossless"),
    ],
)
@SETTINGS
@given(edits=EDITS, end=END)
def test_dicom(tmp_path, dicom_files, name, edits, end):
    path = tmp_path / "x.dcm"
    data = dicom_files[name]
    # Of raw pixels any bytes are as good as others: only the header is changed.
    pixels = {"colour": 3, "ybr": 3, "loop": 3, "enhanced": 2, "modality": 2}
    head = len(data) - GREY.size * pixels.get(name, 1)
    if name in ("jpeg", "lossless") or "Lossless" in name:
        head = len(data)
    path.write_bytes(changed(changed(data[:head], edits) + data[head:], (), end))
    check_frames(path)


NUMBERS = st.one_of(
    st.none(),
    st.integers(-2, 20),
    st.sampled_from([0, 1, 7, 8, 11, 12, 15, 16, 24, 32, 64, 255, 4095, 65535]),
)
REALS = st.one_of(
    st.none(),
    st.floats(-1e6, 1e6).map(lambda x: f"{x:.6g}"),
    st.sampled_from(["0", "1", "-1", "1e300", "1e-300"]),
)
TAGS = {
    **dict.fromkeys(("Rows", "Columns", "BitsAllocated", "BitsStored"), NUMBERS),
    **dict.fromkeys(("HighBit", "PixelRepresentation", "SamplesPerPixel"), NUMBERS),
    **dict.fromkeys(("PlanarConfiguration", "NumberOfFrames"), NUMBERS),
    **dict.fromkeys(("PixelPaddingValue", "PixelPaddingRangeLimit"), NUMBERS),
    **dict.fromkeys(("RescaleSlope", "RescaleIntercept"), REALS),
    **dict.fromkeys(("WindowCenter", "WindowWidth"), REALS),
    "PixelSpacing": st.lists(REALS.filter(bool), max_size=3),
    "PhotometricInterpretation": st.sampled_from(
        [
            *("MONOCHROME1", "MONOCHROME2", "RGB", "PALETTE COLOR", "YBR_FULL"),
            *("YBR_FULL_422", "YBR_PARTIAL_422", "YBR_RCT", "CMYK", ""),
        ]
    ),
    "VOILUTFunction": st.sampled_from(["LINEAR", "LINEAR_EXACT", "SIGMOID", "X", ""]),
    "PresentationLUTShape": st.sampled_from(["IDENTITY", "INVERSE", "X"]),
    "Modality": st.sampled_from(["US", "CT", ""]),
}
CHANGES = st.dictionaries(st.sampled_from(sorted(TAGS)), st.none(), max_size=4).flatmap(
    lambda names: st.fixed_dictionaries({name: TAGS[name] for name in names})
)


@pytest.mark.parametrize("name", ["grey", "colour", "modality", "palette", "lossless"])
@SETTINGS
@given(changes=CHANGES)
def test_tags(tmp_path, dicom_files, name, changes):
    import pydicom

    path = tmp_path / "x.dcm"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataset = pydicom.dcmread(io.BytesIO(dicom_files[name]))
        try:
            for keyword, value in changes.items():
                setattr(dataset, keyword, value)
            dataset.save_as(path)
        except Exception:  # what pydicom does not write is no file
            return
    check_frames(path)


@SETTINGS
@given(
    array=st.one_of(
        *(
            arrays.arrays(kind, arrays.array_shapes(min_dims=0, max_dims=5, max_side=5))
            for kind in ("u1", "<u2", ">u2", "i2", "i8", "u8", "f2", "f4", ">f8", "?")
        )
    ),
    value_range=st.one_of(
        st.none(),
        st.tuples(st.floats(-1e9, 1e9), st.floats(-1e9, 1e9)),
        st.tuples(st.floats(), st.floats()),
    ),
)
@example(array=np.array([[-5.0]]), value_range=(0, 255))
def test_arrays(array, value_range):
    before = array.copy()
    pictures, error = attempt(lambda: list(read(array, value_range=value_range)))
    for picture in pictures or ():
        check_picture(picture)
    assert error is None or isinstance(error, busnet.errors.ImageError)
    np.testing.assert_array_equal(array, before)
