"""Random weights of any network from a seed, the same on every machine.

The numbers of ``numpy.random.RandomState`` never change between versions of NumPy.
Their scale keeps the activations of deep networks near 1.
"""

import functools

import numpy as np

from busnet.model_info import ModelInfo
from busnet.networks import Counter, build
from busnet.weights import save

CLASSES = ("normal", "benign", "malignant")


def random_arrays(row, classes=3, seed=0):
    return {name: array.copy() for name, array in _draw(row, classes, seed).items()}


@functools.lru_cache(maxsize=1)
def _draw(row, classes, seed):
    counter = Counter()
    build(row, counter, classes=classes)
    generator = np.random.RandomState(seed)
    arrays = {}
    for name, shape in counter.arrays.items():
        if name.endswith("running_var"):
            array = generator.uniform(0.5, 1.5, shape)
        elif len(shape) > 1:
            fan_in = np.prod(shape[1:])
            array = generator.standard_normal(shape) * np.sqrt(2 / fan_in)
        elif name.endswith(".weight"):
            array = generator.uniform(0.3, 0.7, shape)
        else:
            array = generator.standard_normal(shape) * 0.1
        arrays[name] = array.astype(np.float32)
    return arrays


def random_images(shape, seed=1):
    return np.random.RandomState(seed).uniform(0, 1, shape).astype(np.float32)


def random_info(row, image_size=64, **fields):
    fields.setdefault("provenance", {"data": "nothing, a random network"})
    fields.setdefault("classes", CLASSES)
    fields.setdefault("mean", (0.45,) * row.channels)
    fields.setdefault("std", (0.225,) * row.channels)
    return ModelInfo(network=row, image_size=image_size, **fields)


def save_random(path, row, image_size=64, eight_bit=False, seed=0, **fields):
    info = random_info(row, image_size, **fields)
    save(path, random_arrays(row, seed=seed), info, eight_bit=eight_bit)
    return path
