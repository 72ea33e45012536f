"""An ordered map over a few threads."""

from __future__ import annotations

import collections
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

__all__ = ["ordered_map"]

A = TypeVar("A")
B = TypeVar("B")


def ordered_map(
    function: Callable[[A], B], items: Iterable[A], *, threads: int, prefetch: int
) -> Generator[tuple[A, B], None, None]:
    """Yield each item with its result, in the order of the items.

    The items are drawn in the caller's thread. When the caller stops, calls that have
    not begun are cancelled.

    Parameters
    ----------
    function
        Called with one item, in a thread of the map. What it raises is raised
        when the turn of its item comes.
    items
        Drawn as they are needed.
    threads
        Number of threads.
    prefetch
        Number of items that are submitted before their result is asked for.
    """
    pending: collections.deque[tuple[A, Future[B]]] = collections.deque()
    pool = ThreadPoolExecutor(threads, thread_name_prefix="busnet-map")
    try:
        for item in items:
            pending.append((item, pool.submit(function, item)))
            if len(pending) > prefetch:
                first, future = pending.popleft()
                yield first, future.result()
        while pending:
            first, future = pending.popleft()
            yield first, future.result()
    finally:
        pool.shutdown(cancel_futures=True)
