"""Computing ahead: items through a few threads, their results in order."""

from __future__ import annotations

import collections
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

__all__ = ["in_order"]

A = TypeVar("A")
B = TypeVar("B")


def in_order(
    function: Callable[[A], B], items: Iterable[A], *, threads: int, ahead: int
) -> Iterator[tuple[A, B]]:
    """Yield items with their results, in order, at most ``ahead`` of them early.

    Items are taken in the caller's thread. When the caller stops, what was not begun
    is not done.
    """
    waiting: collections.deque[tuple[A, Future[B]]] = collections.deque()
    pool = ThreadPoolExecutor(threads, thread_name_prefix="busnet-ahead")
    try:
        for item in items:
            waiting.append((item, pool.submit(function, item)))
            if len(waiting) > ahead:
                first, future = waiting.popleft()
                yield first, future.result()
        while waiting:
            first, future = waiting.popleft()
            yield first, future.result()
    finally:
        pool.shutdown(cancel_futures=True)
