"""What pydicom and its decoders raise and warn of, as errors that name the file."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from busnet.errors import BusnetError, ImageFileError
from busnet.images.quiet import Quiet

__all__ = ["named_errors"]

#: Decoders quote each other: longer messages are cut.
MAX_MESSAGE = 300


_quiet = Quiet()


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
