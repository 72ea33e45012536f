"""Time busnet, PyTorch, ONNX Runtime, OpenVINO, ncnn and MNN alternately.

    make bench-peers                       the engines' environments, then everything
    python benchmarks/peers.py --quick     three networks, in less than ten minutes

Each engine runs in a process and an environment of its own, with the same weights, the
same images and the same number of threads. Outputs are compared before anything is
timed: an engine whose error exceeds what the precision allows is excluded and named.
Then each engine in turn computes for half a second, several times; ratios are of minima
and of medians. ResNets have only the class head, mod_resnet101 has both heads.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import itertools
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from common import ROOT, both, cpu_name
from peers_models import case

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

#: Maximum relative L2 error of outputs, compared with precision="exact", by precision.
ERRORS = {"f32": 1e-3, "bf16": 5e-2, "int8": 0.3}


class Worker:
    """A process that computes with one engine."""

    def __init__(self, engine: str, environments: Path, threads: int) -> None:
        interpreter = environments / engine / "bin" / "python"
        python = str(interpreter) if interpreter.exists() else sys.executable
        self.engine = engine
        read, write = os.pipe()
        own_environment = {
            # MNN's converter calls pip for missing packages: let it be its own pip.
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


def expected(request: dict[str, Any]) -> dict[str, Any]:
    """Return the outputs of direct convolutions in float32."""
    import numpy as np

    import busnet

    model = busnet.load(request["weights"], precision="exact")
    outputs: dict[str, Any] = model.run(
        np.load(request["images"]), outputs=request["outputs"]
    )
    return outputs


def error_of(path: Path, reference: dict[str, Any]) -> float:
    """Return the largest relative L2 error of the outputs in a file."""
    import numpy as np

    with np.load(path) as outputs:
        return max(
            float(
                np.linalg.norm(outputs[name].reshape(y.shape) - y) / np.linalg.norm(y)
            )
            for name, y in reference.items()
        )


def measure(
    engines: Sequence[str],
    environments: Path,
    request: dict[str, Any],
    seconds: float,
    folder: Path,
) -> dict[str, Any]:
    """Compare outputs, then time the engines alternately; return results by engine."""
    reference = expected(request)
    results: dict[str, Any] = {}
    with contextlib.ExitStack() as stack:
        workers = {}
        for engine in engines:
            worker = Worker(engine, environments, request["threads"])
            stack.callback(worker.close)
            loaded = worker.ask(do="load", **request)
            out = folder / "outputs.npz"
            ran = loaded if "error" in loaded else worker.ask(do="run", out=str(out))
            if "error" in ran:
                results[engine] = {"error": ran["error"]}
                continue
            error = error_of(out, reference)
            results[engine] = {"version": loaded["version"], "relative_error": error}
            if not error <= ERRORS[request["precision"]]:
                results[engine]["error"] = f"its outputs are off by {error:.1e}"
                continue
            workers[engine] = worker
        durations: dict[str, list[float]] = {engine: [] for engine in workers}
        for _ in range(max(2, round(seconds / 0.5))):
            for engine, worker in workers.items():
                answer = worker.ask(do="time", seconds=0.5)
                if "error" not in answer:
                    durations[engine] += answer["seconds"]
    for engine, times in durations.items():
        if times:
            batch = request["shape"][0]
            results[engine]["ms"] = [t / batch for t in both(times)]
            results[engine]["runs"] = len(times)
    return results


def cold(
    engines: Sequence[str], environments: Path, request: dict[str, Any], rounds: int
) -> dict[str, Any]:
    """Time process start to first result alternately; return times and peak memory."""
    results: dict[str, Any] = {
        engine: {"seconds": [], "peaks": []} for engine in engines
    }
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
                    results[engine]["error"] = loaded.get("error") or ran.get("error")
                elif round_:  # round 0 converts models and fills caches
                    results[engine]["seconds"].append(seconds)
                    results[engine]["peaks"].append(ran["peak_mb"])
    return {
        engine: {"error": f["error"]}
        if "error" in f
        else {"ms": list(both(f["seconds"])), "peak_mb": max(f["peaks"])}
        for engine, f in results.items()
    }


def cells(results: dict[str, Any], engines: Sequence[str]) -> Iterator[str]:
    """Yield a row's cells: busnet's time, each engine's, and the ratio to the best."""
    peers = [
        results[e] for e in engines if e != "busnet" and "ms" in results.get(e, {})
    ]
    for engine in engines:
        ms = results.get(engine, {}).get("ms")
        yield f"{ms[0]:.1f} / {ms[1]:.1f}" if ms else "-"
    if peers and "ms" in results.get("busnet", {}):
        ours = results["busnet"]["ms"]
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
        cell = list(cells(row["results"], engines))
        lines.append(f"| {' | '.join([*facts, *cell])} |")
    lines += ["", "Process start to first result (ms), and peak memory (MB):", ""]
    lines += [f"| network | {' | '.join(engines)} | ratio |"]
    lines += ["|" + "---|" * (len(engines) + 2)]
    for name, results in document["cold"].items():
        times = list(cells(results, engines))
        peaks = [
            f"{results[e]['peak_mb']:.0f}" if "ms" in results[e] else ""
            for e in engines
        ]
        shown = [
            f"{t}, {p}" if p else t for t, p in zip(times, [*peaks, ""], strict=True)
        ]
        lines.append(f"| {name} | {' | '.join(shown)} |")
    return "\n".join(lines)


def all_precisions(*, quick: bool) -> list[str]:
    """Return the precisions that are measured by default."""
    from busnet import _core

    bf16 = [] if quick or not _core.engine()["bf16"] else ["bf16"]
    return ["f32", *bf16, "int8"]


def main() -> None:
    """Measure, print the table and write the JSON."""
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
            results = measure(
                options.engines, options.environments, request, seconds, folder
            )
            row = {
                "network": name,
                "size": size,
                "batch": batch,
                "threads": threads,
                "precision": precision,
                "results": results,
            }
            document["rows"].append(row)
            line = " | ".join(cells(results, options.engines))
            print(name, size, batch, threads, precision, line, file=sys.stderr)
            for engine, result in results.items():
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
