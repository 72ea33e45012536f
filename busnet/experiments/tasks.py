"""Running the trainings of a comparison, here or in processes of their own."""

from __future__ import annotations

import dataclasses
import json
import os
import pickle
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from typing import TYPE_CHECKING

from busnet._io import locked, write_text
from busnet.data import Case, Listing
from busnet.engine.threads import get_threads, set_threads
from busnet.errors import DataError, WorkerError
from busnet.experiments.folder import Task
from busnet.experiments.progress import Reporter, describe_epoch
from busnet.networks import Network

if TYPE_CHECKING:
    from busnet.training.progress import Progress
    from busnet.training.recipe import Recipe

__all__ = ["Work", "run_here", "run_in_processes", "run_task"]

#: Bytes of a worker's messages that are read for what ended it.
_TAIL = 2000


@dataclasses.dataclass(frozen=True)
class Work:
    """What all trainings of a comparison share.

    Attributes
    ----------
    cases
        The cases with their folds.
    protocol
        How they are used.
    networks
        The networks by name.
    recipe
        How they are trained; each training has a seed of its own.
    start, device
        See :class:`busnet.training.run.Job`.
    bootstrap
        Bootstrap draws of each evaluation.
    allow_leak
        Whether leaks are marked instead of refused.
    origins
        By the name of a network what its weights file says of the start.
    digests
        What weights files say of the data and of its folds, see
        :func:`busnet.data.digests.digest`.
    """

    cases: tuple[Case, ...]
    protocol: str
    networks: dict[str, Network]
    recipe: Recipe
    start: str | os.PathLike[str] | None
    device: str
    bootstrap: int
    allow_leak: bool
    origins: Mapping[str, object]
    digests: Mapping[str, str]


def run_task(
    task: Task,
    work: Work,
    *,
    report: Callable[[Progress], None],
    log: Callable[[str], None],
) -> None:
    """Train, unless that is done, and evaluate on what was held out.

    A training that was stopped goes on from its checkpoint.
    """
    from busnet.evaluation.documents import evaluation_to_json
    from busnet.evaluation.evaluation import evaluate
    from busnet.model import load
    from busnet.training import run as training

    # A worker whose parent was killed may still be at its last step.
    lock = task.weights.with_suffix(".lock")
    with locked(lock, f"{task.name}: it is being trained", blocking=True):
        if not task.weights.exists():
            # That of other weights, which were deleted.
            task.evaluation.unlink(missing_ok=True)
            training.run(
                training.Job(
                    work.networks[task.network],
                    Listing(work.cases),
                    dataclasses.replace(work.recipe, seed=task.seed),
                    work.protocol,
                    task.fold,
                    work.start,
                    work.device,
                    work.digests,
                ),
                task.weights,
                checkpoint=task.checkpoint,
                report=report,
                warn=lambda line: log(f"warning: {line}"),
                allow_leak=work.allow_leak,
            )
        if not task.evaluation.exists():
            evaluation = evaluate(
                load(task.weights),
                work.cases,
                protocol=work.protocol,
                fold=task.fold,
                allow_leak=work.allow_leak,
                bootstrap=work.bootstrap,
                name=task.weights.name,
            )
            write_text(task.evaluation, evaluation_to_json(evaluation))


def run_here(tasks: Sequence[Task], work: Work, reporter: Reporter) -> None:
    """Run tasks one after the other, in this process."""
    import torch

    torch.set_num_threads(get_threads())
    for number, task in enumerate(tasks, 1):
        what = f"{task.name} ({number} of {len(tasks)})"
        with reporter.training(what) as report:
            run_task(task, work, report=report, log=reporter.log)
        reporter.log(f"finished: {task.name}")


def run_in_processes(
    tasks: Sequence[Task], work: Work, reporter: Reporter, jobs: int
) -> None:
    """Run tasks in ``jobs`` processes at a time.

    Raises
    ------
    DataError
        If a training ends with an error; the others are stopped then, and go on from
        their checkpoints the next time.
    WorkerError
        If a process dies.
    """
    threads = max(1, get_threads() // jobs)
    running: set[subprocess.Popen[bytes]] = set()
    pool = ThreadPoolExecutor(jobs, thread_name_prefix="busnet-training")
    try:
        futures = [
            pool.submit(_run_apart, task, work, reporter, threads, running)
            for task in tasks
        ]
        done, _ = wait(futures, return_when=FIRST_EXCEPTION)
        for future in done:
            future.result()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
        for process in list(running):
            process.kill()
        pool.shutdown()


def _run_apart(
    task: Task,
    work: Work,
    reporter: Reporter,
    threads: int,
    running: set[subprocess.Popen[bytes]],
) -> None:
    """Run a task in a process of its own, which ends when this one is killed."""
    with tempfile.TemporaryFile() as messages:
        command = [sys.executable, "-m", "busnet.experiments.worker"]
        with subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=messages,
            env={**os.environ, "OMP_NUM_THREADS": str(threads)},
        ) as process:
            running.add(process)
            try:
                finished = _follow(process, task, (task, work, threads), reporter)
            finally:
                process.kill()
                running.discard(process)
        if not finished:
            messages.seek(0)
            last = messages.read()[-_TAIL:].decode(errors="replace").strip()
            raise WorkerError(
                f"{task.name}: its process ended before the training did"
                + (f": {last.splitlines()[-1]}" if last else "")
            )
    reporter.log(f"finished: {task.name}")


def _follow(
    process: subprocess.Popen[bytes],
    task: Task,
    request: tuple[Task, Work, int],
    reporter: Reporter,
) -> bool:
    """Give a process its task and show what it says; tell whether it finished."""
    if process.stdin is None or process.stdout is None:
        return False
    try:
        pickle.dump(request, process.stdin)
        process.stdin.close()
    except BrokenPipeError:
        return False
    for line in process.stdout:
        message = json.loads(line)
        if "error" in message:
            raise DataError(f"{task.name}: {message['error']}")
        if "line" in message:
            reporter.log(f"{task.name}: {message['line']}")
        if "finished" in message:
            process.wait()
            return True
    return False


def work_apart() -> None:
    """Be the process of :func:`run_in_processes`: a task comes from standard input."""
    task, work, threads = pickle.load(sys.stdin.buffer)
    set_threads(threads)

    def send(**message: object) -> None:
        # Where the parent was killed the pipe is broken, and this process ends.
        sys.stdout.write(json.dumps(message) + "\n")
        sys.stdout.flush()

    def report(step: Progress) -> None:
        if step.validation is not None:
            send(line=describe_epoch("training", step))
        else:
            send(step=step.step)

    import torch

    from busnet.errors import BusnetError

    torch.set_num_threads(threads)
    try:
        run_task(task, work, report=report, log=lambda line: send(line=line))
    except (BusnetError, OSError) as error:
        if isinstance(error, BrokenPipeError):
            raise
        send(error=str(error))
    else:
        send(finished=True)
