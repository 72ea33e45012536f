"""Files with any bytes changed are read, or refused with their name.

``make fuzz`` runs it with many more examples than the test suite does.
"""

import io
import os
import warnings

import numpy as np
import pytest
from helpers import write_dicom
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from random_weights import save_random

import busnet
from busnet.data.phantom import phantom
from busnet.images import read_frames
from busnet.networks import get_network

EXAMPLES = int(os.environ.get("BUSNET_FUZZ_EXAMPLES", "40"))
SETTINGS = settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

GREY = phantom(20, 24)[0]


def stills():
    """Encode the same picture in every common format."""
    grey = Image.fromarray(GREY)
    forms = {
        "grey.png": grey,
        "rgba.png": grey.convert("RGBA"),
        "palette.png": grey.convert("P"),
        "bit.png": grey.convert("1"),
        "deep.png": Image.fromarray(GREY.astype(np.uint16) * 200),
        "colour.jpg": grey.convert("RGB"),
        "grey.bmp": grey,
        "float.tiff": Image.fromarray(GREY.astype(np.float32) / 255),
        "grey.gif": grey,
    }
    for name, image in forms.items():
        buffer = io.BytesIO()
        image.save(buffer, {"jpg": "JPEG"}.get(name.split(".")[1], name.split(".")[1]))
        yield name, buffer.getvalue()


STILLS = dict(stills())

#: Replacements of bytes, and the position where the file is cut off.
EDITS = st.lists(
    st.tuples(st.floats(0, 1), st.binary(min_size=1, max_size=8)), max_size=6
)
END = st.one_of(st.just(1.0), st.floats(0, 1))


def changed(data, edits, end):
    content = bytearray(data)
    for place, new in edits:
        at = int(place * len(content))
        content[at : at + len(new)] = new
    return bytes(content[: int(end * len(content))])


def attempt(read):
    """Return what ``read`` returns and None, or None and what busnet raises."""
    try:
        return read(), None
    except busnet.BusnetError as error:
        return None, error


def check_frames(path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pictures, error = attempt(lambda: list(read_frames(path)))
    for picture in pictures or ():
        assert picture.pixels.dtype == np.float32
        assert np.isfinite(picture.pixels).all()
        assert 0 <= picture.pixels.min() <= picture.pixels.max() <= 1
    assert error is None or str(path) in str(error)


@pytest.mark.parametrize("name", STILLS)
@SETTINGS
@given(edits=EDITS, end=END)
def test_stills(tmp_path, name, edits, end):
    path = tmp_path / name
    path.write_bytes(changed(STILLS[name], edits, end))
    check_frames(path)


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clips")
    forms = {
        "grey": (GREY, "MONOCHROME2"),
        "colour": (np.stack([GREY] * 3, 2), "RGB"),
        "loop": (np.stack([GREY] * 3), "MONOCHROME1"),
    }
    return {
        name: write_dicom(folder / f"{name}.dcm", *form).read_bytes()
        for name, form in forms.items()
    }


@pytest.mark.parametrize("name", ["grey", "colour", "loop"])
@SETTINGS
@given(edits=EDITS, end=END)
def test_dicom(tmp_path, clips, name, edits, end):
    path = tmp_path / "x.dcm"
    data = clips[name]
    # Change the header: most of the file is pixels.
    head = len(data) - GREY.size
    path.write_bytes(changed(data[:head], edits, 1.0) + data[head:][: int(end * 480)])
    check_frames(path)


@pytest.fixture(scope="module")
def weights_bytes(tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "w.safetensors"
    row = get_network("resnet18", channels=1, heads=("class",))
    return save_random(path, row, image_size=32, eight_bit=True).read_bytes()


@SETTINGS
@given(edits=EDITS, end=END, head=st.booleans())
def test_weights(tmp_path, weights_bytes, edits, end, head):
    path = tmp_path / "w.safetensors"
    length = 8 + int.from_bytes(weights_bytes[:8], "little") if head else None
    content = changed(weights_bytes[:length], edits, 1.0)
    content += weights_bytes[length:] if head else b""
    path.write_bytes(content[: int(end * len(content))])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model, error = attempt(lambda: busnet.load(path))
    assert error is None or str(path) in str(error)
    if model is not None:
        assert model.classify(GREY).label in model.info.classes
