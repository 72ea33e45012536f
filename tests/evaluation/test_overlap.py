"""Agreement of masks, on drawn shapes with known values."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist

from busnet.errors import DataError
from busnet.evaluation.overlap import compare_masks


def rectangle(top, left, bottom, right, size=(60, 80)):
    mask = np.zeros(size, bool)
    mask[top:bottom, left:right] = True
    return mask


EMPTY = np.zeros((60, 80), bool)


def test_equal_masks():
    got = compare_masks(rectangle(5, 5, 25, 35), rectangle(5, 5, 25, 35))
    assert (got.dice, got.iou, got.hd95, got.assd) == (1, 1, 0, 0)


def test_empty_masks():
    both = compare_masks(EMPTY, EMPTY)
    assert (both.dice, both.iou, both.hd95, both.assd) == (1, 1, None, None)
    for pair in ((EMPTY, rectangle(5, 5, 9, 9)), (rectangle(5, 5, 9, 9), EMPTY)):
        one = compare_masks(*pair)
        assert (one.dice, one.iou, one.hd95, one.assd) == (0, 0, None, None)


def test_a_shifted_square():
    # 20 x 20, shifted by 5 columns: 300 of 400 pixels are common.
    got = compare_masks(rectangle(10, 10, 30, 30), rectangle(10, 15, 30, 35))
    assert got.dice == pytest.approx(2 * 300 / 800)
    assert got.iou == pytest.approx(300 / 500)
    # 20 of the 76 outline pixels, the far column, are 5 away from the other outline.
    assert got.hd95 == pytest.approx(5)


def test_hd95_is_the_larger_direction():
    # A distant spot is a small part of one outline: it counts in one direction only.
    truth = rectangle(10, 10, 30, 30)
    predicted = truth | rectangle(10, 70, 13, 74)
    got = compare_masks(truth, predicted)
    there = distances(outline(predicted), outline(truth))
    back = distances(outline(truth), outline(predicted))
    assert np.percentile(back, 95) == 0
    assert got.hd95 == pytest.approx(np.percentile(there, 95))
    assert got.hd95 > np.percentile(np.concatenate([there, back]), 95)


def test_two_points_are_their_distance_apart():
    got = compare_masks(rectangle(3, 3, 4, 4), rectangle(6, 7, 7, 8))
    assert (got.dice, got.hd95, got.assd) == (0, 5, 5)


def test_the_images_edge_is_an_outline():
    got = compare_masks(np.ones((9, 9), bool), rectangle(2, 2, 7, 7, (9, 9)))
    assert got.hd95 == pytest.approx(np.sqrt(8), rel=0.2)


def test_millimetres_are_measured_along_each_axis():
    # 3 rows of 0.5 mm and 4 columns of 0.1 mm apart.
    got = compare_masks(rectangle(3, 3, 4, 4), rectangle(6, 7, 7, 8), (0.5, 0.1))
    assert got.hd95 == 5
    assert got.hd95_mm == got.assd_mm == pytest.approx(np.hypot(1.5, 0.4))
    assert compare_masks(rectangle(3, 3, 4, 4), EMPTY, (0.5, 0.1)).hd95_mm is None
    assert compare_masks(rectangle(3, 3, 4, 4), rectangle(3, 3, 4, 4)).hd95_mm is None


def test_the_nearest_point_in_mm_is_not_that_in_pixels():
    """The speck 4 columns away is nearer than that 3 rows away."""
    truth = rectangle(30, 40, 31, 41)
    predicted = rectangle(33, 40, 34, 41) | rectangle(30, 44, 31, 45)
    got = compare_masks(truth, predicted, (1.0, 0.1))
    assert got.hd95 == pytest.approx(np.percentile([3, 4], 95))
    # From the truth 0.4 mm to the nearest; back 3 and 0.4 mm.
    assert got.assd_mm == pytest.approx((0.4 + 3 + 0.4) / 3)


@pytest.mark.parametrize("shape", [(400, 4), (4, 400)])
def test_masks_at_the_edges_of_long_images(shape):
    a, b = np.zeros(shape, bool), np.zeros(shape, bool)
    a[0, 0], b[-1, -1] = True, True
    got = compare_masks(a, b)
    assert got.hd95 == pytest.approx(np.hypot(399, 3))


def test_shapes_must_agree():
    with pytest.raises(DataError, match=r"\(60, 80\).*\(3, 3\)"):
        compare_masks(EMPTY, np.zeros((3, 3), bool))


def outline(mask):
    padded = np.pad(mask, 1)
    inner = padded[2:, 1:-1] & padded[:-2, 1:-1] & padded[1:-1, 2:] & padded[1:-1, :-2]
    return mask & ~inner


def distances(a, b):
    return cdist(np.argwhere(a), np.argwhere(b)).min(1)


@settings(max_examples=80, deadline=None)
@given(st.integers(0, 2**16), st.floats(0.02, 0.6))
def test_random_masks_agree_with_brute_force(seed, density):
    generator = np.random.RandomState(seed)
    a, b = (generator.uniform(0, 1, (13, 17)) < density for _ in range(2))
    if not (a.any() and b.any()):
        return
    got = compare_masks(a, b)
    there, back = (
        distances(outline(a), outline(b)),
        distances(outline(b), outline(a)),
    )
    assert got.dice == pytest.approx(2 * (a & b).sum() / (a.sum() + b.sum()))
    assert got.iou == pytest.approx((a & b).sum() / (a | b).sum())
    assert got.hd95 == pytest.approx(
        max(np.percentile(there, 95), np.percentile(back, 95))
    )
    assert got.assd == pytest.approx(np.concatenate([there, back]).mean())
    doubled = compare_masks(a, b, (2.0, 2.0))
    assert doubled.hd95_mm == pytest.approx(2 * got.hd95)
    assert doubled.assd_mm == pytest.approx(2 * got.assd)
