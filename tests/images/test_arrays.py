"""Arrays, tensors and PIL images in memory: what is black, what is white."""

import io

import numpy as np
import pytest
from PIL import Image

import busnet
from busnet import errors
from busnet.images import Picture, Region, is_single, read

GREY = np.rint(np.broadcast_to(np.linspace(0, 255, 30), (20, 30))).astype(np.uint8)
UNIT = GREY / np.float32(255)


def only(image, **options):
    (picture,) = read(image, **options)
    return picture


def test_arrays_of_every_kind():
    kinds = [
        GREY,
        GREY.astype(np.uint16) * 257,
        GREY.astype(">u2") * 257,
        UNIT,
        UNIT.astype(np.float64),
        UNIT.astype(">f8"),
        UNIT.astype(np.longdouble),
        np.repeat(GREY[:, :, None], 3, 2),
        np.dstack([GREY] * 3 + [np.full_like(GREY, 255)]),
        GREY[::-1][::-1],
        np.asfortranarray(GREY),
        Image.fromarray(GREY),
        *(GREY.astype(kind) for kind in ("i2", "i4", "i8", "u4", "u8")),
        np.ma.masked_invalid(UNIT),
    ]
    for kind in kinds:
        np.testing.assert_allclose(only(kind).channels(1), UNIT, atol=1e-5)
        assert only(kind).notes == ()
    assert len(list(read(np.stack([GREY] * 5)))) == 5
    assert len(list(read(np.zeros((2, 20, 30, 3), np.uint8)))) == 2
    assert len(list(read(kinds))) == len(kinds)


def test_half_floats_and_bools():
    np.testing.assert_allclose(only(UNIT.astype(np.float16)).pixels, UNIT, atol=1e-3)
    np.testing.assert_array_equal(only(GREY > 99).pixels, GREY > 99)


def test_rounding_errors_around_the_range_are_clipped():
    above = np.array([[0.0, 1.0000001, -1e-7]])
    assert only(above).pixels.tolist() == [[0, 1, 0]]
    half = np.array([[0, 1.001]], np.float16)
    assert only(half).pixels.max() == 1


def test_a_range_that_is_refused_is_told_in_figures_that_differ():
    with pytest.raises(errors.ImageValueError, match=r"0\.\.1\.0001\b"):
        only(np.array([[0.0, 1.0001]]))


@pytest.mark.parametrize("kind", ["u1", "u2", "i2", "i4", "i8", "u8", "f2", "f4", "f8"])
def test_value_range_holds_for_every_type(kind):
    array = np.array([[10, 60, 110, 120]], kind)
    pixels = only(array, value_range=(10, 110)).pixels
    np.testing.assert_allclose(pixels, [[0, 0.5, 1, 1]], atol=1e-6)


def test_value_range():
    pixels = only(np.array([[-5.0, 0.0, 9.0]]), value_range=(-1, 1)).pixels
    np.testing.assert_allclose(pixels, [[0, 0.5, 1]])
    pixels = only(np.array([[-5.0, 51.0, 300.0]]), value_range=(0, 255)).pixels
    np.testing.assert_allclose(pixels, [[0, 0.2, 1]])
    far = np.array([[2**31, 2**31 + 1, 2**31 + 2]], np.int64)
    pixels = only(far, value_range=(2**31, 2**31 + 2)).pixels
    np.testing.assert_allclose(pixels, [[0, 0.5, 1]])
    tiny = np.array([[0, 1e-24, 2e-24, 1e300]])
    pixels = only(tiny, value_range=(0, 2e-24)).pixels
    np.testing.assert_allclose(pixels, [[0, 0.5, 1, 1]])
    near = np.array([[1000.0, 1000.0005, 1000.001]])
    pixels = only(near, value_range=(1000, 1000.001)).pixels
    np.testing.assert_allclose(pixels, [[0, 0.5, 1]], atol=1e-4)


@pytest.mark.parametrize(
    "value_range",
    [
        *((1, 0), (0, 0), (0, np.nan), (0, np.inf), (255,), 255, "ab", (0, "x")),
        *((0, 1, 2), "01", {0, 255}, {0: 1, 255: 2}, (0, 10**400)),
        *((0, 1e-320), (-1e308, 1e308)),  # which floating point cannot divide by
    ],
)
def test_bad_value_ranges_are_refused(value_range):
    with pytest.raises(errors.ImageValueError, match="value_range"):
        read(np.zeros((5, 5)), value_range=value_range)


def test_a_picture_is_scaled_once():
    picture = only(GREY)
    assert only(picture) is picture
    with pytest.raises(errors.ImageValueError, match="already scaled"):
        list(read(picture, value_range=(0, 9)))


@pytest.mark.parametrize(
    ("picture", "fact"),
    [
        (Picture(GREY), "float32 in 0..1, not uint8"),
        (Picture(UNIT.astype(float)), "not float64"),
        (Picture(UNIT.tolist()), "not list"),
        (Picture(UNIT * 255), r"in 0\.\.1, but these are in 0\.\.255"),
        (Picture(UNIT * np.float32(np.nan)), "nan"),
        (Picture(UNIT[0]), r"\(H, W\)"),
        (Picture(UNIT[:0]), r"\(0, "),
        (Picture(np.dstack([UNIT] * 4)), r", 4\)"),
        (Picture(UNIT, spacing=(0, 0)), r"spacing .* not \(0, 0\)"),
        (Picture(UNIT, regions=(Region((0, 0, 9, 999)),)), r"region \(0, 0, 9, 999\)"),
        (Picture(UNIT, regions=(Region((-9, 0, 5, 5)),)), r"region \(-9, 0, 5, 5\)"),
        (Picture(UNIT, regions=(Region((5, 5, 5, 9)),)), r"region \(5, 5, 5, 9\)"),
        (
            Picture(UNIT, regions=(Region((0, 0, 9, 9), (1, -1)),)),
            r"spacing .* not \(1, -1\)",
        ),
    ],
)
def test_pictures_that_were_made_are_checked(picture, fact):
    with pytest.raises(errors.ImageError, match=fact):
        only(picture)


def test_a_hardly_used_range_is_noted():
    twelve = GREY.astype(np.uint16) * 16
    (note,) = only(twelve).notes
    assert "4080" in note
    assert "65535" in note
    assert only(Image.fromarray(twelve)).notes == (note,)
    assert only(twelve, value_range=(0, 4095)).notes == ()
    assert only((GREY > 99).astype(np.uint8)).notes
    assert only(np.zeros((5, 5), np.uint16)).notes == ()


def test_opacity_is_scaled_by_its_own_range():
    image = np.full((2, 2, 4), 4095, np.uint16)
    image[..., 3] = [[65535, 0], [65535, 32768]]
    pixels = only(image, value_range=(0, 4095)).pixels
    np.testing.assert_allclose(pixels[..., 0], [[1, 0], [1, 0.5]], atol=1e-4)
    with pytest.raises(errors.ImageValueError, match="no pixel is opaque"):
        only(np.full((2, 2, 4), 4095, np.uint16), value_range=(0, 4095))
    with pytest.raises(errors.ImageValueError, match="transparent"):
        only(np.dstack([GREY, GREY, GREY, GREY * 0]))
    with pytest.raises(errors.ImageValueError, match=r"opacity is in 0\.\.1"):
        only(np.full((2, 2, 4), 255.0), value_range=(0, 255))


def test_masked_pixels_are_refused():
    broken = UNIT.copy()
    broken[:10] = np.nan
    with pytest.raises(errors.ImageValueError, match=r"300 pixels are masked.*filled"):
        only(np.ma.masked_invalid(broken))


def test_tensors():
    torch = pytest.importorskip("torch", reason="needs PyTorch")
    for tensor in (
        torch.from_numpy(GREY.copy()),
        torch.from_numpy(UNIT).requires_grad_(),
        torch.from_numpy(UNIT).to(torch.bfloat16),
        torch.from_numpy(GREY.astype(np.int64)),
    ):
        np.testing.assert_allclose(only(tensor).pixels, UNIT, atol=4e-3)
        assert is_single(tensor)
    assert len(list(read([torch.zeros(5, 6), torch.zeros(2, 5, 6)]))) == 3
    with pytest.raises(errors.ImageValueError, match="moveaxis"):
        list(read(torch.zeros(3, 5, 6)))


def test_open_files(tmp_path):
    buffer = io.BytesIO()
    Image.fromarray(GREY).save(buffer, "PNG")  # which leaves it at its end
    np.testing.assert_allclose(only(buffer).pixels, UNIT)
    assert is_single(buffer)
    path = tmp_path / "a.png"
    path.write_bytes(buffer.getvalue())
    with path.open("rb") as file:
        assert file.read(5) == buffer.getvalue()[:5]
        picture = only(file)
        assert file.tell() == 5
    assert picture.name == str(path)
    with (
        path.open(encoding="latin-1") as file,
        pytest.raises(errors.ImageFileError, match="mode 'rb'"),
    ):
        only(file)
    with pytest.raises(errors.ImageFileError, match="the open file: the file is empty"):
        only(io.BytesIO())
    with pytest.raises(errors.ImageFileError, match="the open file: not an image"):
        only(io.BytesIO(b"text"))


def test_a_pipe_is_read_to_its_end():
    class Pipe(io.RawIOBase):
        def __init__(self, data):
            self.data = data

        def readable(self):
            return True

        def readall(self):
            return self.data

        def read(self, size=-1):
            assert size == -1
            return self.data

    buffer = io.BytesIO()
    Image.fromarray(GREY).save(buffer, "PNG")
    np.testing.assert_allclose(only(Pipe(buffer.getvalue())).pixels, UNIT)


def test_pil_images_of_several_frames_say_which_is_read(tmp_path):
    pages = [Image.fromarray(np.full((5, 6), v, np.uint8)) for v in (10, 200)]
    path = tmp_path / "two.tif"
    pages[0].save(path, save_all=True, append_images=pages[1:])
    with Image.open(path) as image:
        assert only(image).notes[-1] == "the PIL image has 2 frames; frame 1 is read"
        image.seek(1)
        picture = only(image)
    assert picture.pixels[0, 0] == pytest.approx(200 / 255)
    assert picture.notes == ("the PIL image has 2 frames; frame 2 is read",)


def test_one_and_several_are_told_apart():
    assert is_single("a.png")
    assert is_single(np.array(["a.png", "b.png"])[0])  # a text with a shape
    assert is_single(np.zeros((5, 6)))
    assert is_single(np.zeros((5, 6, 3)))
    assert is_single(Image.new("L", (3, 3)))
    assert is_single(Picture(UNIT))
    assert not is_single(np.zeros((5, 6, 7)))
    assert not is_single(["a.png"])


@pytest.mark.parametrize(
    ("image", "error", "fact"),
    [
        (np.full((5, 5), 300, np.int64), errors.ImageValueError, "int64.*value_range"),
        (np.full((5, 5), -1, np.int16), errors.ImageValueError, "int16.*value_range"),
        (np.eye(5, dtype=np.int32), errors.ImageValueError, "int32.*value_range"),
        (np.full((5, 5), 99, np.int8), errors.ImageValueError, "int8.*value_range"),
        (np.zeros((5, 5), complex), errors.ImageTypeError, "complex128"),
        (np.array([["a"]]), errors.ImageTypeError, "U1"),
        (np.array([[None]]), errors.ImageTypeError, "object"),
        (np.zeros((5,), np.uint8), errors.ImageValueError, r"\(5,\)"),
        (np.zeros((), np.uint8), errors.ImageValueError, r"\(\)"),
        (
            np.zeros((5, 5, 1), np.uint8),
            errors.ImageValueError,
            r"\(5, 5, 1\).*squeeze",
        ),
        (np.zeros((2, 1, 5, 5)), errors.ImageValueError, r"squeeze\(images, 1\)"),
        (np.zeros((2, 3, 5, 5)), errors.ImageValueError, r"moveaxis\(images, 1, -1\)"),
        (
            np.zeros((3, 5, 5)),
            errors.ImageValueError,
            r"moveaxis\(image, 0, -1\).*list",
        ),
        (
            np.zeros((5, 5, 2), np.uint8),  # not five images of 5 x 2
            errors.ImageValueError,
            r"\(5, 5, 2\).*opacity",
        ),
        (
            np.zeros((1, 5, 5, 2), np.uint8),
            errors.ImageValueError,
            r"\(1, 5, 5, 2\).*opacity",
        ),
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
        (b"bytes", errors.ImageTypeError, r"bytes.*BytesIO"),
        (iter([GREY]), errors.ImageTypeError, r"iterator.*list\(\)"),
    ],
)
def test_bad_arrays_are_refused(image, error, fact):
    with pytest.raises(error, match=fact) as caught:
        list(read(image))
    assert isinstance(caught.value, busnet.BusnetError)


def test_inputs_are_not_changed():
    for array in (GREY.copy(), UNIT.copy(), GREY.astype(np.int64)):
        array.flags.writeable = False
        picture = only(array)
        assert not np.shares_memory(picture.pixels, array)
