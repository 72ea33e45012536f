"""Findings: what is wrong, or worth knowing, about a data set."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

from busnet._io import encodable
from busnet.data.cases import Case
from busnet.errors import DataError

__all__ = [
    "Finding",
    "Listing",
    "Severity",
    "collect_findings",
    "plural",
    "raise_errors",
    "summarise",
]

#: ``"error"``: a result would be wrong, so nothing is computed. ``"warning"``: a result
#: may be wrong. ``"note"``: worth knowing.
Severity = Literal["error", "warning", "note"]

#: Names that a message lists; the rest is counted.
_LISTED = 5


@dataclasses.dataclass(frozen=True)
class Finding:
    """One kind of fault, or one fact, with all that it concerns.

    Bytes of file names that are not UTF-8 are escaped in it.

    Attributes
    ----------
    kind
        What it is, in one or two words with hyphens: ``"empty-mask"``.
    severity
        See :data:`Severity`.
    message
        One sentence that says what it is and how many it concerns.
    subjects
        Names of the cases, files or groups that it concerns, all of them.
    """

    kind: str
    severity: Severity
    message: str
    subjects: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Escape what is not UTF-8."""
        object.__setattr__(self, "message", encodable(self.message))
        object.__setattr__(self, "subjects", tuple(map(encodable, self.subjects)))

    def __str__(self) -> str:
        listed = summarise(self.subjects)
        return f"{self.message}: {listed}" if listed else self.message


@dataclasses.dataclass(frozen=True)
class Listing:
    """The cases of a data set, and what its reader found in it."""

    cases: tuple[Case, ...]
    findings: tuple[Finding, ...] = ()


def collect_findings(
    subjects: Mapping[str, Sequence[str]],
    kinds: Iterable[tuple[str, Severity, str]],
    noun: str,
) -> list[Finding]:
    """Return a finding for each kind that has subjects.

    Parameters
    ----------
    subjects
        By kind.
    kinds
        Kind, severity and message of each; ``{}`` in the message stands for the number
        of subjects.
    noun
        What is counted.
    """
    return [
        Finding(
            kind,
            severity,
            text.format(plural(len(subjects[kind]), noun)),
            tuple(subjects[kind]),
        )
        for kind, severity, text in kinds
        if subjects.get(kind)
    ]


def plural(count: int, noun: str) -> str:
    """Return a count with its noun: ``1 file``, ``2 files``, ``2 classes``."""
    if count == 1:
        return f"1 {noun}"
    if noun.endswith("s"):
        return f"{count} {noun}es"
    return f"{count} {noun[:-1]}ies" if noun.endswith("y") else f"{count} {noun}s"


def summarise(names: Sequence[str]) -> str:
    """Return the first names, and how many more there are."""
    shown = ", ".join(names[:_LISTED])
    more = len(names) - _LISTED
    return f"{shown} and {more} more" if more > 0 else shown


def raise_errors(findings: Iterable[Finding]) -> None:
    """Raise what is wrong.

    Raises
    ------
    DataError
        If a finding is an error; all of them are in the message.
    """
    errors = [str(f) for f in findings if f.severity == "error"]
    if errors:
        raise DataError("; ".join(errors))
