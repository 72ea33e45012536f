import csv
import itertools
import os
import shutil
from pathlib import Path

# Threads that wait sleep, so that tests which run at the same time leave each other
# the cores. OpenMP reads this when the engine is loaded.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import numpy as np
import pytest
from PIL import Image
from random_weights import save_random

import busnet
from busnet.data import CLASSES
from busnet.data.phantom import phantom
from busnet.networks import get_network

# Tests of the cache turn it on, each in a folder of its own.
os.environ["BUSNET_CACHE"] = "off"

#: Number of different images in a folder of many.
DRAWN = 10


@pytest.fixture(scope="session")
def weights_file(tmp_path_factory):
    """Write a small model: a random ResNet-18 of 64 pixels."""
    path = tmp_path_factory.mktemp("weights") / "random.safetensors"
    return save_random(path, get_network("resnet18", channels=1))


@pytest.fixture(scope="session")
def model(weights_file):
    return busnet.load(weights_file)


@pytest.fixture(scope="session")
def phantom_data(tmp_path_factory):
    """Write nine phantoms, three of each class, the normal ones without a lesion."""
    root = tmp_path_factory.mktemp("phantoms")
    for i, label in enumerate(CLASSES * 3):
        (root / label).mkdir(exist_ok=True)
        image, mask = phantom(50 + i, 60, seed=i)
        name = f"case {i}"
        Image.fromarray(image).save(root / label / f"{name}.png")
        drawn = mask & (label != "normal")
        Image.fromarray(drawn).save(root / label / f"{name}_mask.png")
    return root


@pytest.fixture(scope="session")
def phantoms(tmp_path_factory):
    """Write a data set in the layout of BUSI; the place of a lesion gives its class."""
    root = tmp_path_factory.mktemp("data")
    rows = []
    for label, number in itertools.product(CLASSES, range(1, 11)):
        folder = root / "busi" / label
        folder.mkdir(parents=True, exist_ok=True)
        image, mask = phantom(48, 56, seed=number)
        if label == "malignant":
            image, mask = image[::-1], mask[::-1]
        elif label == "normal":
            image, mask = (
                phantom(48, 56, seed=50 + number)[0][:6].repeat(8, 0),
                0 * mask,
            )
        Image.fromarray(image).save(folder / f"{label} ({number}).png")
        Image.fromarray(mask.astype(np.uint8) * 255).save(
            folder / f"{label} ({number})_mask.png"
        )
        rows.append((label, number, f"{label}{number // 2}", "", "", number // 2 % 5))
    with (root / "busi_groups.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(
            ("class", "number", "group_ext", "objection", "annotation", "fold")
        )
        writer.writerows(rows)
    return root / "busi"


@pytest.fixture
def many(tmp_path):
    """Return a function that makes a folder of n images."""

    def make(count, name="in", side=200):
        root = tmp_path / name
        root.mkdir()
        for i in range(count):
            if i < DRAWN:
                image = phantom(side, side, seed=i)[0]
                Image.fromarray(image).save(root / f"{i:03}.png")
            else:
                shutil.copyfile(root / f"{i % DRAWN:03}.png", root / f"{i:03}.png")
        return root

    return make


@pytest.fixture(scope="session")
def data_folder():
    """Return the folder of the public data sets, which are not part of the project."""
    folder = os.environ.get("BUSNET_DATA", "")
    if not folder or not Path(folder).is_dir():
        pytest.skip("BUSNET_DATA names no folder of data sets")
    return Path(folder)


@pytest.fixture(scope="session")
def busi(data_folder):
    return data_folder / "busi" / "Dataset_BUSI_with_GT"


@pytest.fixture(scope="session")
def busbra(data_folder):
    return data_folder / "busbra" / "BUSBRA"


@pytest.fixture(scope="session")
def busuclm(data_folder):
    return data_folder / "busuclm" / "BUS-UCLM"
