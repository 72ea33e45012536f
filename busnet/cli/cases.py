"""Reading data sets for a command, and saying what of them is not used."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.markup import escape

from busnet.data import Case, Finding, list_sources, parse_sources
from busnet.data.findings import raise_errors
from busnet.experiments.progress import messages

__all__ = ["print_findings", "printable", "read_cases"]

COLOURS = {"error": "bold red", "warning": "yellow", "note": "dim"}


def read_cases(data: Sequence[str]) -> list[Case]:
    """Return the cases of sources that are given as ``NAME=PATH`` or ``PATH``.

    Warnings and notes of their readers go to standard error.

    Raises
    ------
    DataError
        If a source cannot be used.
    """
    listing = list_sources(parse_sources(data))
    raise_errors(listing.findings)
    print_findings(listing.findings)
    return list(listing.cases)


def print_findings(findings: Iterable[Finding]) -> None:
    """Print findings on standard error, a line each."""
    for finding in findings:
        messages.print(
            f"[{COLOURS[finding.severity]}]{finding.severity}:[/] "
            f"{printable(str(finding))}",
            soft_wrap=True,
            highlight=False,
        )


def printable(text: str) -> str:
    """Return a text for the console, also where file names are not UTF-8."""
    return escape(text.encode("utf-8", "backslashreplace").decode())
