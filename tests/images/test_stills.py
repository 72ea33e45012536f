"""Still image files: every form shows the same picture, or is refused by name."""

import io
import struct
import warnings
import zlib

import encode
import numpy as np
import pytest
from PIL import Image

from busnet import errors
from busnet.data.phantom import phantom
from busnet.images import read, read_frames, read_image

GREY = np.rint(np.broadcast_to(np.linspace(0, 255, 47), (31, 47))).astype(np.uint8)
UNIT = GREY / np.float32(255)
COLOUR = np.stack([GREY, GREY[:, ::-1], np.full_like(GREY, 90)], 2)


def gradient(height, width):
    row = np.linspace(0, 255, width)
    return np.rint(np.broadcast_to(row, (height, width))).astype(np.uint8)


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


def put(tmp_path, data, name="image.tif"):
    path = tmp_path / name
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("kind", ["u1", "u2", "f4"])
@pytest.mark.parametrize("photometric", [0, 1])
def test_the_photometric_tag_of_tiff_is_honoured(tmp_path, order, kind, photometric):
    stored = GREY if photometric == 1 else 255 - GREY
    array = stored.astype(kind) * {"u1": 1, "u2": 257, "f4": np.float32(1 / 255)}[kind]
    path = put(tmp_path, encode.tiff(array, photometric=photometric, order=order))
    if (order, kind, photometric) == (">", "u2", 0):  # which Pillow does not know
        with pytest.raises(errors.ImageFileError, match=r"image\.tif: a TIFF"):
            read_image(path)
        return
    np.testing.assert_allclose(read_image(path).pixels, UNIT, atol=1e-5)
    with Image.open(path) as image:
        (picture,) = read(image)
    np.testing.assert_allclose(picture.pixels, UNIT, atol=1e-5)


def test_one_bit_tiff_of_either_polarity(tmp_path):
    for photometric in (0, 1):
        path = tmp_path / "bit.tif"
        Image.fromarray(GREY > 99).save(path, tiffinfo={262: photometric})
        with Image.open(path) as image:
            shown = np.asarray(image)
        np.testing.assert_array_equal(read_image(path).pixels > 0.5, shown)


def test_twelve_bit_tiff(tmp_path):
    twelve = np.arange(16 * 256).reshape(16, 256).astype(np.uint16)
    path = put(tmp_path, encode.tiff(twelve, bits=12))
    np.testing.assert_allclose(read_image(path).pixels, twelve / 4095, atol=1e-6)
    assert read_image(path).notes == ()


def test_a_range_of_twelve_bits_in_sixteen(tmp_path):
    twelve = GREY.astype(np.uint16) * 16
    for name in ("u12.png", "u12.tif"):
        path = save(tmp_path, Image.fromarray(twelve), name)
        assert "4080" in read_image(path).notes[0]
        for pictures in (
            read_frames(path, value_range=(0, 4080)),
            read(path, value_range=(0, 4080)),
            read(str(path), value_range=(0, 4080)),
        ):
            (picture,) = pictures
            np.testing.assert_allclose(picture.pixels, UNIT, atol=1e-6)
            assert picture.notes == ()


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.gif", "a.bmp"])
def test_value_range_holds_for_files_of_eight_bits(tmp_path, name):
    flat = Image.fromarray(np.full((8, 8), 60, np.uint8))
    picture = read_image(save(tmp_path, flat, name), value_range=(10, 110))
    np.testing.assert_allclose(picture.pixels, 0.5, atol=0.02)


def test_value_range_is_checked_before_the_file():
    with pytest.raises(errors.ImageValueError, match="value_range"):
        read_image("none.png", value_range=(255,))


def test_float_tiff(tmp_path):
    array = GREY.astype(np.float32)
    path = put(tmp_path, encode.tiff(array))
    with pytest.raises(
        errors.ImageFileError, match=r"image\.tif.*0\.\.255.*value_range"
    ):
        read_image(path)
    picture = read_image(path, value_range=(0, 255))
    np.testing.assert_allclose(picture.pixels, UNIT, atol=1e-6)
    path = put(tmp_path, encode.tiff(array / 255))
    np.testing.assert_allclose(read_image(path).pixels, UNIT, atol=1e-6)


@pytest.mark.parametrize("kind", ["f2", "f8"])
def test_float_tiff_of_other_widths_is_refused(tmp_path, kind):
    path = put(tmp_path, encode.tiff(UNIT.astype(kind)))
    with pytest.raises(errors.ImageFileError, match=r"image\.tif: a TIFF"):
        read_image(path)


def test_integers_of_32_bits(tmp_path):
    for kind in ("i4", "u4", "i2"):
        path = put(tmp_path, encode.tiff(GREY.astype(kind)))
        np.testing.assert_allclose(read_image(path).pixels, UNIT)
        path = put(tmp_path, encode.tiff(GREY.astype(kind) * 16))
        with pytest.raises(
            errors.ImageFileError, match=r"image\.tif.*4080.*value_range"
        ):
            read_image(path)
        picture = read_image(path, value_range=(0, 4080))
        np.testing.assert_allclose(picture.pixels, UNIT, atol=1e-6)


@pytest.mark.parametrize("channels", [3, 4])
def test_colours_of_16_bits(tmp_path, channels):
    deep = np.dstack([COLOUR, np.full_like(GREY, 255)])[..., :channels].astype("u2")
    deep[..., :3] = deep[..., :3] * 16 + 3
    deep[..., 3:] = 65535
    files = [put(tmp_path, encode.png(deep), "deep.png")]
    if channels == 3:
        files.append(put(tmp_path, encode.tiff(deep), "deep.tif"))
        files.append(put(tmp_path, encode.tiff(deep, order=">"), "big.tif"))
        with Image.open(files[1]) as image:  # 8 bits by now, in another container
            assert image.mode == "RGB"
    for path in files:
        picture = read_image(path, value_range=(0, 4095))
        np.testing.assert_allclose(
            picture.pixels, (COLOUR * 16.0 + 3) / 4095, atol=1e-6
        )
        assert "4083" in read_image(path).notes[0]
        np.testing.assert_allclose(
            read_image(io.BytesIO(path.read_bytes())).pixels,
            (COLOUR * 16.0 + 3) / 65535,
            atol=1e-6,
        )
        with (
            Image.open(path) as image,
            pytest.raises(errors.ImageFileError, match="Pillow keeps 8"),
        ):
            list(read(image, value_range=(0, 4095)))


def test_grey_with_opacity_of_16_bits(tmp_path):
    deep = np.dstack([GREY, np.full_like(GREY, 255)]).astype("u2") * 257
    path = put(tmp_path, encode.png(deep), "la.png")
    np.testing.assert_allclose(read_image(path).channels(1), UNIT, atol=1e-5)
    with pytest.raises(errors.ImageFileError, match="16 bits"):
        read_image(path, value_range=(0, 65535))


def test_transparent_colours_of_every_container(tmp_path):
    half = np.where(np.arange(47) < 20, 0, 255).astype(np.uint8)
    alpha = np.broadcast_to(half, GREY.shape)
    image = Image.fromarray(np.dstack([np.full_like(GREY, 200)] * 3 + [alpha]))
    for name in ("a.png", "a.webp", "a.tif", "a.gif"):
        options = {"lossless": True} if name == "a.webp" else {}
        picture = read_image(save(tmp_path, image, name, **options))
        assert picture.pixels[:, :20].max() == 0
        np.testing.assert_allclose(picture.pixels[:, 20:], 200 / 255, atol=0.01)
    grey = Image.fromarray(np.where(alpha > 0, 200, 7).astype(np.uint8))
    picture = read_image(save(tmp_path, grey, "key.png", transparency=7))
    assert picture.pixels[:, :20].max() == 0


def test_inverted_cmyk_jpeg(tmp_path):
    flat = Image.fromarray(np.full((16, 16, 3), (200, 120, 40), np.uint8))
    path = save(tmp_path, flat.convert("CMYK"), "cmyk.jpg", quality=95)
    assert b"Adobe" in path.read_bytes()[:200]
    np.testing.assert_allclose(
        read_image(path).pixels[8, 8], np.array((200, 120, 40)) / 255, atol=0.03
    )


def test_an_exif_orientation_is_noted(tmp_path):
    exif = Image.Exif()
    exif[274] = 6
    path = save(tmp_path, Image.fromarray(GREY), "turned.jpg", exif=exif)
    picture = read_image(path)
    assert picture.shape == GREY.shape
    assert "EXIF" in picture.notes[0]
    exif[274] = 1
    path = save(tmp_path, Image.fromarray(GREY), "plain.jpg", exif=exif)
    assert read_image(path).notes == ()


def stack(count):
    """Draw frames that differ, each of one bright column."""
    frames = np.zeros((count, 12, 16), np.uint8)
    for i in range(count):
        frames[i, :, i * 3 : i * 3 + 2] = 255
    return frames


@pytest.mark.parametrize("name", ["a.tif", "a.gif", "a.png", "a.webp"])
def test_pages_are_frames(tmp_path, name):
    frames = stack(4)
    first, *others = map(Image.fromarray, frames)
    options = {"lossless": True} if name == "a.webp" else {}
    path = save(tmp_path, first, name, save_all=True, append_images=others, **options)
    pictures = list(read_frames(path))
    assert [picture.frame for picture in pictures] == [1, 2, 3, 4]
    for picture, frame in zip(pictures, frames, strict=True):
        np.testing.assert_allclose(picture.channels(1), frame / 255, atol=1e-5)
    with pytest.raises(errors.ImageFileError, match="several frames"):
        read_image(path)
    with pytest.raises(errors.ImageFileError, match="several frames"):
        list(read(path))


def test_pages_of_tiff_have_their_own_bits(tmp_path):
    deep = GREY.astype(np.uint16) * 257
    path = put(tmp_path, encode.tiff(GREY, deep, COLOUR, COLOUR.astype("u2") * 257))
    for picture, expected in zip(
        read_frames(path), (UNIT, UNIT, COLOUR / 255, COLOUR / 255), strict=True
    ):
        np.testing.assert_allclose(picture.pixels, expected, atol=1e-5)


def test_thumbnails_are_no_pages(tmp_path):
    path = put(tmp_path, encode.tiff(GREY, GREY[::2, ::2], subfile=(0, 1)))
    picture = read_image(path)
    assert picture.frame is None
    assert picture.shape == GREY.shape
    path = put(tmp_path, encode.tiff(GREY[::2, ::2], GREY, GREY, subfile=(1, 0, 0)))
    assert [picture.frame for picture in read_frames(path)] == [1, 2]
    assert {picture.shape for picture in read_frames(path)} == {GREY.shape}


def test_further_images_that_are_no_frames_are_noted(tmp_path):
    image = Image.fromarray(GREY)
    path = save(tmp_path, image, "a.mpo", save_all=True, append_images=[image])
    picture = read_image(path)
    assert picture.frame is None
    assert "holds 2 images" in picture.notes[0]


def test_floats_that_are_hardly_bright_are_noted(tmp_path):
    dark = (UNIT / 255).astype(np.float32)
    path = put(tmp_path, encode.tiff(dark), "f.tif")
    fact = "the largest value is 0.00392157, less than a tenth of white, which is 1"
    for image in (dark, dark.astype(np.float64), path, Image.fromarray(dark)):
        (picture,) = read(image)
        (note,) = picture.notes
        assert note == f"{fact}: if white is another value, give its value range"
        np.testing.assert_allclose(picture.pixels, dark, atol=1e-7)
    assert read_image(path, value_range=(0, 1 / 255)).notes == ()
    for value in (0.0, 0.1, 1.0):
        (picture,) = read(np.full((20, 30), value))
        assert picture.notes == ()


def test_files_of_macos_are_told_from_images(tmp_path):
    path = put(
        tmp_path, struct.pack(">II", 0x00051607, 0x00020000) + b"x" * 99, "._x.png"
    )
    with pytest.raises(errors.NotAnUltrasoundImageError, match=r"\._x\.png.*macOS"):
        read_image(path)


def test_what_is_no_file_is_named(tmp_path):
    import os

    empty = put(tmp_path, b"", "empty.png")
    with pytest.raises(errors.ImageFileError, match=r"empty\.png: the file is empty"):
        read_image(empty)
    with pytest.raises(errors.ImageFileError, match="it is a folder"):
        read_image(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(errors.ImageFileError, match="a device or a pipe"):
        read_image(tmp_path / "pipe")
    with pytest.raises(errors.ImageFileError, match="null"):
        read_image("a\0b.png")
    with pytest.raises(errors.MissingImageError, match="a path is empty"):
        read_image("")
    for other, kind in ((None, "NoneType"), (GREY, "ndarray"), (7, "int")):
        with pytest.raises(errors.ImageTypeError, match=f"open .* not {kind}"):
            read_image(other)


@pytest.mark.parametrize("white", [100, 255, 4095, 65535])
def test_pgm_of_any_largest_value(tmp_path, white):
    values = np.rint(UNIT.astype(float) * white)
    kind = "u1" if white < 256 else ">u2"
    head = f"P5 {GREY.shape[1]} {GREY.shape[0]} {white}\n".encode()
    path = put(tmp_path, head + values.astype(kind).tobytes(), "a.pgm")
    np.testing.assert_allclose(
        read_image(path).pixels, values / white, atol=0.5 / min(white, 255)
    )
    if white in (255, 65535):
        pixels = read_image(path, value_range=(0, white / 2)).pixels
        np.testing.assert_allclose(pixels, np.clip(2 * values / white, 0, 1), atol=1e-5)
    else:
        with pytest.raises(errors.ImageFileError, match="Pillow scales"):
            read_image(path, value_range=(0, white))


def test_jpeg_2000_whose_samples_pillow_scales(tmp_path):
    deep = Image.fromarray(GREY.astype(np.uint16) * 257)
    path = save(tmp_path, deep, "deep.jp2")
    np.testing.assert_allclose(read_image(path).pixels, UNIT, atol=0.01)
    with pytest.raises(errors.ImageFileError, match="Pillow scales"):
        read_image(path, value_range=(0, 4095))
    path = save(tmp_path, Image.fromarray(GREY), "grey.jp2")
    picture = read_image(path, value_range=(0, 510))
    np.testing.assert_allclose(picture.pixels, UNIT / 2, atol=0.01)


def test_a_transparent_value_of_16_bits(tmp_path):
    deep = GREY.astype(np.uint16) * 257
    deep[:9] = 777
    data = encode.png(deep)
    chunk = b"tRNS" + struct.pack(">H", 777)
    chunk = struct.pack(">I", 2) + chunk + struct.pack(">I", zlib.crc32(chunk))
    place = data.index(b"IDAT") - 4
    path = put(tmp_path, data[:place] + chunk + data[place:], "key.png")
    pixels = read_image(path).pixels
    assert pixels[:9].max() == 0
    np.testing.assert_allclose(pixels[9:], UNIT[9:], atol=1e-5)


def test_what_may_be_a_mask_is_noted(tmp_path):
    """A mask among images is predicted, since it was asked for, but not silently."""
    disc = phantom(60, 80)[1]
    white = disc * np.uint8(255)
    for name, values in (
        ("one.png", disc.astype(np.uint8)),
        ("white.png", white),
        ("red.png", np.dstack([white, 0 * white, 0 * white])),
        ("bits.tif", disc),
    ):
        Image.fromarray(values).save(tmp_path / name)
        picture = read_image(tmp_path / name)
        assert any("as masks have" in note for note in picture.notes), name
    three = white.copy()
    three[0, 0] = 7
    for values in (three, np.full((60, 80), 9, np.uint8), phantom(60, 80)[0]):
        Image.fromarray(values).save(tmp_path / "x.png")
        assert not any("masks" in n for n in read_image(tmp_path / "x.png").notes)
