"""Preprocessing against PyTorch's resizing, which torchvision's transforms call.

``torchvision.transforms.Resize`` and ``CenterCrop`` on a tensor of floats are
``functional.interpolate(antialias=True)`` and a slice. On a PIL image, Pillow resizes
integers of 8 bits, and rounds.
"""

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional

from busnet.data.phantom import phantom
from busnet.images import CentreCrop, Picture, Preprocessing
from busnet.inference.pipeline import place_all

SHAPES = [(480, 640), (641, 480), (224, 224), (100, 130), (256, 900), (1000, 801)]


def image(shape, channels):
    """Return a speckled image of 8 bits."""
    noise = np.random.RandomState(0).randint(0, 256, (*shape, channels))
    grey = phantom(*shape)[0][..., None]
    return np.where(noise < 40, noise, grey).astype(np.uint8)


def transformed(pixels, size, resize, mode):
    """Return what torchvision makes of a tensor (H, W, C) in 0..1."""
    height, width = pixels.shape[:2]
    if isinstance(resize, int):
        short = min(height, width)
        resize = tuple(int(resize * side / short) for side in (height, width))
    planes = torch.from_numpy(pixels.transpose(2, 0, 1).copy())[None]
    resized = functional.interpolate(
        planes, resize, mode=mode, antialias=True, align_corners=False
    )[0]
    top, left = (round((side - size) / 2) for side in resize)
    return resized[:, top : top + size, left : left + size].permute(1, 2, 0).numpy()


@pytest.mark.parametrize("mode", ["bilinear", "bicubic"])
@pytest.mark.parametrize("resize", [256, 224, (224, 224), (256, 300)])
@pytest.mark.parametrize("shape", SHAPES)
def test_tensors_are_torchvisions(shape, resize, mode):
    pixels = np.float32(image(shape, 3) / 255)
    got = CentreCrop(*shape, 224, resize, mode).apply(pixels)
    expected = transformed(pixels, 224, resize, mode)
    assert np.abs(got - expected).max() < 1e-3


@pytest.mark.parametrize("resize", [256, (224, 224)])
@pytest.mark.parametrize("shape", SHAPES)
def test_pil_images_differ_by_rounding(shape, resize):
    pixels = image(shape, 3)
    crop = CentreCrop(*shape, 224, resize)
    resized = Image.fromarray(pixels).resize(
        (crop.columns, crop.rows), Image.Resampling.BILINEAR
    )
    cut = np.asarray(resized)[crop.top : crop.top + 224, crop.left : crop.left + 224]
    got = crop.apply(np.float32(pixels / 255))
    assert np.abs(got - cut / 255).max() <= 1.01 / 255


def test_grey_and_colour_are_what_the_network_takes():
    grey = np.float32(image((90, 120), 1)[..., 0] / 255)
    batch = np.zeros((2, 64, 64, 3), np.float32)
    colour = np.stack([grey, grey**2, grey**3], 2)
    place_all([Picture(grey), Picture(colour)], batch, Preprocessing(64, 70))
    for got, pixels in zip(batch, (np.stack([grey] * 3, 2), colour), strict=True):
        expected = transformed(pixels, 64, 70, "bilinear")
        assert np.abs(got - expected).max() < 1e-3
