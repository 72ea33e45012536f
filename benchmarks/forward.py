"""Forward passes of every network: time, GFLOP/s, memory, and the package's overhead.

    python benchmarks/forward.py [--seconds S] [--threads N] [NETWORK ...]

Each network runs in a process of its own, so that its peak memory is its own. "pass" is
the forward pass with both heads, "classify" the same without the decoder. GFLOP/s
counts two operations for each multiply-accumulate. The last lines give the overhead of
Model.predict and Model.classify: the time of a call minus that of the forward pass, for
one float32 array of 224 x 224.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from common import both, child_environment, cpu_name, peak_rss_mb, random_model, times

BATCHES = (1, 8)


def measure(path: Path, seconds: float) -> dict:
    """Time one model in this process."""
    import numpy as np
    from random_weights import random_images

    import busnet
    from busnet.networks import Counter, build

    model = busnet.load(path)
    network, size = model.info.network, model.info.image_size
    row: dict = {"network": network.name}
    for batch in BATCHES:
        images = random_images((batch, size, size, network.channels))
        durations = times(
            {
                "pass": lambda images=images: model.run(images),
                "classify": lambda images=images: model.run(images, outputs=["class"]),
            },
            seconds,
        )
        counter = Counter(size, size)
        build(network, counter, classes=3)
        flops = 2 * counter.macs * batch
        row[f"pass {batch}"] = [t / batch for t in both(durations["pass"])]
        row[f"classify {batch}"] = [t / batch for t in both(durations["classify"])]
        row[f"gflops {batch}"] = flops / min(durations["pass"]) / 1e9
        row[f"rss {batch}"] = peak_rss_mb()
    image = np.random.RandomState(0).uniform(0, 1, (size, size)).astype(np.float32)
    prepared = image[None]
    if network.channels == 3:
        prepared = np.repeat(prepared[..., None], 3, axis=3)
    prepared = np.ascontiguousarray(prepared)
    # Each call alternates with its own forward pass: the caches are alike for both.
    for name, call, heads in (
        ("predict", model.predict, None),
        ("classify", model.classify, ["class"]),
    ):
        durations = times(
            {
                "call": lambda call=call: call(image),
                "pass": lambda heads=heads: model.run(prepared, outputs=heads),
            },
            seconds,
        )
        whole, bare = both(durations["call"])[1], both(durations["pass"])[1]
        row[f"overhead {name}"] = [whole - bare, (whole - bare) / bare]
    return row


def main() -> None:
    """Measure the networks, each in a process, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("networks", nargs="*")
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()

    import busnet
    from busnet import _core
    from busnet.networks import NETWORKS

    if options.threads:
        busnet.set_threads(options.threads)
    if options.child:
        print(json.dumps(measure(options.child, options.seconds)))
        return
    engine = _core.engine()
    print(
        f"{cpu_name()}, {busnet.get_threads()} threads, oneDNN {engine['version']} "
        f"({engine['isa']}), 224 x 224, ms an image: minimum / median"
    )
    header = ("network", "batch", "pass", "classify", "GFLOP/s", "peak MB")
    print("{:14} {:>5} {:>15} {:>15} {:>8} {:>8}".format(*header))
    for name in options.networks or NETWORKS:
        with tempfile.TemporaryDirectory() as folder:
            path = random_model(name, Path(folder))
            command = [sys.executable, __file__, "--child", path]
            command += ["--seconds", str(options.seconds)]
            if options.threads:
                command += ["--threads", str(options.threads)]
            output = subprocess.run(
                command,
                check=True,
                capture_output=True,
                text=True,
                env=child_environment(),
            ).stdout
        row = json.loads(output)
        for batch in BATCHES:
            cells = [
                "{:.2f} / {:.2f}".format(*row[f"{kind} {batch}"])
                for kind in ("pass", "classify")
            ]
            print(
                f"{name:14} {batch:5} {cells[0]:>15} {cells[1]:>15} "
                f"{row[f'gflops {batch}']:8.0f} {row[f'rss {batch}']:8.0f}"
            )
        for kind in ("predict", "classify"):
            milliseconds, share = row[f"overhead {kind}"]
            print(f"{'':14} overhead of {kind}: {milliseconds:.3f} ms, {share:.1%}")


if __name__ == "__main__":
    main()
