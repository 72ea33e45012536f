"""The exceptions that busnet raises.

All derive from :class:`BusnetError` and from the builtin that a caller would expect.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

__all__ = [
    "BusnetError",
    "CacheMissError",
    "DataError",
    "EngineError",
    "ImageError",
    "ImageFileError",
    "ImageTypeError",
    "ImageValueError",
    "LeakError",
    "MissingExtraError",
    "MissingImageError",
    "MissingWeightsError",
    "ModelError",
    "NotAnUltrasoundImageError",
    "OutputError",
    "UnknownNetworkError",
    "WeightsError",
    "WorkerError",
    "requires_extra",
]


class BusnetError(Exception):
    """Base of every exception that busnet raises on purpose."""


class ImageError(BusnetError):
    """Base of the errors about images."""


class ImageTypeError(ImageError, TypeError):
    """The image is of a type or dtype that busnet does not take."""


class ImageValueError(ImageError, ValueError):
    """The image's shape or its values cannot be used."""


class ImageFileError(ImageError, OSError):
    """The image's file cannot be read: unknown format, truncated, too large."""


class MissingImageError(ImageFileError, FileNotFoundError):
    """There is no such image file."""


class NotAnUltrasoundImageError(ImageFileError):
    """The file is sound, but holds no ultrasound image: a report, CT, a segmentation.

    Such files lie in every export; a run over a folder skips and counts them.
    """


class WeightsError(BusnetError, ValueError):
    """A weights file, or an array in it, is not what its network needs."""


class MissingWeightsError(WeightsError, FileNotFoundError):
    """There is no such weights file."""


class ModelError(BusnetError, ValueError):
    """The model cannot do what is asked of it."""


class UnknownNetworkError(BusnetError, ValueError):
    """No network has that name, or no network can be built of the fields."""


class DataError(BusnetError, ValueError):
    """A data set's folder or table is not as its reader expects it."""


class LeakError(DataError):
    """Images of one scene or patient would stand on both sides of a split."""


class OutputError(BusnetError, OSError):
    """Outputs cannot be written: another run writes, or a file is in the way."""


class MissingExtraError(BusnetError, ImportError):
    """The call needs an optional dependency that is not installed."""


@contextlib.contextmanager
def requires_extra(extra: str) -> Iterator[None]:
    """Say which extra of busnet installs what the block imports.

    Parameters
    ----------
    extra
        Name of the extra, such as ``"onnx"``.

    Raises
    ------
    MissingExtraError
        If an import fails in the block.
    """
    try:
        yield
    except MissingExtraError:
        raise
    except ImportError as error:
        raise MissingExtraError(
            f"this needs the extra {extra}: pip install 'busnet[{extra}]' ({error})"
        ) from None


class EngineError(BusnetError, RuntimeError):
    """oneDNN refused an operation."""


class CacheMissError(EngineError, LookupError):
    """The cache of packed weights lacks a layout that a plan needs."""


class WorkerError(BusnetError, RuntimeError):
    """A cluster cannot be reached, or its workers died over a task."""
