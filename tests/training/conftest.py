import csv
import itertools

import numpy as np
import pytest
from PIL import Image

from busnet.data import CLASSES
from busnet.data.phantom import phantom

torch = pytest.importorskip("torch", reason="needs the extra busnet[train]")
torch.set_num_threads(2)


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
