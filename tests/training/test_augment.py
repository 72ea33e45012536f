"""Augmentation: image and mask move together, changes do what they say."""

import dataclasses

import numpy as np
import pytest
import torch

from busnet import errors
from busnet.training.augment import (
    CHANGES,
    COLUMNS,
    MACHINES,
    Augmentation,
    Augmenter,
    affine,
)
from busnet.training.sampling import Draws

CPU = torch.device("cpu")
#: No change at all.
STILL = Augmentation(**{field.name: 0.0 for field in dataclasses.fields(Augmentation)})


def draws_of(window, *, lesion_free=False, cropped=False, count=1):
    shape = (1, count)
    return Draws(
        np.zeros(shape, np.int64),
        np.zeros(shape, np.int64),
        np.full(shape, lesion_free),
        np.full(shape, cropped),
        np.tile(np.array(window, np.float64), (1, count, 1)),
    )


WHOLE = (0.5, 0.5, 1.0, 1.0)


def changed(images, masks, augmentation, *, window=WHOLE, size=None, seed=0, **kinds):
    """Return images and masks (N, 1, S, S) as a step would see them."""
    rng = np.random.default_rng(seed)
    count = len(images)
    draws = draws_of(window, count=count, **kinds)
    theta, extent = affine(augmentation, draws, rng)
    augmenter = Augmenter(augmentation, size or images.shape[-1], CPU, seed)
    frames = torch.tensor([[0.0, 0.0, 1.0, 1.0]]).expand(count, 4)
    return augmenter(
        images,
        masks,
        images.flip(0),
        frames,
        torch.from_numpy(theta[0]).float(),
        torch.from_numpy(extent[0]).float(),
        torch.from_numpy(rng.random((count, COLUMNS))).float(),
    )


@pytest.fixture
def images():
    generator = torch.Generator().manual_seed(0)
    smooth = torch.rand(16, 1, 16, 16, generator=generator)
    large = torch.nn.functional.interpolate(smooth, (64, 64), mode="bilinear")
    return (large * 200 + 30).byte()


@pytest.fixture
def masks():
    squares = torch.zeros(16, 1, 64, 64, dtype=torch.uint8)
    squares[:, :, 20:40, 15:45] = 1
    return squares


def test_without_changes_nothing_changes(images, masks):
    # Half of them are mirrored, which has no range.
    same, lesion = changed(images, masks, STILL)
    expected = images.float() / 255
    mirrored = expected.flip(3)
    close = (same - expected).abs().amax((1, 2, 3)) < 1e-5
    turned = (same - mirrored).abs().amax((1, 2, 3)) < 1e-5
    assert (close | turned).all()
    assert close.any()
    assert turned.any()
    assert lesion.sum() == masks.sum()


def test_image_and_mask_move_together(masks):
    quiet = dataclasses.replace(STILL, rotation=15.0, scale=0.2, shift=0.1)
    images, moved = changed(masks * 255, masks, quiet)
    both = ((images > 0.5) & (moved > 0.5)).sum()
    assert 2 * both / ((images > 0.5).sum() + moved.sum()) > 0.98
    assert not torch.equal(moved, masks.float())
    assert set(moved.unique().tolist()) == {0.0, 1.0}


def test_images_are_never_turned_over(images):
    top = torch.zeros_like(images)
    top[:, :, :16] = 255
    moved, _ = changed(top, torch.zeros_like(top), Augmentation())
    assert (moved[:, :, :32].mean((1, 2, 3)) > moved[:, :, 32:].mean((1, 2, 3))).all()


def test_a_window_fills_the_square(images, masks):
    window = (30 / 64, 30 / 64, 20 / 64, 30 / 64)
    seen, lesion = changed(images, masks, STILL, window=window, cropped=True, size=60)
    # 30 pixels become 60, and above and below 20 ones there are bars of 10.
    assert lesion[:, :, 11:49, 1:59].all()
    assert not seen[:, :, :9].any()
    assert not seen[:, :, 51:].any()
    part = images[:, :, 20:40, 15:45].float() / 255
    small = torch.nn.functional.avg_pool2d(seen[:, :, 10:50], 2)
    error, mirrored = ((small - p).abs().amax((1, 2, 3)) for p in (part, part.flip(3)))
    error = torch.minimum(error, mirrored)
    assert (error < 0.05).all()


def test_lesion_free_crops_stay_where_they_are(images):
    beside = torch.ones(16, 1, 64, 64, dtype=torch.uint8)
    beside[:, :, 4:30, 4:60] = 0
    window = (17 / 64, 32 / 64, 16 / 64, 40 / 64)
    for seed in range(5):
        _, lesion = changed(
            images,
            beside,
            Augmentation(rotation=8.0),
            window=window,
            lesion_free=True,
            cropped=True,
            seed=seed,
        )
        assert not lesion.any()


@pytest.mark.parametrize("name", list(CHANGES))
def test_each_change_does_something_and_stays_in_range(images, masks, name):
    change = dataclasses.replace(STILL, **{name: max(getattr(MACHINES, name), 0.5)})
    still, lesion = changed(images, masks, STILL)
    moved, same = changed(images, masks, change)
    different = (moved - still).abs().amax((1, 2, 3)) > 0.01
    assert different.float().mean() >= 0.2
    assert moved.min() >= 0
    assert moved.max() <= 1
    assert torch.isfinite(moved).all()
    assert torch.equal(same, lesion)


def test_changes_do_not_shift_each_others_numbers(images, masks):
    one = dataclasses.replace(STILL, border=0.8)
    both = dataclasses.replace(one, contrast=0.5)
    black = changed(images, masks, one)[0] == 0
    assert torch.equal(black, changed(images, masks, both)[0] == 0)
    assert black.any()


def test_exchanged_amplitudes_leave_the_places(images, masks):
    strong = dataclasses.replace(STILL, exchange=1.0)
    dark = images.clone()
    dark[8:] //= 4
    still, _ = changed(dark, masks, STILL)
    moved, _ = changed(dark, masks, strong)
    gap = (still[:8].mean() - still[8:].mean()).abs()
    assert (moved[:8].mean() - moved[8:].mean()).abs() < 0.7 * gap
    for a, b in zip(still, moved, strict=True):
        assert np.corrcoef(a.flatten(), b.flatten())[0, 1] > 0.6


def test_the_same_numbers_make_the_same_images(images, masks):
    a, b = (changed(images, masks, MACHINES, seed=1) for _ in range(2))
    c = changed(images, masks, MACHINES, seed=2)
    assert torch.equal(a[0], b[0])
    assert not torch.equal(a[0], c[0])


def test_bars_stay_black(images, masks):
    window = (0.5, 0.5, 0.6, 1.0)
    seen, _ = changed(images, masks, MACHINES, window=window)
    assert not seen[:, :, :12].any()
    assert not seen[:, :, 52:].any()


def test_colour_images_are_changed_alike(images, masks):
    seen, _ = changed(images.expand(16, 3, 64, 64), masks, MACHINES)
    assert seen.shape == (16, 3, 64, 64)
    torch.testing.assert_close(seen[:, 0], seen[:, 2])


def test_ranges_that_are_none_are_refused():
    with pytest.raises(errors.DataError, match="gain"):
        Augmentation(gain=-0.1)
    assert MACHINES.changed(2.0, "blur").blur == 2 * MACHINES.blur
