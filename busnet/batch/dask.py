"""Predicting on the workers of a Dask cluster (the extra ``busnet[dask]``).

Every worker gets the model once, by a plugin, also one that joins or starts again
later; tasks hold paths, which all workers must be able to read. What a worker that dies
had begun, another one does.
"""

from __future__ import annotations

import asyncio
import collections
import dataclasses
import hashlib
import itertools
import os
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from busnet.batch.documents import Document, record_all
from busnet.batch.outcomes import Outcome, predict_files
from busnet.batch.outputs import Outputs
from busnet.batch.sources import Source
from busnet.batch.text import encodable
from busnet.engine.threads import set_threads
from busnet.errors import WorkerError, requires_extra
from busnet.inference import Options
from busnet.inference.ensemble import Ensemble
from busnet.inference.predictor import Predictor
from busnet.model import load

with requires_extra("dask"):
    from distributed import (
        Client,
        Future,
        KilledWorker,
        WorkerPlugin,
        get_worker,
        wait,
    )

__all__ = ["connect", "outcomes", "recorded"]

T = TypeVar("T")
Documents = tuple[Source, list[Document]]
ValueRange = tuple[float, float]

#: Seconds in which a scheduler must answer.
TIMEOUT = 10

#: Seconds in which a cluster without workers must get one.
WORKERLESS = 60

#: The same error until Python 3.11 made one of the two.
TimeoutErrors = (TimeoutError, asyncio.TimeoutError)

#: Files of a task: enough to read some while others are computed.
FILES = 16

#: Tasks that wait at each worker, so that none idles while results travel.
TASKS_AHEAD = 3


class ModelPlugin(WorkerPlugin):  # type: ignore[misc]  # distributed has no types
    """The model as a worker has it: sent as the bytes of its files, loaded once."""

    def __init__(self, model: Predictor) -> None:
        self.data = [session.path.read_bytes() for session in model.sessions]
        self.is_ensemble = isinstance(model, Ensemble)
        self.precision = model.precision
        digest = hashlib.sha256(b"".join(self.data)).hexdigest()[:16]
        kind = "ensemble" if self.is_ensemble else "model"
        self.name = f"busnet-{kind}-{digest}-{self.precision}"

    def setup(self, worker: Any) -> None:
        """Load the model; the engine uses as many threads as the worker has."""
        set_threads(worker.state.nthreads)
        # Dask removes the folders of workers that were killed.
        self.folder = tempfile.TemporaryDirectory(
            prefix="busnet-", dir=worker.local_directory
        )
        paths = []
        for number, data in enumerate(self.data):
            path = Path(self.folder.name) / f"model-{number}.safetensors"
            path.write_bytes(data)
            paths.append(path)
        files = paths if self.is_ensemble else paths[0]
        self.model: Predictor = load(files, precision=self.precision)

    def teardown(self, worker: Any) -> None:
        """Remove the worker's copies of the files."""
        self.folder.cleanup()


class _Absolute:
    """Sources with absolute paths, since workers may run in other folders."""

    def __init__(self, sources: Iterable[Source]) -> None:
        self._sources = sources
        self._originals: dict[Source, Source] = {}

    def __iter__(self) -> Iterator[Source]:
        for source in self._sources:
            moved = dataclasses.replace(source, path=source.path.absolute())
            self._originals[moved] = source
            yield moved

    def original(self, moved: Source) -> Source:
        """Return the source as it was given."""
        return self._originals[moved]


def connect(address: str) -> Client:
    """Return a client of the scheduler at an address such as ``tcp://host:8786``.

    Raises
    ------
    WorkerError
        If none answers.
    """
    try:
        return Client(address, timeout=TIMEOUT)
    except (OSError, ValueError) as error:
        raise WorkerError(f"no Dask scheduler answers at {address}: {error}") from None


def outcomes(
    client: Client,
    model: Predictor,
    sources: Iterable[Source],
    options: Options,
    *,
    value_range: ValueRange | None = None,
) -> Iterator[Outcome]:
    """Yield what :func:`busnet.batch.predict_files` does, computed by the cluster."""

    def failures(sources: list[Source], error: WorkerError) -> list[Outcome]:
        return [Outcome(source, error=error) for source in sources]

    moved = _Absolute(sources)
    groups = _map(client, model, moved, failures, _predict, options, value_range)
    for outcome in itertools.chain.from_iterable(groups):
        yield _with_source(outcome, moved.original(outcome.source))


def _with_source(outcome: Outcome, source: Source) -> Outcome:
    """Return an outcome with another source, whose path names its result."""
    moved = dataclasses.replace(outcome, source=source)
    if outcome.result is None:
        return moved
    named = dataclasses.replace(outcome.result, name=os.fspath(source.path))
    return moved.with_result(named)


def recorded(
    client: Client,
    model: Predictor,
    sources: Iterable[Source],
    options: Options,
    outputs: Outputs,
    *,
    value_range: ValueRange | None = None,
) -> Iterator[tuple[Source, list[Document]]]:
    """Yield what :func:`busnet.batch.record_all` does, computed by the cluster.

    The workers write the outputs: they and the caller must share the folder. A file
    that is not there for the caller is listed as one that was not written.
    """
    if outputs.folder is not None:
        outputs = dataclasses.replace(outputs, folder=outputs.folder.absolute())
    moved = _Absolute(sources)

    def failures(sources: list[Source], error: WorkerError) -> list[Documents]:
        return [(s, [outputs.record(Outcome(s, error=error))]) for s in sources]

    groups = _map(
        client, model, moved, failures, _record, options, value_range, outputs
    )
    for source, documents in itertools.chain.from_iterable(groups):
        original = moved.original(source)
        file = encodable(original.path)
        yield original, [{**outputs.checked(d), "file": file} for d in documents]


def _predict(
    name: str,
    sources: list[Source],
    options: Options,
    value_range: ValueRange | None,
) -> list[Outcome]:
    model = get_worker().plugins[name].model
    return list(predict_files(model, sources, options=options, value_range=value_range))


def _record(
    name: str,
    sources: list[Source],
    options: Options,
    value_range: ValueRange | None,
    outputs: Outputs,
) -> list[Documents]:
    model = get_worker().plugins[name].model
    outcomes = predict_files(model, sources, options=options, value_range=value_range)
    return list(record_all(outcomes, outputs.record, outputs.finish))


def _wait(client: Client, future: Future) -> None:
    """Wait for a task, as long as there are workers that could do it.

    Raises
    ------
    WorkerError
        If there were none for :data:`WORKERLESS` seconds.
    """
    alone_since = None
    while True:
        try:
            wait([future], timeout=1)
            return
        except TimeoutErrors:
            now = time.monotonic()
            if client.ncores():
                alone_since = None
            elif alone_since is None:
                alone_since = now
            elif now - alone_since > WORKERLESS:
                raise WorkerError(
                    f"the cluster had no workers for {WORKERLESS} seconds"
                ) from None


def _map(
    client: Client,
    model: Predictor,
    sources: Iterable[Source],
    failures: Callable[[list[Source], WorkerError], list[T]],
    task: Callable[..., list[T]],
    *arguments: object,
) -> Iterator[list[T]]:
    """Yield a task's results for a few sources at a time, in order.

    ``failures`` stands in for the results of a task that killed worker after worker.

    Raises
    ------
    WorkerError
        If the cluster has lost all its workers.
    """
    plugin = ModelPlugin(model)
    client.register_plugin(plugin)
    pending: collections.deque[tuple[list[Source], Future]] = collections.deque()
    remaining = iter(sources)
    try:
        while True:
            max_pending = TASKS_AHEAD * max(1, len(client.ncores()))
            while len(pending) < max_pending:
                chunk = list(itertools.islice(remaining, FILES))
                if not chunk:
                    break
                future = client.submit(task, plugin.name, chunk, *arguments, pure=False)
                pending.append((chunk, future))
            if not pending:
                return
            chunk, future = pending.popleft()
            try:
                _wait(client, future)
                result: list[T] = future.result()
            except KilledWorker as error:
                names = ", ".join(str(source.path) for source in chunk)
                message = f"{names}: every worker that computed it died: {error}"
                result = failures(chunk, WorkerError(message))
            yield result
    finally:
        client.cancel([future for _, future in pending])
