"""What the benchmarks share: random models, alternating timing, the CPU's name."""

from __future__ import annotations

import os
import statistics
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))

# Random models are used once: the cache of packed weights stays as it is.
os.environ.setdefault("BUSNET_CACHE", "off")


def cpu_name() -> str:
    """Return the CPU's name as the system gives it."""
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return "unknown CPU"


def peak_rss_mb() -> float:
    """Return the largest resident size of this process so far, in MB."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) * 1024 / 1e6
    raise RuntimeError("/proc/self/status has no VmHWM")


def random_model(name: str, folder: Path, size: int = 224, **changes) -> Path:
    """Return the file of a random model of a network, written if it is missing."""
    from random_weights import save_random

    from busnet.networks import get_network

    path = folder / f"{name}-{size}.safetensors"
    if not path.exists():
        save_random(path, get_network(name, **changes), size)
    return path


def times(functions: dict, seconds: float, warm: int = 2) -> dict[str, list[float]]:
    """Run the functions alternately for some seconds; return each one's times in s."""
    for function in functions.values():
        for _ in range(warm):
            function()
    durations = {name: [] for name in functions}
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        for name, function in functions.items():
            start = time.perf_counter()
            function()
            durations[name].append(time.perf_counter() - start)
    return durations


def both(numbers: list[float], scale: float = 1e3) -> tuple[float, float]:
    """Return minimum and median, each multiplied by `scale`."""
    return min(numbers) * scale, statistics.median(numbers) * scale


def child_environment() -> dict[str, str]:
    """Return the environment for processes that are measured."""
    return {**os.environ, "PYTHONWARNINGS": "ignore"}
