"""The outline of a mask: its definition and its time."""

import time

import numpy as np
import pytest

from busnet.rendering import outline


def by_definition(mask, width):
    """Return the pixels whose window reaches background or beyond the image."""
    padded = np.pad(mask, width)
    windows = np.lib.stride_tricks.sliding_window_view(
        padded, (2 * width + 1, 2 * width + 1)
    )
    return mask & ~windows.all((2, 3))


@pytest.mark.parametrize("width", [1, 2, 3, 7])
def test_it_is_what_the_definition_says(width):
    generator = np.random.RandomState(width)
    for share in (0.0, 0.5, 0.9, 0.99, 1.0):
        for shape in ((1, 1), (1, 40), (40, 1), (13, 17), (31, 30)):
            mask = generator.rand(*shape) < share
            before = mask.copy()
            np.testing.assert_array_equal(
                outline(mask, width), by_definition(mask, width)
            )
            np.testing.assert_array_equal(mask, before)


@pytest.mark.parametrize("shape", [(2, 30_000), (30_000, 2), (3000, 4000)])
def test_large_images_take_no_time(shape):
    mask = np.ones(shape, np.bool_)
    start = time.perf_counter()
    edge = outline(mask, max(shape) // 200)
    assert time.perf_counter() - start < 2
    assert edge[0, 0]
    assert edge.all() == (min(shape) == 2)
