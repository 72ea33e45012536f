"""The way to the network's square and back."""

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from busnet.images import Letterbox

SIZES = [(31, 47), (47, 31), (224, 224), (480, 640), (2000, 1500), (900, 33)]


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


@pytest.mark.parametrize("shape", [(2, 300_000), (300_000, 2), (1, 1), (1, 70_000)])
def test_extreme_shapes_take_time_by_their_pixels(shape):
    box = Letterbox(*shape, 224)
    start = time.perf_counter()
    inside = box.apply(np.full(shape, 0.5, np.float32))
    back = box.restore(inside)
    assert time.perf_counter() - start < 1
    assert back.shape == shape
    assert inside.shape == (224, 224)
    assert inside.max() == 0.5
