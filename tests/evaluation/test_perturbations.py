"""Perturbations do what they say, and keep image and mask together."""

import numpy as np
import pytest

from busnet.data.phantom import phantom
from busnet.evaluation.perturbations import PERTURBATIONS

IMAGE, MASK = phantom(160, 200)
GREY = (IMAGE / np.float32(255)).astype(np.float32)
COLOUR = np.repeat(GREY[:, :, None], 3, 2)
BY_NAME = {p.name: p for p in PERTURBATIONS}


@pytest.mark.parametrize("perturbation", PERTURBATIONS, ids=lambda p: p.name)
@pytest.mark.parametrize("image", [GREY, COLOUR], ids=["grey", "colour"])
@pytest.mark.parametrize("mask", [MASK, np.zeros_like(MASK), None])
def test_every_perturbation_changes_the_image_and_its_input_never(
    perturbation, image, mask
):
    before = image.copy()
    pixels, moved = perturbation(image, mask, 7)
    np.testing.assert_array_equal(image, before)
    assert pixels.dtype == np.float32
    assert 0 <= pixels.min() <= pixels.max() <= 1
    assert pixels.ndim == image.ndim
    assert pixels.shape != image.shape or not np.array_equal(pixels, image)
    assert (moved is None) == (mask is None)
    if mask is not None:
        assert moved.shape == pixels.shape[:2]
        assert moved.any() == mask.any()
    again, _ = perturbation(image, mask, 7)
    np.testing.assert_array_equal(again, pixels)


@pytest.mark.parametrize("name", ["flip", "crop"])
def test_masks_move_with_their_images(name):
    drawn = MASK.astype(np.float32)
    pixels, moved = BY_NAME[name](drawn, MASK, 0)
    np.testing.assert_array_equal(pixels > 0.5, moved)


def test_calipers_lie_across_the_lesion():
    pixels, _ = BY_NAME["calipers"](GREY * np.float32(0.5), MASK, 0)
    drawn = np.argwhere(pixels == 1)
    columns = np.flatnonzero(MASK.any(0))
    assert abs(drawn[:, 1].min() - columns[0]) <= 6
    assert abs(drawn[:, 1].max() - columns[-1]) <= 6
