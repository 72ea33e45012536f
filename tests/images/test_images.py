"""Reading and checking images, and the letterbox in both directions."""

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from busnet import errors
from busnet.images import Letterbox, is_single, read, read_image

SIZES = [(31, 47), (47, 31), (224, 224), (480, 640), (2000, 1500), (900, 33)]


def gradient(height, width):
    row = np.linspace(0, 255, width)
    return np.rint(np.broadcast_to(row, (height, width))).astype(np.uint8)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("square", [64, 224])
def test_a_rectangle_comes_back_to_its_place(size, square):
    height, width = size
    drawn = np.zeros(size, np.float32)
    top, bottom = height // 4, height - height // 3
    left, right = width // 3, width - width // 5
    drawn[top:bottom, left:right] = 1
    box = Letterbox(height, width, square)
    inside = box.apply(drawn)
    assert inside.shape == (square, square)
    back = box.restore(inside) >= 0.5
    assert back.shape == size
    rows, columns = np.flatnonzero(back.any(1)), np.flatnonzero(back.any(0))
    # At most one pixel of the square, in pixels of the image.
    slack = max(1, max(size) / square)
    for got, expected in (
        (rows[0], top),
        (rows[-1] + 1, bottom),
        (columns[0], left),
        (columns[-1] + 1, right),
    ):
        assert abs(got - expected) <= slack


@pytest.mark.parametrize("size", SIZES)
def test_letterbox_keeps_aspect_and_centre(size):
    box = Letterbox(*size, 224)
    assert max(box.rows, box.columns) == 224
    scale = 224 / max(size)
    assert (box.rows, box.columns) == pytest.approx(
        (size[0] * scale, size[1] * scale), abs=0.5
    )
    assert abs(2 * box.top + box.rows - 224) <= 1
    assert abs(2 * box.left + box.columns - 224) <= 1
    full = box.apply(np.ones(size, np.float32))
    assert full.sum() == pytest.approx(box.rows * box.columns)


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 300), st.integers(1, 300), st.integers(32, 256))
def test_constants_survive_both_ways(height, width, square):
    box = Letterbox(height, width, square)
    there = box.apply(np.full((height, width), 0.25, np.float32))
    np.testing.assert_allclose(box.restore(there), 0.25, rtol=1e-6)


def save(tmp_path, image, name="image.png", **options):
    path = tmp_path / name
    image.save(path, **options)
    return path


@pytest.mark.parametrize("suffix", ["png", "bmp", "tiff", "jpg"])
def test_formats_agree(tmp_path, suffix):
    path = save(tmp_path, Image.fromarray(gradient(40, 60)), f"image.{suffix}")
    slack = 0.03 if suffix == "jpg" else 1e-6
    np.testing.assert_allclose(
        read_image(path).pixels, gradient(40, 60) / np.float32(255), atol=slack
    )


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "LA", "P", "1", "I;16", "CMYK"])
def test_modes_show_the_same_picture(tmp_path, mode):
    grey = np.where(gradient(31, 47) > 127, 255, 0).astype(np.uint8)
    image = Image.fromarray(grey)
    if mode == "I;16":
        image = Image.fromarray(grey.astype(np.uint16) * 257)
    elif mode != "L":
        image = image.convert(mode)
    suffix = "tiff" if mode == "CMYK" else "png"
    picture = read_image(save(tmp_path, image, f"image.{suffix}"))
    assert picture.shape == (31, 47)
    np.testing.assert_allclose(picture.channels(1), grey / 255, atol=1e-5)


def test_transparency_lies_over_black(tmp_path):
    pixels = np.full((4, 4, 4), 255, np.uint8)
    pixels[:, :2, 3] = 0
    picture = read_image(save(tmp_path, Image.fromarray(pixels)))
    assert picture.pixels[:, :2].max() == 0
    assert picture.pixels[:, 2:].min() == 1


def test_arrays_of_every_kind():
    grey = gradient(20, 30)
    wanted = grey / np.float32(255)
    kinds = [
        grey,
        grey.astype(np.uint16) * 257,
        wanted,
        wanted.astype(np.float64),
        np.repeat(grey[:, :, None], 3, 2),
        np.dstack([grey] * 3 + [np.full_like(grey, 255)]),
        grey[::-1][::-1],
        np.asfortranarray(grey),
        Image.fromarray(grey),
    ]
    for kind in kinds:
        (picture,) = read(kind)
        np.testing.assert_allclose(picture.channels(1), wanted, atol=1e-5)
    assert len(list(read(np.stack([grey] * 5)))) == 5
    assert len(list(read(np.zeros((2, 20, 30, 3), np.uint8)))) == 2
    assert len(list(read(kinds))) == len(kinds)


def test_value_range():
    (picture,) = read(np.array([[100, 200, 300]], np.uint16), value_range=(100, 300))
    np.testing.assert_allclose(picture.pixels, [[0, 0.5, 1]])
    (picture,) = read(np.array([[-5.0, 0.0, 9.0]]), value_range=(-1, 1))
    np.testing.assert_allclose(picture.pixels, [[0, 0.5, 1]])


def test_one_and_several_are_told_apart():
    assert is_single("a.png")
    assert is_single(np.zeros((5, 6)))
    assert is_single(np.zeros((5, 6, 3)))
    assert is_single(Image.new("L", (3, 3)))
    assert not is_single(np.zeros((5, 6, 7)))
    assert not is_single(["a.png"])


@pytest.mark.parametrize(
    ("image", "error", "fact"),
    [
        (np.zeros((5, 5), np.int64), errors.ImageTypeError, "int64"),
        (np.zeros((5, 5), bool), errors.ImageTypeError, "bool"),
        (np.zeros((5, 5), complex), errors.ImageTypeError, "complex128"),
        (np.array([["a"]]), errors.ImageTypeError, "U1"),
        (np.zeros((5,), np.uint8), errors.ImageValueError, r"\(5,\)"),
        (np.zeros((5, 5, 1), np.uint8), errors.ImageValueError, r"\(5, 5, 1\)"),
        (np.zeros((1, 5, 5, 2), np.uint8), errors.ImageValueError, r"\(1, 5, 5, 2\)"),
        (np.zeros((0, 5), np.uint8), errors.ImageValueError, r"\(0, 5\)"),
        (np.zeros((0, 5, 5), np.uint8), errors.ImageValueError, r"\(0, 5, 5\)"),
        (np.full((2, 2), np.nan), errors.ImageValueError, "4 pixels are NaN"),
        (np.full((2, 2), np.inf), errors.ImageValueError, "infinite"),
        (np.full((2, 2), 255.0), errors.ImageValueError, r"255.*value_range"),
        (np.full((2, 2), -0.1), errors.ImageValueError, "value_range"),
        ([], errors.ImageValueError, "empty"),
        ([[np.zeros((5, 5))]], errors.ImageTypeError, "image 0"),
        ([np.zeros((5, 5)), None], errors.ImageTypeError, "image 1.*NoneType"),
        (None, errors.ImageTypeError, "NoneType"),
        (7, errors.ImageTypeError, "int"),
        (b"bytes", errors.ImageTypeError, "bytes"),
    ],
)
def test_bad_arrays_are_refused(image, error, fact):
    with pytest.raises(error, match=fact) as caught:
        list(read(image))
    assert isinstance(caught.value, errors.BusnetError)


@pytest.mark.parametrize("value_range", [(1, 0), (0, 0), (0, np.nan), (0, np.inf)])
def test_bad_value_ranges_are_refused(value_range):
    with pytest.raises(errors.ImageValueError, match="value_range"):
        read(np.zeros((5, 5)), value_range=value_range)


def test_bad_files_are_refused(tmp_path):
    with pytest.raises(errors.MissingImageError, match=r"none\.png"):
        read_image(tmp_path / "none.png")
    with pytest.raises(errors.ImageFileError, match=tmp_path.name):
        read_image(tmp_path)
    text = tmp_path / "text.png"
    text.write_text("not an image")
    with pytest.raises(errors.ImageFileError, match=r"text\.png"):
        read_image(text)
    empty = tmp_path / "empty.png"
    empty.touch()
    with pytest.raises(errors.ImageFileError, match=r"empty\.png"):
        read_image(empty)
    whole = save(tmp_path, Image.fromarray(gradient(100, 100)))
    for size in (9, 40, 60, whole.stat().st_size // 2, whole.stat().st_size - 30):
        cut = tmp_path / "cut.png"
        cut.write_bytes(whole.read_bytes()[:size])
        with pytest.raises(errors.ImageFileError, match=r"cut\.png"):
            read_image(cut)
    assert issubclass(errors.MissingImageError, FileNotFoundError)


def test_decompression_bombs_are_refused(tmp_path, monkeypatch):
    path = save(tmp_path, Image.new("L", (100, 100)))
    for limit in (9_000, 4_000):  # Pillow warns up to twice its limit, then raises
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with pytest.raises(errors.ImageFileError, match=r"image\.png.*limit"):
                read_image(path)
        with pytest.raises(errors.ImageFileError, match=r"image\.png"):
            read_image(path)


def test_float_files_are_checked(tmp_path):
    path = save(tmp_path, Image.fromarray(np.full((3, 3), 7, np.float32)), "x.tiff")
    with pytest.raises(errors.ImageFileError, match="mode F"):
        read_image(path)
