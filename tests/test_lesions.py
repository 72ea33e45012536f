"""Measures of lesions, on shapes with known measures."""

import math
import time

import numpy as np
import pytest
from scipy import ndimage

from busnet import _core
from busnet.lesions import find_lesions, lesion_mask


def ellipse(major, minor, angle=0.0, size=300):
    y, x = np.mgrid[0:size, 0:size] - (size - 1) / 2
    u = x * math.cos(angle) + y * math.sin(angle)
    v = -x * math.sin(angle) + y * math.cos(angle)
    return (u / (major / 2)) ** 2 + (v / (minor / 2)) ** 2 <= 1


def measure(mask, spacing=None):
    return find_lesions(mask, np.where(mask, 0.8, 0.1).astype(np.float32), spacing)


@pytest.mark.parametrize("angle", [0.0, 0.4, math.pi / 4, 2.0])
def test_ellipse(angle):
    (lesion,) = measure(ellipse(200, 80, angle))
    assert lesion.area == pytest.approx(math.pi * 100 * 40, rel=0.005)
    assert lesion.axes == pytest.approx((200, 80), rel=0.01)
    assert lesion.centre == pytest.approx((149.5, 149.5), abs=0.1)
    assert lesion.probability == pytest.approx(0.8)
    h = ((200 - 80) / (200 + 80)) ** 2
    perimeter = math.pi * 140 * (1 + 3 * h / (10 + math.sqrt(4 - 3 * h)))  # Ramanujan
    circularity = 4 * math.pi * math.pi * 100 * 40 / perimeter**2
    assert lesion.circularity == pytest.approx(circularity, rel=0.04)


def test_disc_is_round_and_a_line_is_not():
    (disc,) = measure(ellipse(120, 120))
    assert disc.circularity == pytest.approx(1, abs=0.02)
    line = np.zeros((50, 50), bool)
    line[25, 5:45] = True
    (thin,) = measure(line)
    assert thin.circularity < 0.2
    assert thin.box == (25, 5, 26, 45)
    assert thin.axes == pytest.approx((40, 1), rel=0.2)


def test_one_pixel():
    mask = np.zeros((9, 9), bool)
    mask[4, 7] = True
    (lesion,) = measure(mask)
    assert (lesion.area, lesion.box, lesion.centre) == (1, (4, 7, 5, 8), (4.0, 7.0))
    assert lesion.axes == pytest.approx((2 / math.sqrt(3),) * 2)
    assert lesion.circularity == 1


def test_millimetres_only_where_spacing_is_known():
    mask = ellipse(200, 100)
    (lesion,) = measure(mask)
    assert lesion.area_mm2 is None
    assert lesion.size_mm is None
    assert not any("mm" in key for key in lesion.as_dict())
    (lesion,) = measure(mask, (0.2, 0.1))
    assert lesion.area_mm2 == pytest.approx(math.pi * 100 * 50 * 0.02, rel=0.005)
    assert lesion.size_mm == pytest.approx((20, 20), rel=0.02)
    # 200 columns of 0.1 mm and 100 rows of 0.2 mm: a disc of 20 mm.
    assert lesion.axes_mm == pytest.approx((20, 20), rel=0.02)
    assert lesion.as_dict()["area_mm2"] == lesion.area_mm2


@pytest.mark.parametrize("spacing", [(0.05, 0.2), (0.2, 0.05), (0.1, 0.13), (3, 3)])
def test_shapes_are_of_the_lesion_and_not_of_its_pixels(spacing):
    """A disc is round and a bar is not, whatever the shape of the pixels."""
    y, x = np.mgrid[0:400, 0:400] - 199.5
    y, x = y * spacing[0], x * spacing[1]
    radius = 180 * min(spacing)
    (disc,) = measure(np.hypot(y, x) <= radius, spacing)
    assert disc.circularity == pytest.approx(1, abs=0.03)
    assert disc.axes_mm == pytest.approx((2 * radius, 2 * radius), rel=0.02)
    (flat,) = measure((y / radius) ** 2 + (4 * x / radius) ** 2 <= 1, spacing)
    h = (3 / 5) ** 2
    outline = math.pi * radius * 1.25 * (1 + 3 * h / (10 + math.sqrt(4 - 3 * h)))
    expected = 4 * math.pi * (math.pi * radius**2 / 4) / outline**2
    assert flat.circularity == pytest.approx(expected, rel=0.03)
    assert flat.axes_mm == pytest.approx((2 * radius, radius / 2), rel=0.05)


SHAPES = {
    # Physical shapes in mm, in their own axes: whether (u, v) is inside, area, outline.
    "disc": (lambda u, v: u**2 + v**2 <= 64, math.pi * 64, math.pi * 16),
    "ellipse": (
        lambda u, v: (u / 10) ** 2 + (v / 3) ** 2 <= 1,
        math.pi * 30,
        43.8591,  # 40 E(1 - 0.09), the complete elliptic integral
    ),
    "rectangle": (
        lambda u, v: (np.abs(u) <= 10) & (np.abs(v) <= 3),
        120,
        52,
    ),
}


@pytest.mark.parametrize("ratio", [1, 1.5, 2, 4, 8, 1 / 4, 1 / 8])
@pytest.mark.parametrize("shape", SHAPES)
def test_an_outline_has_its_length_however_it_lies(shape, ratio):
    """Within 3 % in millimetres, for pixels up to eight times as long as wide."""
    inside, area, outline = SHAPES[shape]
    row, column = 0.05 * max(1, 1 / ratio), 0.05 * max(1, ratio)
    y = ((np.arange(24 / row) + 0.5) * row - 12)[:, None]
    x = (np.arange(24 / column) + 0.5) * column - 12
    for angle in np.radians([0, 10, 22.5, 45, 60, 90, 130]):
        u = x * math.cos(angle) + y * math.sin(angle)
        v = -x * math.sin(angle) + y * math.cos(angle)
        (lesion,) = measure(inside(u, v), (row, column))
        assert lesion.area_mm2 == pytest.approx(area, rel=0.07)  # whole pixels
        perimeter = math.sqrt(4 * math.pi * lesion.area_mm2 / lesion.circularity)
        assert perimeter == pytest.approx(outline, rel=0.03)


def test_pixels_of_any_shape_take_no_more_memory():
    mask = ellipse(200, 80)
    for spacing in ((1e-4, 10.0), (10.0, 1e-4)):
        (lesion,) = measure(mask, spacing)
        assert 0 < lesion.circularity < 0.1


def test_square_pixels_of_any_size_have_the_shape_of_pixels():
    mask = ellipse(200, 80, 0.4)
    (pixels,), (square,) = measure(mask), measure(mask, (0.07, 0.07))
    assert square.circularity == pytest.approx(pixels.circularity)


def test_several_come_largest_first_and_diagonals_connect():
    mask = np.zeros((60, 60), bool)
    mask[5:10, 5:10] = True
    mask[30:50, 30:50] = True
    mask[50, 50] = True  # touches the square by a corner
    large, small = measure(mask)
    assert (large.area, small.area) == (401, 25)
    assert large.box == (30, 30, 51, 51)
    assert measure(np.zeros((5, 5), bool)) == ()


def test_labels_are_scipys():
    generator = np.random.RandomState(0)
    for density in (0.1, 0.35, 0.6, 1.0):
        mask = (generator.uniform(0, 1, (70, 90)) < density).astype(np.uint8)
        labels, count = _core.label(mask)
        expected, expected_count = ndimage.label(mask, np.ones((3, 3)))
        assert count == expected_count
        np.testing.assert_array_equal(labels, expected)
    with pytest.raises(ValueError, match="2"):
        _core.label(np.zeros((2, 2, 2), np.uint8))
    with pytest.raises(TypeError, match="uint8"):
        _core.label(np.zeros((2, 2), bool))


def test_weak_spots_are_left_out_and_weak_borders_kept():
    probability = np.zeros((60, 80), np.float32)
    probability[10:30, 10:30] = 0.6
    probability[15:20, 15:20] = 0.95
    probability[30, 30] = 0.55  # touches the lesion at a corner
    probability[40:55, 50:70] = 0.7
    mask = lesion_mask(probability, 0.5, 0.9)
    expected = np.zeros_like(mask)
    expected[10:30, 10:30] = True
    expected[30, 30] = True
    np.testing.assert_array_equal(mask, expected)
    whole = probability >= 0.5
    for peak in (0.0, 0.5, 0.7):
        np.testing.assert_array_equal(lesion_mask(probability, 0.5, peak), whole)
    assert not lesion_mask(probability, 0.5, 0.96).any()
    assert not lesion_mask(np.zeros_like(probability), 0.5, 0.9).any()


@pytest.mark.parametrize("seed", range(5))
def test_masks_with_a_peak_are_scipys(seed):
    noise = np.random.RandomState(seed).uniform(0, 1, (97, 64))
    probability = ndimage.gaussian_filter(noise, 1.5)
    probability = (probability / probability.max()).astype(np.float32)
    low, high = np.float32(0.75), np.float32(0.9)
    labels, count = ndimage.label(probability >= low, np.ones((3, 3)))
    peaks = ndimage.maximum(probability, labels, np.arange(1, count + 1))
    strong = np.flatnonzero(peaks >= high) + 1
    assert 0 < len(strong) < count
    np.testing.assert_array_equal(
        lesion_mask(probability, float(low), float(high)), np.isin(labels, strong)
    )


def test_each_component_is_measured_as_if_it_were_alone():
    generator = np.random.RandomState(0)
    mask = generator.rand(40, 60) < 0.35
    probability = generator.rand(40, 60).astype(np.float32)
    labels, count = ndimage.label(mask, np.ones((3, 3)))
    alone = [
        lesion.as_dict()
        for number in range(1, count + 1)
        for lesion in find_lesions(labels == number, probability, (0.1, 0.2))
    ]
    together = find_lesions(mask, probability, (0.1, 0.2))
    assert len(together) == count > 20
    assert len({lesion.box for lesion in together}) == count
    by_box = {tuple(measures["box"]): measures for measures in alone}
    for lesion in together:
        for name, value in lesion.as_dict().items():
            assert value == pytest.approx(by_box[lesion.box][name], rel=1e-9)


def test_many_components_take_time_by_the_pixels():
    mask = np.random.RandomState(0).rand(1000, 1000) < 0.2
    start = time.process_time()
    lesions = find_lesions(mask, mask.astype(np.float32))
    assert time.process_time() - start < 10  # measured one by one: half an hour
    assert sum(lesion.area for lesion in lesions) == mask.sum()
