import pytest
from PIL import Image

from busnet.data import CLASSES
from busnet.data.phantom import phantom


@pytest.fixture(scope="session")
def phantoms_own(tmp_path_factory):
    """Return nine phantoms, three of each class, the normal ones without lesion."""
    root = tmp_path_factory.mktemp("own")
    for i, label in enumerate(CLASSES * 3):
        (root / label).mkdir(exist_ok=True)
        image, mask = phantom(50 + i, 60, seed=i)
        name = f"case {i}"
        Image.fromarray(image).save(root / label / f"{name}.png")
        drawn = mask & (label != "normal")
        Image.fromarray(drawn).save(root / label / f"{name}_mask.png")
    return root
