"""The kernel of each layer of a network, its time, and its share of the peak.

    python benchmarks/layers.py [--batch N] [--size S] [--precision P] NETWORK

GFLOP/s counts the operations of the direct algorithm; Winograd's needs fewer, so its
figure may exceed the peak. The peak is the speed of one large 1x1 convolution in
float32 in this run. Weights are random; for int8 they are calibrated on random images.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
from common import cpu_name, random_model
from random_weights import random_images

import busnet
from busnet import _core
from busnet.networks import Counter, Network, build, get_network
from busnet.quantization import quantize
from busnet.weights import load

ROUNDS = 30
CALIBRATION = 4


def fastest(plan: _core.Plan, images: np.ndarray) -> np.ndarray:
    """Return the shortest time of every step in seconds."""
    plan.run(images)
    return np.min([plan.time(images) for _ in range(ROUNDS)], axis=0)


def peak() -> float:
    """Return the GFLOP/s of a 1x1 convolution of 512 to 512 channels at 64 x 64."""
    graph = _core.Graph()
    image = graph.input(1, [0.0], [1.0])
    wide = graph.conv(image, "wide", 512, 1)
    graph.output(graph.conv(wide, "large", 512, 1), "y")
    weights = _core.Weights(graph, threads=busnet.get_threads())
    weights.set("wide.weight", np.ones((512, 1, 1, 1), np.float32))
    weights.set("large.weight", np.ones((512, 512, 1, 1), np.float32))
    weights.finish()
    plan = _core.Plan(weights, 1, 64, 64, threads=busnet.get_threads())
    seconds = fastest(plan, np.ones((1, 64, 64, 1), np.float32))[-1]
    return 2 * 512 * 512 * 64 * 64 / seconds / 1e9


def random_weights(row: Network, size: int, precision: str) -> _core.Weights:
    """Return random weights of a network."""
    with tempfile.TemporaryDirectory() as folder:
        path = random_model(row.name, Path(folder), size)
        if precision == "int8":
            quantize(path, random_images((CALIBRATION, size, size, 3)), path)
        return load(path, threads=busnet.get_threads(), precision=precision)[1]


def main() -> None:
    """Time the layers and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("network")
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--precision", default="f32")
    options = parser.parse_args()
    row = get_network(options.network)
    counter = Counter(options.size, options.size)
    build(row, counter, classes=3)
    macs = {layer.name: layer.macs for layer in counter.layers}
    threads = busnet.get_threads()
    weights = random_weights(row, options.size, options.precision)
    shape = (options.batch, options.size, options.size)
    plan = _core.Plan(weights, *shape, threads=threads, outputs=row.heads)
    seconds = fastest(plan, random_images((*shape, row.channels)))
    limit = peak()
    print(
        f"{cpu_name()}, {threads} threads, peak {limit:.0f} GFLOP/s, "
        f"{row.name}, {shape}"
    )
    header = ("layer", "kernel", "us", "% time", "GFLOP/s", "% peak")
    print("{:28} {:24} {:>7} {:>6} {:>8} {:>6}".format(*header))
    for (layer, kernel), time in zip(plan.steps, seconds, strict=True):
        rate = 2e-9 * options.batch * macs.get(layer, 0) / time
        counted = f"{rate:8.0f} {100 * rate / limit:6.0f}" if rate else ""
        share = 100 * time / seconds.sum()
        print(f"{layer:28} {kernel:24} {1e6 * time:7.0f} {share:6.1f} {counted}")
    total = 2e-9 * options.batch * counter.macs / seconds.sum()
    print(f"{'all':53} {1e6 * seconds.sum():7.0f} {'':6} {total:8.0f}")


if __name__ == "__main__":
    main()
