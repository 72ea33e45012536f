"""The way to a centre crop and back."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from busnet.images import CentreCrop, Letterbox, Preprocessing


def ramp(height, width, axis):
    """Return an image whose values are its pixel centres along an axis."""
    centres = np.arange(height if axis == 0 else width, dtype=np.float32) + 0.5
    return np.broadcast_to(
        centres[:, None] if axis == 0 else centres, (height, width)
    ).copy()


@pytest.mark.parametrize(
    ("shape", "resize", "rows", "columns", "top", "left"),
    [
        ((480, 640), 256, 256, 341, 16, 58),
        ((641, 480), 256, 341, 256, 58, 16),
        ((500, 500), 256, 256, 256, 16, 16),
        ((480, 640), (256, 256), 256, 256, 16, 16),
        ((480, 640), (224, 224), 224, 224, 0, 0),
        ((100, 50), 224, 448, 224, 112, 0),
        ((300, 1000), 225, 225, 750, 0, 263),  # halves are rounded to even numbers
    ],
)
def test_sizes_are_torchvisions(shape, resize, rows, columns, top, left):
    crop = CentreCrop(*shape, 224, resize)
    assert (crop.rows, crop.columns, crop.top, crop.left) == (rows, columns, top, left)


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("resize", [80, (70, 90), (64, 64), (200, 64)])
@pytest.mark.parametrize("shape", [(120, 200), (200, 120), (40, 50), (64, 64)])
def test_places_are_the_images(shape, resize, axis):
    crop = CentreCrop(*shape, 64, resize)
    inside = crop.apply(ramp(*shape, axis))
    assert inside.shape == (64, 64)
    new, start = ((crop.rows, crop.top), (crop.columns, crop.left))[axis]
    expected = (np.arange(64) + 0.5 + start) * shape[axis] / new
    got = inside[:, 32] if axis == 0 else inside[32]
    # The ends of the image are flat, so that filters that reach beyond are off there.
    edge = shape[axis] / new
    middle = (expected > edge) & (expected < shape[axis] - edge)
    # A filter of few pixels is not quite symmetric.
    np.testing.assert_allclose(got[middle], expected[middle], atol=0.05 * edge)


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("resize", [80, (70, 90), (96, 64)])
def test_maps_come_back_where_the_crop_was(resize, axis):
    crop = CentreCrop(120, 200, 64, resize)
    restored = crop.restore(crop.apply(ramp(120, 200, axis)))
    assert restored.shape == (120, 200)
    seen = ~np.isnan(restored)
    rows, columns = np.flatnonzero(seen.any(1)), np.flatnonzero(seen.any(0))
    assert seen[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].all()
    for indices, old, new, start in (
        (rows, 120, crop.rows, crop.top),
        (columns, 200, crop.columns, crop.left),
    ):
        centres = (np.arange(old) + 0.5) * new / old
        inside = np.flatnonzero((centres >= start) & (centres <= start + 64))
        np.testing.assert_array_equal(indices, inside)
    inner = restored[3:-3, 3:-3]
    expected = ramp(120, 200, axis)[3:-3, 3:-3]
    step = max(120 / crop.rows, 200 / crop.columns)
    assert np.nanmax(np.abs(inner - expected)) <= step


def test_a_crop_of_all_gives_every_pixel_a_value():
    place = Preprocessing(64, (64, 64)).place(50, 90)
    assert isinstance(place, CentreCrop)
    restored = place.restore(np.full((2, 2), 0.25, np.float32))
    assert restored.shape == (50, 90)
    np.testing.assert_allclose(restored, 0.25)
    assert Preprocessing(64, (64, 64)).shows_all
    assert not Preprocessing(64, 64).shows_all


def test_grey_goes_to_all_channels():
    image = np.random.RandomState(0).uniform(size=(90, 70)).astype(np.float32)
    crop = CentreCrop(90, 70, 64, 70)
    out = np.zeros((64, 64, 3), np.float32)
    crop.apply(image, out)
    for channel in range(3):
        np.testing.assert_array_equal(out[..., channel], crop.apply(image))
    colour = np.stack([image, image / 2, image / 4], 2)
    np.testing.assert_allclose(crop.apply(colour)[..., 1], out[..., 0] / 2, rtol=1e-5)


def test_a_letterbox_is_the_default():
    assert Preprocessing(64).place(3, 4) == Letterbox(3, 4, 64)
    assert Preprocessing(64).shows_all


@settings(max_examples=50, deadline=None)
@given(
    st.integers(1, 300),
    st.integers(1, 300),
    st.integers(32, 128),
    st.integers(0, 64) | st.tuples(st.integers(0, 64), st.integers(0, 64)),
    st.sampled_from(("bilinear", "bicubic")),
)
def test_constants_survive_both_ways(height, width, size, extra, interpolation):
    resize = (
        size + extra if isinstance(extra, int) else (size + extra[0], size + extra[1])
    )
    crop = CentreCrop(height, width, size, resize, interpolation)
    inside = crop.apply(np.full((height, width), 0.25, np.float32))
    np.testing.assert_allclose(inside, 0.25, rtol=1e-5)
    restored = crop.restore(inside)
    assert restored.shape == (height, width)
    np.testing.assert_allclose(restored[~np.isnan(restored)], 0.25, rtol=1e-5)


@pytest.mark.parametrize("shape", [(2, 300_000), (300_000, 2), (1, 1), (1, 70_000)])
@pytest.mark.parametrize("resize", [256, (256, 256)])
def test_extreme_shapes_take_memory_by_their_pixels(shape, resize):
    crop = CentreCrop(*shape, 224, resize)
    image = np.full(shape, 0.5, np.float32)
    tracemalloc.start()
    inside = crop.apply(image)
    assert crop.restore(inside).shape == shape
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 10 * image.nbytes + (4 << 20)
    assert inside.min() == pytest.approx(0.5)
