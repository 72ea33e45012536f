"""The command line: a module for each command, or for a few that belong together."""

from __future__ import annotations

import sys
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
from busnet.cli.common import USAGE, app, fail
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

#: Options whose value is a list of names, which may be empty.
_LISTS = ("--networks",)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; what it cannot do ends with status 1 or 2.

    Parameters
    ----------
    arguments
        By default those that the process was started with.
    """
    _refuse_empty(sys.argv[1:] if arguments is None else arguments)
    try:
        app(arguments)
    except BusnetError as error:
        fail(str(error))
    except (OSError, MemoryError) as error:
        fail(_describe(error))


def _refuse_empty(arguments: Sequence[str]) -> None:
    """Refuse arguments that are empty, as variables of the shell are that are not set.

    A path would be the working directory. A list of names may be empty.
    """
    for before, argument in zip(["", *arguments], arguments, strict=False):
        option, equals, value = argument.partition("=")
        if argument == "" and before not in _LISTS:
            after = f" after {before}" if before else ""
            fail(f"an argument{after} is empty: is a variable not set?", USAGE)
        if option.startswith("--") and equals and not value and option not in _LISTS:
            fail(f"{option} is empty: is a variable not set?", USAGE)


def _describe(error: OSError | MemoryError) -> str:
    """Return an error of the system in words, with the file that it is about."""
    if isinstance(error, OSError) and error.filename and error.strerror:
        return f"{error.filename}: {error.strerror}"
    return f"{type(error).__name__}: {error}"
