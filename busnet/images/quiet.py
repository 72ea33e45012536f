"""Libraries' warnings, which say nothing to a user of busnet."""

from __future__ import annotations

import threading
import warnings

__all__ = ["Quiet"]


class Quiet:
    """Ignores warnings while any thread is inside.

    ``warnings.catch_warnings`` restores what it found: of two threads that overlap, the
    one that leaves last would keep the other's filter for good.

    Parameters
    ----------
    module
        Beginning of the names of modules whose warnings are ignored; all by default.
    """

    def __init__(self, module: str = "") -> None:
        self._module = module
        self._lock = threading.Lock()
        self._inside = 0
        self._catcher = warnings.catch_warnings()

    def __enter__(self) -> None:
        with self._lock:
            if self._inside == 0:
                self._catcher = warnings.catch_warnings()
                self._catcher.__enter__()
                warnings.filterwarnings("ignore", module=self._module)
            self._inside += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._inside -= 1
            if self._inside == 0:
                self._catcher.__exit__(None, None, None)
