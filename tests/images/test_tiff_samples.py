"""Samples of TIFF that Pillow changes: packed ones, inverted ones, other signs."""

import numpy as np
import pytest
from encode import tiff

from busnet import errors
from busnet.images import read_image

GREY = np.rint(np.broadcast_to(np.linspace(0, 255, 48), (31, 48))).astype(np.uint8)
UNIT = GREY / np.float32(255)


def put(tmp_path, data):
    path = tmp_path / "image.tif"
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("photometric", [0, 1])
@pytest.mark.parametrize("bits", [2, 4, 8])
def test_value_range_is_of_the_files_own_samples(tmp_path, bits, photometric):
    white = 2**bits - 1
    values = (GREY.astype(int) * white // 255).astype(np.uint8)
    packed = None if bits == 8 else bits
    data = tiff(values, bits=packed, photometric=photometric)
    pixels = read_image(put(tmp_path, data), value_range=(0, white / 2)).pixels
    expected = np.clip(values / (white / 2), 0, 1)
    expected = 1 - expected if photometric == 0 else expected
    np.testing.assert_allclose(pixels, expected, atol=1e-6)


def test_tiff_of_signed_bytes(tmp_path):
    values = (GREY.astype(int) - 128).astype(np.int8)
    path = put(tmp_path, tiff(values))
    with pytest.raises(errors.ImageFileError, match=r"int8 values in -.*value_range"):
        read_image(path)
    pixels = read_image(path, value_range=(-128, 127)).pixels
    np.testing.assert_allclose(pixels, UNIT, atol=1e-6)


def test_tiff_of_unsigned_integers_of_32_bits(tmp_path):
    values = GREY.astype(np.uint32) << 24  # beyond what signed ones can hold
    path = put(tmp_path, tiff(values))
    with pytest.raises(errors.ImageFileError, match=r"uint32 values in .*value_range"):
        read_image(path)
    pixels = read_image(path, value_range=(0, 255 << 24)).pixels
    np.testing.assert_allclose(pixels, UNIT, atol=1e-6)
    pixels = read_image(put(tmp_path, tiff(GREY.astype(np.uint32)))).pixels
    np.testing.assert_allclose(pixels, UNIT, atol=1e-6)
