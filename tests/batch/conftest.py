import numpy as np
import pytest
from PIL import Image

from busnet.data.phantom import phantom


@pytest.fixture
def folder(tmp_path):
    """Three images, one in a subfolder."""
    root = tmp_path / "in"
    (root / "sub").mkdir(parents=True)
    for i, name in enumerate(("a", "b", "sub/c")):
        Image.fromarray(phantom(60, 80, seed=i)[0]).save(root / f"{name}.png")
    return root


@pytest.fixture(scope="session")
def noise():
    """Pixels that compress badly."""
    return np.random.RandomState(0).randint(0, 255, (400, 400), np.uint8)
