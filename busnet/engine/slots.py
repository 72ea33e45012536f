"""Slots: numbers for callers that compute beside each other, one thread each."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

from busnet.engine.threads import get_threads

__all__ = ["Slots"]


class Slots:
    """As many slots as the engine uses threads; safe to use from several threads.

    What belongs to a slot, such as a plan with its arena, is used by one caller at a
    time.
    """

    def __init__(self) -> None:
        self._used: set[int] = set()
        self._changed = threading.Condition()

    @contextlib.contextmanager
    def take(self) -> Iterator[int]:
        """Lend the lowest free slot, from 0, until the block ends; wait for one."""
        with self._changed:
            while len(self._used) >= (count := get_threads()):
                self._changed.wait()
            slot = next(i for i in range(count) if i not in self._used)
            self._used.add(slot)
        try:
            yield slot
        finally:
            with self._changed:
                self._used.remove(slot)
                self._changed.notify()
