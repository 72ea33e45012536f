"""How many threads the engine uses, and what a forked process has of them.

The engine's threads are OpenMP's (libgomp): one pool inside the process. A child that
is forked after the pool was used inherits the pool's book-keeping without its threads,
and waits forever on the first parallel region. With one thread there is no such region,
so that is what a forked child gets.
"""

from __future__ import annotations

import os
import warnings

__all__ = ["get_threads", "set_threads"]

MAX_THREADS = 1024


class _Pool:
    """The process's number of threads."""

    def __init__(self) -> None:
        self.size = _default()
        self.used = False
        self.lost = False

    def after_fork(self) -> None:
        self.lost = self.lost or self.used


def _default() -> int:
    """Return the CPUs that the process may run on, less where OMP_NUM_THREADS is."""
    cpus = len(os.sched_getaffinity(0))
    limit = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    if limit.isdecimal() and int(limit) > 0:
        cpus = min(cpus, int(limit))
    return min(cpus, MAX_THREADS)


_pool = _Pool()
os.register_at_fork(after_in_child=_pool.after_fork)


def set_threads(count: int) -> None:
    """Set how many threads the engine uses from now on, 1 to 1024.

    Raises
    ------
    TypeError, ValueError
        If ``count`` is no integer, or out of range.
    """
    if not isinstance(count, int) or isinstance(count, bool):
        raise TypeError(f"the number of threads is an int, not {type(count).__name__}")
    if not 1 <= count <= MAX_THREADS:
        raise ValueError(f"{count} threads are out of range 1..{MAX_THREADS}")
    _pool.size = count


def get_threads() -> int:
    """Return how many threads the engine uses.

    By default all CPUs that the process may run on, fewer if ``OMP_NUM_THREADS`` says
    so; 1 in a process that was forked after the engine had used several.
    """
    return 1 if _pool.lost else _pool.size


def claim_threads() -> int:
    """Return how many threads to use now, and note that they are used.

    For callers that are about to use them. In a child that was forked after its parent
    had used several it is 1, with one RuntimeWarning.
    """
    count = get_threads()
    if _pool.lost and _pool.size > 1:
        _pool.size = 1
        warnings.warn(
            "this process was forked after busnet had used several threads, so it uses "
            "one; to use more, start workers with multiprocessing's 'spawn' or "
            "'forkserver', or fork before the first prediction",
            RuntimeWarning,
            stacklevel=3,
        )
    _pool.used = _pool.used or count > 1
    return count
