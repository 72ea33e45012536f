import os
from pathlib import Path

# Threads that wait sleep, so that tests which run at the same time leave each other
# the cores. OpenMP reads this when the engine is loaded.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import pytest
from PIL import Image
from random_weights import save_random

import busnet
from busnet.data import CLASSES
from busnet.data.phantom import phantom
from busnet.networks import get_network

# Tests of the cache turn it on, each in a folder of its own.
os.environ["BUSNET_CACHE"] = "off"


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
