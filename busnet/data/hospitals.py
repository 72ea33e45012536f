"""Faults between hospitals: one with two names, or a patient who is in two."""

from __future__ import annotations

import collections
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from busnet.data.cases import Case
from busnet.data.findings import Finding, plural
from busnet.data.source_names import PUBLISHED, plain_name
from busnet.data.tables import Row
from busnet.errors import DataError

__all__ = ["check_names", "name_faults", "patient_faults", "shared_patients"]

#: Names that are a number, perhaps behind a word or a year, which every hospital may
#: have: 7, P7, patient 7, 2021-0034.
_NUMBER = re.compile(r"([^\W\d_]{1,10}[\s_.-]*|(19|20)\d\d[\s_./-]+)?\d+")


#: What helps against two spellings of a hospital, and against a patient in two.
_ONE_SPELLING = (
    "give one hospital one name, and two hospitals names that differ in more than "
    "case, spaces and hyphens"
)
_ONE_SOURCE = "give two patients two names, and one patient one source"


def name_faults(rows: Sequence[Row], cases: Sequence[Case]) -> list[str]:
    """Name the rows of a table whose source is another spelling of an earlier one."""
    first: dict[str, tuple[str, int]] = {}
    faults: dict[str, str] = {}
    for row, case in zip(rows, cases, strict=True):
        name, line = first.setdefault(plain_name(case.source), (case.source, row.line))
        if name != case.source:
            faults.setdefault(
                case.source,
                f"{row.where}: the source {case.source!r} is spelled {name!r} in line "
                f"{line}; {_ONE_SPELLING}",
            )
    return [*faults.values()]


def check_names(origins: Mapping[str, Path]) -> None:
    """Refuse a hospital whose name two tables spell in two ways.

    Within one table that is for :func:`name_faults` to say.

    Parameters
    ----------
    origins
        The folder or table of each source.

    Raises
    ------
    DataError
        If there is one.
    """
    spellings: dict[str, str] = {}
    for name, path in origins.items():
        first = spellings.setdefault(plain_name(name), name)
        if first != name and path != origins[first]:
            raise DataError(
                f"{origins[first]} holds the source {first!r} and {path} the source "
                f"{name!r}; {_ONE_SPELLING}"
            )


def patient_faults(rows: Sequence[Row], cases: Sequence[Case]) -> list[str]:
    """Name the rows of a table whose patient is in another hospital, too.

    Patients who are known by a number are no fault: see :func:`shared_patients`.
    """
    sources: dict[str, str] = {}
    faults = []
    for row, case in zip(rows, cases, strict=True):
        if not row.get("group") or _NUMBER.fullmatch(case.group):
            continue
        first = sources.setdefault(case.group, case.source)
        if first != case.source:
            faults.append(
                f"{row.where}: the group {case.group!r} is in the sources {first!r} "
                f"and {case.source!r}; {_ONE_SOURCE}"
            )
    return faults


def shared_patients(
    cases: Sequence[Case], origins: Mapping[str, Path]
) -> list[Finding]:
    """Look for patients, or groups of another kind, that several hospitals have.

    A number, such as ``7`` or ``P7``, may be another patient in each hospital, and a
    folder may be none (``left``), which is a warning; any other name in two tables is
    an error, and within one table that is for :func:`patient_faults` to say. Published
    data sets have numbers of their own.

    Parameters
    ----------
    cases
        Of all sources.
    origins
        The folder or table of each source.
    """
    names = {(case.source, case.name) for case in cases}
    folders = {path for path in origins.values() if path.is_dir()}
    places: dict[str, dict[str, None]] = collections.defaultdict(dict)
    for case in cases:
        # A group that has the name of an image is one without a patient.
        if case.source not in PUBLISHED and (case.source, case.group) not in names:
            places[case.group][case.source] = None
    vague: list[str] = []
    clear: list[str] = []
    for group, sources in places.items():
        if len(sources) > 1:
            subject = f"{group!r} in {' and '.join(sources)}"
            paths = {origins[source] for source in sources}
            if _NUMBER.fullmatch(group):
                vague.append(subject)
            elif len(paths) > 1:
                (clear if len(paths - folders) > 1 else vague).append(subject)
    findings = []
    if clear:
        findings.append(
            Finding(
                "shared-group",
                "error",
                f"{plural(len(clear), 'group')} in several sources; {_ONE_SOURCE}",
                tuple(clear),
            )
        )
    if vague:
        findings.append(
            Finding(
                "shared-name",
                "warning",
                f"{plural(len(vague), 'name')} of groups in several sources, which "
                f"count as different patients",
                tuple(vague),
            )
        )
    return findings
