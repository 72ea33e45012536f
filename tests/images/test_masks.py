"""Masks however they are stored: what is lesion, and what is refused."""

import io

import encode
import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter

from busnet.errors import ImageFileError, MissingImageError
from busnet.images import read_mask


def lesion(height=60, width=80):
    drawn = Image.new("1", (width, height))
    ImageDraw.Draw(drawn).ellipse((20, 15, 50, 45), fill=1)
    return np.asarray(drawn)


MASK = lesion()
ONE = MASK.astype(np.uint8)


def coloured(*channels):
    return np.dstack([ONE * channel for channel in channels]).astype(np.uint8)


def palette(colours, indices=ONE, transparency=None):
    image = Image.fromarray(indices)
    image = image.convert("P") if image.mode != "P" else image
    image.putdata(indices.ravel().tolist())
    image.putpalette([channel for colour in colours for channel in colour])
    if transparency is not None:
        image.info["transparency"] = transparency
    return image


def labels():
    """Draw two lesions of two labels."""
    drawn = ONE.copy()
    drawn[:10, :10] = 2
    return drawn


MASKS = {
    "0/1": ONE,
    "0/2": ONE * 2,
    "0/127": ONE * 127,
    "0/128": ONE * 128,
    "0/255": ONE * 255,
    "bits": MASK,
    "red": coloured(255, 0, 0),
    "blue": coloured(0, 0, 255),
    "dark red": coloured(1, 0, 0),
    "RGBA": coloured(0, 0, 255, 0) + np.uint8([0, 0, 0, 255]),
    "red and opaque": coloured(255, 0, 0, 255),
    "red, all transparent": coloured(255, 0, 0, 0),
    "alpha only": coloured(0, 0, 0, 255),
    "alpha of one": coloured(0, 0, 0, 1),
    "alpha under white": coloured(0, 0, 0, 255) + np.uint8([255, 255, 255, 0]),
    "16 bits 0/1": ONE.astype(np.uint16),
    "16 bits 0/255": ONE.astype(np.uint16) * 255,
    "16 bits 0/65535": ONE.astype(np.uint16) * 65535,
    "grey and alpha": Image.merge("LA", [Image.fromarray(ONE)] * 2),
    "dark palette": palette([(0, 0, 0), (3, 0, 0)]),
    "VOC palette": palette([(0, 0, 0), (128, 0, 0)]),
    "black palette": palette([(0, 0, 0), (0, 0, 0)]),
    "palette on blue": palette([(0, 0, 90), (255, 255, 0)]),
    "palette, white first": palette([(255, 255, 255), (0, 0, 0)], 1 - ONE),
    "transparent palette": palette([(9, 9, 9), (9, 9, 9)], transparency=0),
    "three times white": np.where(MASK, 255, 0).astype(np.uint8),
}


def put(tmp_path, image, name="mask.png", **options):
    if isinstance(image, np.ndarray):
        image = Image.fromarray(image)
    image.save(tmp_path / name, **options)
    return tmp_path / name


@pytest.mark.parametrize("kind", MASKS)
def test_any_form_of_a_mask(tmp_path, kind):
    np.testing.assert_array_equal(read_mask(put(tmp_path, MASKS[kind])), MASK)


def test_other_containers(tmp_path):
    for name in ("m.bmp", "m.gif", "m.tif"):
        np.testing.assert_array_equal(read_mask(put(tmp_path, ONE, name)), MASK)
    webp = put(tmp_path, ONE * 255, "m.webp", lossless=True)
    np.testing.assert_array_equal(read_mask(webp), MASK)
    bits = put(tmp_path, MASK, "m.pbm")
    np.testing.assert_array_equal(read_mask(bits), MASK)
    for kind in ("f4", "i4", "u4"):
        path = tmp_path / "typed.tif"
        path.write_bytes(encode.tiff(ONE.astype(kind)))
        np.testing.assert_array_equal(read_mask(path), MASK)
    np.testing.assert_array_equal(read_mask(io.BytesIO(bits.read_bytes())), MASK)


def test_colours_of_16_bits(tmp_path):
    path = tmp_path / "deep.png"
    path.write_bytes(encode.png(np.dstack([ONE, ONE * 0, ONE * 0]).astype(np.uint16)))
    np.testing.assert_array_equal(read_mask(path), MASK)
    path.write_bytes(encode.png(np.dstack([ONE, ONE]).astype(np.uint16)))
    with pytest.raises(ImageFileError, match=r"deep\.png.*16 bits"):
        read_mask(path)


@pytest.mark.parametrize("step", [1, 85, 127])
def test_labels_are_lesions(tmp_path, step):
    expected = labels() > 0
    np.testing.assert_array_equal(
        read_mask(put(tmp_path, (labels() * step).astype(np.uint8))), expected
    )


def test_coloured_classes(tmp_path):
    colours = np.uint8([(0, 0, 0), (0, 255, 0), (255, 0, 0)])[labels()]
    np.testing.assert_array_equal(read_mask(put(tmp_path, colours)), labels() > 0)
    colours = np.uint8([(0, 0, 0), (0, 128, 0), (64, 0, 0)])[labels()]
    np.testing.assert_array_equal(read_mask(put(tmp_path, colours)), labels() > 0)


@pytest.mark.parametrize("quality", [30, 75, 95])
@pytest.mark.parametrize("colour", [(255,), (255, 0, 0), (255, 255, 255)])
def test_compressed_masks(tmp_path, quality, colour):
    path = put(tmp_path, np.squeeze(coloured(*colour)), "m.jpg", quality=quality)
    wrong = read_mask(path) != MASK
    edge = np.asarray(Image.fromarray(ONE * 255).filter(ImageFilter.FIND_EDGES)) > 0
    limit = 0.03 if len(colour) == 1 or min(colour) else 0.1  # colours have 2 x 2
    assert wrong.sum() <= limit * MASK.sum()
    assert wrong.sum() <= 2 * edge.sum()
    assert (Image.open(path).convert("L").getextrema()[0]) < 30


def two_levels(level, box):
    drawn = np.zeros((100, 120), np.uint8)
    drawn[30:60, 40:80] = 255
    drawn[box] = level
    return drawn


APART, BESIDE, SMALL = np.s_[70:85, 10:40], np.s_[30:60, 80:95], np.s_[75:83, 10:18]


@pytest.mark.parametrize(
    ("level", "box"),
    [(100, APART), (50, APART), (100, BESIDE), (50, BESIDE), (100, SMALL)],
)
def test_a_second_level_is_no_blur(tmp_path, level, box):
    """What is not background is never lost: it is lesion, or the file is refused."""
    drawn = two_levels(level, box)
    np.testing.assert_array_equal(read_mask(put(tmp_path, drawn)), drawn > 0)
    for quality in (50, 95):
        path = put(tmp_path, drawn, "m.jpg", quality=quality)
        with pytest.raises(ImageFileError, match=r"m\.jpg: not a mask: .*beside 255"):
            read_mask(path)
    soft = Image.fromarray(drawn).resize((240, 200), Image.Resampling.BILINEAR)
    fact = f"areas of about {level} beside 255, which may|its values are 0 .* 255"
    with pytest.raises(ImageFileError, match=fact):
        read_mask(put(tmp_path, soft))
    colours = np.dstack([drawn * (drawn < 255), drawn * (drawn == 255), drawn * 0])
    with pytest.raises(ImageFileError, match="not a mask: "):
        read_mask(put(tmp_path, colours, "c.jpg", quality=95))


def test_an_upper_second_level_is_lesion(tmp_path):
    drawn = two_levels(180, APART)
    for quality in (50, 95):
        wrong = read_mask(put(tmp_path, drawn, "m.jpg", quality=quality)) != (drawn > 0)
        assert wrong.sum() <= 0.01 * (drawn > 0).sum()


@pytest.mark.parametrize("radius", [1, 2])
def test_blurred_masks(tmp_path, radius):
    blurred = Image.fromarray(two_levels(255, APART)).filter(
        ImageFilter.GaussianBlur(radius)
    )
    np.testing.assert_array_equal(
        read_mask(put(tmp_path, blurred)),
        np.asarray(blurred) > np.asarray(blurred).max() / 2,
    )


def test_compressed_and_saved_again(tmp_path):
    with Image.open(put(tmp_path, ONE * 255, "m.jpg", quality=50)) as image:
        again = put(tmp_path, image, "again.png")
    assert (read_mask(again) != MASK).sum() <= 0.03 * MASK.sum()


def test_smoothed_masks(tmp_path):
    soft = Image.fromarray(ONE * 255).resize((160, 120), Image.Resampling.BILINEAR)
    np.testing.assert_array_equal(
        read_mask(put(tmp_path, soft)), np.asarray(soft) > 127
    )


def test_empty_and_full(tmp_path):
    assert not read_mask(put(tmp_path, ONE * 0)).any()
    assert not read_mask(put(tmp_path, ONE * 0, "m.jpg")).any()
    assert not read_mask(put(tmp_path, coloured(0, 0, 0, 0))).any()
    assert read_mask(put(tmp_path, np.full_like(ONE, 255))).all()


def test_palettes_of_one_colour(tmp_path):
    """Black is background wherever it is in the palette."""
    black, white, blue = (0, 0, 0), (255, 255, 255), (0, 0, 90)
    for colours, index, expected in (
        ((white, black), 1, False),
        ((black, white), 0, False),
        ((black, white), 1, True),
        ((white, blue, black), 1, True),
        ((blue, white), 0, False),
        ((blue, white), 1, True),
    ):
        path = put(tmp_path, palette(colours, np.full_like(ONE, index)))
        assert read_mask(path).all() == expected, colours
        assert read_mask(path).any() == expected, colours
    path = put(tmp_path, palette((white, black), ONE * 0))
    with pytest.raises(ImageFileError, match=r"mask\.png: not a mask: it has one col"):
        read_mask(path)


def photograph():
    noise = np.random.default_rng(0).normal(90, 40, (60, 80))
    return np.clip(noise, 0, 255).astype(np.uint8)


@pytest.mark.parametrize(
    ("image", "name", "fact"),
    [
        (photograph(), "m.png", r"0 .*values\)"),
        (photograph(), "m.jpg", r"values\)"),
        (np.dstack([photograph()] * 3), "m.png", r"values\)"),
        (photograph() // 8, "dark.png", r"values\)"),
        (ONE + 1, "m.png", "no value is background: 1 2"),
        (ONE * 100 + 100, "m.png", "no value is background: 100 200"),
        (np.where(labels() == 2, 255, ONE), "m.png", "0 1 255"),
        (ONE, "m.jpg", "lossy"),
        (ONE * 90, "m.jpg", "lossy"),
        (labels() * 127, "m.jpg", "values"),
    ],
)
def test_what_cannot_be_a_mask_is_refused(tmp_path, image, name, fact):
    path = put(tmp_path, image.astype(np.uint8), name)
    with pytest.raises(ImageFileError, match=rf"{name}: not a mask: .*{fact}"):
        read_mask(path)


def test_floats_and_signs(tmp_path):
    path = tmp_path / "f.tif"
    for array, fact in (
        (np.where(MASK, np.nan, 0).astype("f4"), "NaN"),
        (MASK.astype("i4") - 1, "negative values: -1 0"),
        (photograph().astype("f4") / 255, "values"),
    ):
        path.write_bytes(encode.tiff(array))
        with pytest.raises(ImageFileError, match=rf"f\.tif: not a mask: .*{fact}"):
            read_mask(path)
    soft = Image.fromarray(ONE * 255).resize((160, 120), Image.Resampling.BILINEAR)
    path.write_bytes(encode.tiff(np.asarray(soft, "f4") / 255))
    np.testing.assert_array_equal(read_mask(path), np.asarray(soft) > 127.5)


def test_several_pages_and_bad_files_are_refused(tmp_path):
    page = Image.fromarray(ONE)
    path = put(tmp_path, page, "m.tif", save_all=True, append_images=[page])
    with pytest.raises(ImageFileError, match="several pages"):
        read_mask(path)
    path.write_bytes(encode.tiff(ONE, ONE)[:-9])
    with pytest.raises(ImageFileError, match=r"m\.tif: truncated or damaged"):
        read_mask(path)
    with pytest.raises(MissingImageError):
        read_mask(tmp_path / "none.png")
    (tmp_path / "text.png").write_text("no mask")
    with pytest.raises(ImageFileError, match=r"text\.png: not an image"):
        read_mask(tmp_path / "text.png")


def test_masks_of_public_data_sets(busi, busbra, data_folder):
    bits = next(iter(sorted((busbra / "Masks").glob("*.png"))))
    with Image.open(bits) as image:
        np.testing.assert_array_equal(read_mask(bits), np.asarray(image))
    folder = data_folder / "busuclm" / "BUS-UCLM" / "masks"
    shares = [read_mask(path).mean() for path in sorted(folder.glob("*.png"))[:60]]
    assert 0 < max(shares) < 0.6
    assert min(shares) == 0
    scan = busi / "benign" / "benign (1).png"
    with pytest.raises(ImageFileError, match="not a mask"):
        read_mask(scan)
