"""What pydicom and its decoders raise and warn of, as errors that name the file."""

from __future__ import annotations

import contextlib
import threading
import warnings
from collections.abc import Iterator

from busnet.errors import BusnetError, ImageFileError

__all__ = ["named_errors"]

#: Decoders quote each other: longer messages are cut.
MAX_MESSAGE = 300


class _Quiet:
    """Ignores warnings while any thread is inside.

    ``warnings.catch_warnings`` restores what it found: of two threads that overlap, the
    one that leaves last would keep the other's filter for good.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._catcher = warnings.catch_warnings()

    def __enter__(self) -> None:
        with self._lock:
            if self._inside == 0:
                self._catcher = warnings.catch_warnings()
                self._catcher.__enter__()
                warnings.simplefilter("ignore")
            self._inside += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._inside -= 1
            if self._inside == 0:
                self._catcher.__exit__(None, None, None)


_quiet = _Quiet()


@contextlib.contextmanager
def named_errors(name: str) -> Iterator[None]:
    """Turn whatever goes wrong into an error that names the file.

    pydicom's warnings quote the values of tags, which may be a patient's: they are not
    passed on.
    """
    with _quiet:
        try:
            yield
        except BusnetError as error:
            raise type(error)(f"{name}: {error}") from None
        except Exception as error:  # decoders raise whatever they like
            message = " ".join(str(error).split())
            if len(message) > MAX_MESSAGE:
                message = message[:MAX_MESSAGE] + " ..."
            raise ImageFileError(
                f"{name}: cannot be read as DICOM: {message or type(error).__name__}"
            ) from error
