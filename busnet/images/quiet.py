"""Libraries' warnings, which say nothing to a user of busnet."""

from __future__ import annotations

import threading
import warnings

__all__ = ["Quiet"]


class Quiet:
    """Ignores warnings while any thread is inside.

    ``warnings.catch_warnings`` restores what it found: of two threads that overlap, the
    one that leaves last would keep the other's filter for good. So all objects of this
    class share one, which the last thread leaves.

    Parameters
    ----------
    module
        Beginning of the names of modules whose warnings are ignored; all by default.
    """

    _lock = threading.Lock()
    _inside = 0
    _catcher = warnings.catch_warnings()

    def __init__(self, module: str = "") -> None:
        self._module = module

    def __enter__(self) -> None:
        with Quiet._lock:
            if Quiet._inside == 0:
                Quiet._catcher = warnings.catch_warnings()
                Quiet._catcher.__enter__()
            warnings.filterwarnings("ignore", module=self._module)
            Quiet._inside += 1

    def __exit__(self, *_: object) -> None:
        with Quiet._lock:
            Quiet._inside -= 1
            if Quiet._inside == 0:
                Quiet._catcher.__exit__(None, None, None)
