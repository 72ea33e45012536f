"""busnet beside PyTorch, ONNX Runtime, OpenVINO, ncnn and MNN, by turns.

    make bench-peers                       the engines' environments, then everything
    python benchmarks/peers.py --quick     three networks, in less than ten minutes

Each engine runs in a process and an environment of its own, with the same weights, the
same images and the same number of threads. Outputs are compared before anything is
timed: what is off by more than the precision allows is left out and named. Then the
engines take turns of half a second each; ratios are of minima and of medians. ResNets
have their class head alone, mod_resnet101 has both heads.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import itertools
import json
import logging
import os
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from common import ROOT, both, cpu_name, random_model

WORKERS = Path(__file__).parent / "workers"
ENGINES = ("busnet", "torch", "onnxruntime", "openvino", "ncnn", "mnn")
NETWORKS = (
    "resnet18",
    "resnet34",
    "resnet50",
    "resnet101",
    "resnet152",
    "mod_resnet101",
)
QUICK = ("resnet18", "resnet50", "mod_resnet101")

#: Largest relative error of outputs (L2, against busnet's exact ones) by precision.
ERRORS = {"f32": 1e-3, "bf16": 5e-2, "int8": 0.3}

#: Images that models are calibrated on for int8: random ones, like what is timed.
CALIBRATION_IMAGES = 16


class Worker:
    """A process that computes with one engine."""

    def __init__(self, engine: str, environments: Path, threads: int) -> None:
        own = environments / engine / "bin" / "python"
        python = str(own) if own.exists() else sys.executable
        self.engine = engine
        read, write = os.pipe()
        own_environment = {
            # MNN's converter calls pip to install what it lacks: into its own folder.
            "PATH": f"{Path(python).parent}:{os.environ['PATH']}",
            "OMP_NUM_THREADS": str(threads),
            "BUSNET_ANSWERS": str(write),
            "PYTHONPATH": f"{WORKERS.parent}:{os.environ.get('PYTHONPATH', '')}",
        }
        self._process = subprocess.Popen(
            [python, str(WORKERS / f"{engine}_worker.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            text=True,
            pass_fds=(write,),
            env={**os.environ, **own_environment},
        )
        os.close(write)
        self._answers = os.fdopen(read)

    def ask(self, **request: Any) -> dict[str, Any]:
        """Send a request and wait for its answer; a dead process answers an error."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
            line = self._answers.readline()
        except BrokenPipeError:
            line = ""
        answer: dict[str, Any] = json.loads(line) if line else {"error": "it died"}
        return answer

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.communicate()
        self._answers.close()


def case(
    folder: Path, name: str, size: int, batch: int, threads: int, precision: str
) -> dict[str, Any]:
    """Write a network's weights in all forms, and images; return the request."""
    import numpy as np
    from random_weights import random_images

    import busnet
    from busnet.export.onnx import export

    heads = ("class", "mask") if name == "mod_resnet101" else ("class",)
    weights = random_model(name, folder, size, heads=heads)
    exported = weights.with_suffix(".onnx")
    if not exported.exists():
        export(weights, exported)
    model = busnet.load(weights)
    channels = model.info.network.channels
    traced = weights.with_suffix(".pt")
    if not traced.exists():
        trace(model, heads, size).save(str(traced))
    images = folder / f"{size}-{batch}-{channels}.npy"
    if not images.exists():
        np.save(images, random_images((batch, size, size, channels)))
    samples = folder / f"samples-{size}-{channels}"
    graph = exported
    if precision == "int8":
        if not samples.exists():
            write_samples(samples, size, channels)
        weights, graph = calibrated(weights, exported, samples)
    return {
        "weights": str(weights),
        "onnx": str(graph),
        "onnx_f32": str(exported),
        "samples": str(samples),
        "torchscript": str(traced),
        "images": str(images),
        "shape": [batch, channels, size, size],
        "threads": threads,
        "precision": precision,
        "outputs": list(heads),
        "compiled": True,
    }


def write_samples(folder: Path, size: int, channels: int) -> None:
    """Write images to calibrate with, as files of 8 bits."""
    import numpy as np
    from PIL import Image
    from random_weights import random_images

    folder.mkdir()
    shape = (size, size) if channels == 1 else (size, size, channels)
    for i in range(CALIBRATION_IMAGES):
        pixels = np.uint8(255 * random_images(shape, seed=100 + i))
        Image.fromarray(pixels).save(folder / f"{i}.png")


def calibrated(weights: Path, exported: Path, samples: Path) -> tuple[Path, Path]:
    """Return busnet's file and the ONNX graph in 8 bits, on the same images.

    ONNX Runtime's own quantizer writes the graph: u8 maps, s8 weights by channel, as
    its documentation advises for x86; OpenVINO reads the same.
    """
    from busnet.quantization import quantize

    ours, theirs = (
        path.with_suffix(f".int8{path.suffix}") for path in (weights, exported)
    )
    if not ours.exists():
        quantize(weights, sorted(samples.iterdir()), ours)
    if not theirs.exists():
        quantize_onnx(exported, theirs, samples)
    return ours, theirs


def quantize_onnx(source: Path, target: Path, samples: Path) -> None:
    """Write an ONNX graph with its convolutions in 8 bits."""
    import numpy as np
    from onnxruntime import quantization
    from onnxruntime.quantization.shape_inference import quant_pre_process

    from busnet.images import read_image

    def planes() -> Iterator[dict[str, Any]]:
        for path in sorted(samples.iterdir()):
            pixels = np.atleast_3d(read_image(path).pixels)
            yield {"image": pixels.transpose(2, 0, 1)[None]}

    class Reader(quantization.CalibrationDataReader):
        def __init__(self) -> None:
            self.images = planes()

        def get_next(self) -> dict[str, Any] | None:
            return next(self.images, None)

    folded = target.with_suffix(".folded.onnx")
    quant_pre_process(source, folded)
    logging.getLogger().setLevel(logging.ERROR)
    quantization.quantize_static(
        folded,
        target,
        Reader(),
        quant_format=quantization.QuantFormat.QDQ,
        activation_type=quantization.QuantType.QUInt8,
        weight_type=quantization.QuantType.QInt8,
        per_channel=True,
    )


def trace(model: Any, heads: Sequence[str], size: int) -> Any:
    """Return a model in TorchScript, its outputs in the order of the heads."""
    import torch

    class Outputs(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.module = model.to_torch()

        def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, ...]:
            found = self.module(images)
            return tuple(found[head] for head in heads)

    image = torch.zeros(1, model.info.network.channels, size, size)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # TorchScript is deprecated, pnnx reads it
        return torch.jit.trace(Outputs().eval(), image, check_trace=False)


def expected(request: dict[str, Any]) -> dict[str, Any]:
    """Return the outputs by oneDNN's direct convolutions in float32."""
    import numpy as np

    import busnet

    model = busnet.load(request["weights"], exact=True)
    outputs: dict[str, Any] = model.run(
        np.load(request["images"]), outputs=request["outputs"]
    )
    return outputs


def error_of(path: Path, reference: dict[str, Any]) -> float:
    """Return the largest relative L2 error of the outputs in a file."""
    import numpy as np

    with np.load(path) as found:
        return max(
            float(np.linalg.norm(found[name].reshape(y.shape) - y) / np.linalg.norm(y))
            for name, y in reference.items()
        )


def measure(
    engines: Sequence[str],
    environments: Path,
    request: dict[str, Any],
    seconds: float,
    folder: Path,
) -> dict[str, Any]:
    """Compare outputs, then time the engines by turns; return what was found."""
    reference = expected(request)
    found: dict[str, Any] = {}
    with contextlib.ExitStack() as stack:
        workers = {}
        for engine in engines:
            worker = Worker(engine, environments, request["threads"])
            stack.callback(worker.close)
            loaded = worker.ask(do="load", **request)
            out = folder / "outputs.npz"
            ran = loaded if "error" in loaded else worker.ask(do="run", out=str(out))
            if "error" in ran:
                found[engine] = {"error": ran["error"]}
                continue
            error = error_of(out, reference)
            found[engine] = {"version": loaded["version"], "relative_error": error}
            if not error <= ERRORS[request["precision"]]:
                found[engine]["error"] = f"its outputs are off by {error:.1e}"
                continue
            workers[engine] = worker
        taken: dict[str, list[float]] = {engine: [] for engine in workers}
        for _ in range(max(2, round(seconds / 0.5))):
            for engine, worker in workers.items():
                answer = worker.ask(do="time", seconds=0.5)
                if "error" not in answer:
                    taken[engine] += answer["seconds"]
    for engine, times in taken.items():
        if times:
            batch = request["shape"][0]
            found[engine]["ms"] = [t / batch for t in both(times)]
            found[engine]["runs"] = len(times)
    return found


def cold(
    engines: Sequence[str], environments: Path, request: dict[str, Any], rounds: int
) -> dict[str, Any]:
    """Time process start to first result, by turns; return times and peak memory."""
    found: dict[str, Any] = {engine: {"seconds": [], "peaks": []} for engine in engines}
    with tempfile.TemporaryDirectory() as folder:
        for round_ in range(rounds + 1):
            for engine in engines:
                start = time.perf_counter()
                worker = Worker(engine, environments, request["threads"])
                loaded = worker.ask(do="load", **request)
                ran = worker.ask(do="run", out=f"{folder}/outputs.npz")
                seconds = time.perf_counter() - start
                worker.close()
                if "error" in loaded or "error" in ran:
                    found[engine]["error"] = loaded.get("error") or ran.get("error")
                elif round_:  # the first one converts and fills caches
                    found[engine]["seconds"].append(seconds)
                    found[engine]["peaks"].append(ran["peak_mb"])
    return {
        engine: {"error": f["error"]}
        if "error" in f
        else {"ms": list(both(f["seconds"])), "peak_mb": max(f["peaks"])}
        for engine, f in found.items()
    }


def cells(found: dict[str, Any], engines: Sequence[str]) -> Iterator[str]:
    """Yield a row's cells: busnet's time, each engine's, and the ratio to the best."""
    peers = [found[e] for e in engines if e != "busnet" and "ms" in found.get(e, {})]
    for engine in engines:
        ms = found.get(engine, {}).get("ms")
        yield f"{ms[0]:.1f} / {ms[1]:.1f}" if ms else "-"
    if peers and "ms" in found.get("busnet", {}):
        ours = found["busnet"]["ms"]
        best = [min(peer["ms"][i] for peer in peers) for i in (0, 1)]
        yield f"{best[0] / ours[0]:.2f} / {best[1] / ours[1]:.2f}"
    else:
        yield "-"


def table(document: dict[str, Any]) -> str:
    """Return the results as a Markdown table: ms an image, minimum / median."""
    engines = document["engines"]
    head = ["network", "size", "batch", "threads", "precision", *engines, "ratio"]
    lines = [f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
    for row in document["rows"]:
        facts = [str(row[key]) for key in head[:5]]
        cell = list(cells(row["found"], engines))
        lines.append(f"| {' | '.join([*facts, *cell])} |")
    lines += ["", "Process start to first result (ms), and peak memory (MB):", ""]
    lines += [f"| network | {' | '.join(engines)} | ratio |"]
    lines += ["|" + "---|" * (len(engines) + 2)]
    for name, found in document["cold"].items():
        times = list(cells(found, engines))
        peaks = [
            f"{found[e]['peak_mb']:.0f}" if "ms" in found[e] else "" for e in engines
        ]
        shown = [
            f"{t}, {p}" if p else t for t, p in zip(times, [*peaks, ""], strict=True)
        ]
        lines.append(f"| {name} | {' | '.join(shown)} |")
    return "\n".join(lines)


def all_precisions(*, quick: bool) -> list[str]:
    """Return what is measured where nothing else is asked for."""
    from busnet import _core

    bf16 = [] if quick or not _core.engine()["bf16"] else ["bf16"]
    return ["f32", *bf16, "int8"]


def main() -> None:
    """Measure what is asked for, print the table, and write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--networks", nargs="+", default=None)
    parser.add_argument("--sizes", nargs="+", type=int, default=None)
    parser.add_argument("--batches", nargs="+", type=int, default=[1, 8])
    parser.add_argument("--threads", nargs="+", type=int, default=None)
    parser.add_argument("--precisions", nargs="+", default=None)
    parser.add_argument("--engines", nargs="+", default=list(ENGINES))
    parser.add_argument("--seconds", type=float, default=None, help="for each engine")
    parser.add_argument("--environments", type=Path, default=ROOT / ".venv-peers")
    parser.add_argument("--json", type=Path, default=None)
    options = parser.parse_args()
    names = options.networks or (QUICK if options.quick else NETWORKS)
    sizes = options.sizes or ([224] if options.quick else [224, 256])
    counts = options.threads or ([2] if options.quick else [1, 2])
    precisions = options.precisions or all_precisions(quick=options.quick)
    seconds = options.seconds or (2.0 if options.quick else 4.0)
    document: dict[str, Any] = {
        "cpu": cpu_name(),
        "date": datetime.date.today().isoformat(),
        "command": ["benchmarks/peers.py", *sys.argv[1:]],
        "engines": options.engines,
        "rows": [],
        "cold": {},
    }
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        os.environ["BUSNET_CACHE"] = str(folder / "cache")
        for name, size, batch, threads, precision in itertools.product(
            names, sizes, options.batches, counts, precisions
        ):
            request = case(folder, name, size, batch, threads, precision)
            found = measure(
                options.engines, options.environments, request, seconds, folder
            )
            row = {
                "network": name,
                "size": size,
                "batch": batch,
                "threads": threads,
                "precision": precision,
                "found": found,
            }
            document["rows"].append(row)
            told = " | ".join(cells(found, options.engines))
            print(name, size, batch, threads, precision, told, file=sys.stderr)
            for engine, result in found.items():
                if "error" in result:
                    print(f"  {engine}: {result['error']}", file=sys.stderr)
        for name in ["mod_resnet101"] if options.quick else ["resnet101", names[-1]]:
            request = case(folder, name, 224, 1, max(counts), "f32")
            request["compiled"] = False  # PyTorch's compiler takes seconds
            document["cold"][name] = cold(
                options.engines,
                options.environments,
                request,
                3 if options.quick else 7,
            )
    print(f"{document['cpu']}, {document['date']}; ms an image, minimum / median; the")
    print("ratio is the best peer's time to busnet's.\n")
    print(table(document))
    if options.json is not None:
        options.json.write_text(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    main()
