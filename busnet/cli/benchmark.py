"""``busnet benchmark``."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Annotated, Any

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from busnet import _core
from busnet.cli.common import (
    Precision,
    PrecisionOption,
    ThreadsOption,
    app,
    use,
)
from busnet.cli.models import ModelOption, load_models
from busnet.engine.session import BATCH_SIZE
from busnet.engine.threads import get_threads
from busnet.models import DEFAULT


@app.command()
def benchmark(
    model: ModelOption = DEFAULT,
    seconds: Annotated[
        float, typer.Option(min=0.1, max=600, help="Time for each row.")
    ] = 3.0,
    precision: PrecisionOption = Precision.f32,
    threads: ThreadsOption = None,
) -> None:
    """Time a model or an ensemble on this machine, from array to result."""
    use(threads)
    loaded = load_models(model, precision=precision.value)
    size = max(session.info.image_size for session in loaded.sessions)
    generator = np.random.default_rng(0)
    batch_size = BATCH_SIZE[loaded.precision]
    images = list(generator.random((batch_size, size, size), np.float32))
    calls: dict[str, Callable[..., Any]] = {"predict": loaded.predict}
    if "class" in loaded.info.heads:
        calls["classify"] = loaded.classify
    if "mask" in loaded.info.heads:
        calls["segment"] = loaded.segment
    if len(loaded.info.heads) == 1:
        del calls["predict"]
    engine = _core.engine()
    table = Table(
        "call",
        "images at once",
        "ms an image, minimum",
        "median",
        "images a second",
        title=f"{loaded.info.network_name}, {size} px, {precision.value}, "
        f"{get_threads()} threads, oneDNN {engine['version']}, {engine['isa']}",
    )
    for name, call in calls.items():
        for count in (1, batch_size):
            batch = images[:count]
            call(batch)
            durations = []
            end = time.perf_counter() + seconds
            while time.perf_counter() < end:
                start = time.perf_counter()
                call(batch)
                durations.append((time.perf_counter() - start) / count)
            table.add_row(
                name,
                str(count),
                f"{1e3 * min(durations):.2f}",
                f"{1e3 * statistics.median(durations):.2f}",
                f"{1 / statistics.median(durations):.1f}",
            )
    Console().print(table)
