"""Write golden.npz: what PyTorch computes for every network from fixed weights.

    python tests/data/make_golden.py

The weights come from a seed (tests/random_weights.py), so the file holds outputs alone:
class logits whole, mask logits at every eighth row and column.
"""

import sys
from pathlib import Path

import numpy as np
import torch

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from random_weights import random_arrays, random_images  # noqa: E402

from busnet.networks import NETWORKS, get_network  # noqa: E402
from busnet.training.graph import module  # noqa: E402

#: Batch, height and width of the inputs.
SHAPES = ((1, 224, 224), (3, 200, 312))
STEP = 8


def main():
    rows = {**NETWORKS, "resnet50_v1": get_network("resnet50", variant="v1")}
    golden = {}
    for name, row in rows.items():
        graph = module(row).eval()
        arrays = random_arrays(row)
        graph.load_state_dict(
            {key: torch.from_numpy(array) for key, array in arrays.items()},
            strict=False,
        )
        for shape in SHAPES:
            images = random_images((*shape, row.channels)).transpose(0, 3, 1, 2)
            with torch.no_grad():
                outputs = graph(torch.from_numpy(np.ascontiguousarray(images)))
            key = f"{name}/{shape[0]}x{shape[1]}x{shape[2]}"
            golden[f"{key}/class"] = outputs["class"].numpy()
            golden[f"{key}/mask"] = outputs["mask"].numpy()[:, 0, ::STEP, ::STEP]
    np.savez_compressed(HERE / "golden.npz", **golden)


if __name__ == "__main__":
    main()
