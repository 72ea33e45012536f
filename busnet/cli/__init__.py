"""The command line: a module for each command, or for a few that belong together."""

from __future__ import annotations

from collections.abc import Sequence

from busnet.cli import (
    audit,
    baselines,
    benchmark,
    check,
    convert,
    evaluate,
    info,
    predict,
    quantize,
    robustness,
    train,
)
from busnet.cli.common import app, fail
from busnet.errors import BusnetError

__all__ = [
    "app",
    "audit",
    "baselines",
    "benchmark",
    "check",
    "convert",
    "evaluate",
    "info",
    "main",
    "predict",
    "quantize",
    "robustness",
    "train",
]


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; what it cannot do ends with status 1 or 2.

    Parameters
    ----------
    arguments
        By default those that the process was started with.
    """
    try:
        app(arguments)
    except BusnetError as error:
        fail(str(error))
    except (OSError, MemoryError) as error:
        fail(_describe(error))


def _describe(error: OSError | MemoryError) -> str:
    """Return an error of the system in words, with the file that it is about."""
    if isinstance(error, OSError) and error.filename and error.strerror:
        return f"{error.filename}: {error.strerror}"
    return f"{type(error).__name__}: {error}"
