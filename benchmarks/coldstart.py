"""From process start to first result with ResNet-101, beside ONNX Runtime.

    pip install onnx onnxruntime
    python benchmarks/coldstart.py [--rounds N] [NETWORK]

Both load the same weights from disk (the page cache is warm after the first round),
compute one 224 x 224 image and end; they take turns. The outputs are compared first.
Times are the wall-clock time of the whole process as its parent sees it, and what the
process itself says of its peak resident size.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from common import both, child_environment, cpu_name, random_model

BUSNET = """
import sys, numpy as np, busnet
model = busnet.load(sys.argv[1])
image = np.load(sys.argv[2])
y = model.run(image)["class"]
"""

ONNX_RUNTIME = """
import sys, numpy as np, onnxruntime
providers = ["CPUExecutionProvider"]
session = onnxruntime.InferenceSession(sys.argv[1], providers=providers)
image = np.load(sys.argv[2])
image = np.ascontiguousarray(image.transpose(0, 3, 1, 2))
y = session.run(["class"], {"image": image})[0]
"""

TELL = """
import json
peak = next(l for l in open("/proc/self/status") if l.startswith("VmHWM"))
print(json.dumps([int(peak.split()[1]) * 1024 / 1e6, y.ravel().tolist()]))
"""


def main() -> None:
    """Let both start by turns and print the table."""
    import numpy as np

    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("network", nargs="?", default="resnet101")
    parser.add_argument("--rounds", type=int, default=9)
    options = parser.parse_args()

    from random_weights import random_images

    from busnet.onnx import export

    with tempfile.TemporaryDirectory() as folder:
        weights = random_model(options.network, Path(folder), heads=("class",))
        exported = Path(folder) / "model.onnx"
        export(weights, exported)
        image = Path(folder) / "image.npy"
        np.save(image, random_images((1, 224, 224, 3)))
        starts = {"busnet": (BUSNET, weights), "ONNX Runtime": (ONNX_RUNTIME, exported)}
        taken: dict = {name: [] for name in starts}
        peaks: dict = {name: [] for name in starts}
        outputs: dict = {}
        for round_ in range(options.rounds + 1):
            for name, (code, model) in starts.items():
                start = time.perf_counter()
                done = subprocess.run(
                    [sys.executable, "-c", code + TELL, model, image],
                    check=True,
                    capture_output=True,
                    text=True,
                    env=child_environment(),
                )
                seconds = time.perf_counter() - start
                peak, outputs[name] = json.loads(done.stdout)
                if round_:
                    taken[name].append(seconds)
                    peaks[name].append(peak)
    difference = np.abs(np.subtract(*outputs.values())).max()
    if difference > 1e-3:
        sys.exit(f"the outputs differ by {difference}")
    print(f"{cpu_name()}, {options.network}, one image, outputs {difference:.1e} apart")
    for name in starts:
        low, middle = both(taken[name])
        print(
            f"{name:14} start to result {low:6.0f} / {middle:6.0f} ms, "
            f"peak {max(peaks[name]):4.0f} MB"
        )
    ours, theirs = (both(taken[name]) for name in starts)
    print(
        f"ratio {theirs[0] / ours[0]:.2f} (minimum), {theirs[1] / ours[1]:.2f} (median)"
    )


if __name__ == "__main__":
    main()
