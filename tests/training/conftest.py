import csv
import itertools
import os

import numpy as np
import pytest
from PIL import Image

from busnet.data import CLASSES
from busnet.data.phantom import phantom

torch = pytest.importorskip("torch", reason="needs the extra busnet[train]")
THREADS = min(2, int(os.environ.get("OMP_NUM_THREADS", "2")))
torch.set_num_threads(THREADS)


@pytest.fixture(autouse=True)
def _same_threads():
    """Set back the number of threads, on which the last bits depend."""
    yield
    torch.set_num_threads(THREADS)


@pytest.fixture(scope="session")
def two_hospitals(tmp_path_factory):
    """Write a table of two sources: one with normals, one with lesions alone."""
    root = tmp_path_factory.mktemp("hospitals")
    rows = [("image", "label", "mask", "group", "source")]
    for source, labels in (("north", CLASSES), ("south", CLASSES[1:])):
        for label, number in itertools.product(labels, range(8)):
            image, mask = phantom(48, 56, seed=len(rows))
            if label == "malignant":
                image, mask = image[::-1], mask[::-1]
            elif label == "normal":
                image, mask = image[:6].repeat(8, 0), 0 * mask
            if source == "south":
                image = image // 2 + 60
            name = f"{source}-{label}-{number}"
            Image.fromarray(image).save(root / f"{name}.png")
            Image.fromarray(mask.astype(np.uint8) * 255).save(root / f"{name}_m.png")
            row = (
                f"{name}.png",
                label,
                f"{name}_m.png",
                f"{source}{label}{number // 2}",
            )
            rows.append((*row, source))
    table = root / "table.csv"
    with table.open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    return table
