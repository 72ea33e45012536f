"""Still image files that end too early: what is whole is read, the rest is named."""

import struct

import encode
import numpy as np
import pytest
from PIL import Image, ImageFile

from busnet import errors
from busnet.images import read_frames, read_image, read_mask


def save(tmp_path, image, name, **options):
    path = tmp_path / name
    image.save(path, **options)
    return path


def put(tmp_path, data, name="image.tif"):
    path = tmp_path / name
    path.write_bytes(data)
    return path


def noise(*shape):
    return np.random.default_rng(0).integers(0, 256, shape, np.uint8)


def test_of_a_torn_clip_the_whole_frames_are_read(tmp_path):
    pages = noise(3, 40, 40)
    data = encode.tiff(*pages)
    # The directories of all pages stay: only the last page's pixels end too early.
    place = struct.pack("<I", data.index(pages[2].tobytes()))
    assert data.count(place) == 1
    cut = put(tmp_path, data.replace(place, struct.pack("<I", len(data) - 99)))
    first, *others = map(Image.fromarray, pages)
    gif = save(tmp_path, first, "whole.gif", save_all=True, append_images=others)
    torn = put(tmp_path, gif.read_bytes()[: gif.stat().st_size * 3 // 4], "torn.gif")
    for path in (cut, torn):
        pictures = []
        with pytest.raises(errors.ImageFileError, match=rf"{path.name}: frame 3"):
            pictures.extend(read_frames(path))
        assert [picture.frame for picture in pictures] == [1, 2]


@pytest.mark.parametrize("share", [0.3, 0.5, 0.7, 0.95])
def test_of_a_torn_tiff_the_whole_pages_are_read(tmp_path, share, recwarn):
    pages = noise(5, 40, 50)
    first, *others = map(Image.fromarray, pages)
    whole = save(tmp_path, first, "whole.tif", save_all=True, append_images=others)
    data = whole.read_bytes()
    count = sum(page.tobytes() in data[: int(share * len(data))] for page in pages)
    assert 0 < count < 5
    torn = put(tmp_path, data[: int(share * len(data))], "torn.tif")
    pictures = []
    fact = rf"torn\.tif: (truncated or damaged after frame {count}|frame {count + 1}: )"
    with pytest.raises(errors.ImageFileError, match=fact):
        pictures.extend(read_frames(torn))
    assert [picture.frame for picture in pictures] == list(range(1, count + 1))
    for picture, page in zip(pictures, pages, strict=False):
        np.testing.assert_allclose(picture.pixels, page / 255, atol=1e-6)
    assert not recwarn.list


def test_a_tiff_that_ends_before_its_directory(tmp_path, recwarn):
    """Many writers put the directory behind the pixels."""
    for order in "<>":
        data = encode.tiff(noise(31, 47), order=order)
        for size in (9, len(data) // 2, len(data) - 40):
            torn = put(tmp_path, data[:size], "torn.tif")
            for reader in (read_image, read_mask):
                with pytest.raises(
                    errors.ImageFileError, match=r"torn\.tif: truncated"
                ):
                    reader(torn)
    assert not recwarn.list


def test_truncated_images_that_pillow_may_load_are_noted(tmp_path, monkeypatch):
    whole = save(tmp_path, Image.fromarray(noise(300, 400)), "whole.png")
    torn = put(tmp_path, whole.read_bytes()[: whole.stat().st_size // 2], "torn.png")
    with pytest.raises(errors.ImageFileError, match="truncated"):
        read_image(torn)
    assert read_image(whole).notes == ()
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    (note,) = read_image(torn).notes
    assert "LOAD_TRUNCATED_IMAGES is set" in note
