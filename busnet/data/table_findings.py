"""What is wrong with a table of the user's own, or worth knowing of it."""

from __future__ import annotations

import collections
import re
from collections.abc import Collection, Sequence

from busnet.data.busi import GROUPS_FILE
from busnet.data.cases import Case
from busnet.data.findings import Finding, plural, summarise
from busnet.data.folder_files import is_part
from busnet.data.source_names import plain_name
from busnet.data.tables import Row, Table
from busnet.errors import DataError

__all__ = ["check_parts", "group_findings", "table_findings", "value_findings"]

#: Columns that may say which images are for training and which for tests.
_SPLITS = ("split", "set", "subset", "partition")

#: Names of groups that say that the patient is not known.
_UNKNOWN = frozenset(
    ("-", "--", ".", "?", "??", "anonymous", "missing", "n.a.", "not available", "tbd")
) | {"unk", "unknown", "x", "xx", "xxx"}

_NUMBERED = r"(_?(id|ids|name|no|nr|num|number|idx|index|key|code|uid|hash))"

#: Names of columns that may be meant for one that the table lacks.
_MEANT = {
    "group": re.compile(f"(patients?|subjects?|cases?|stud(y|ies)|pid){_NUMBERED}?"),
    "fold": re.compile(f"((k|cv)_?)?folds?{_NUMBERED}?"),
    "source": re.compile(
        f"(hospitals?|sites?|cent(re|er)s?|clinics?|institut(e|ion)s?){_NUMBERED}?"
    ),
    "mask": re.compile(
        r"(mask|seg(mentation)?s?|gt|ground_truth|annotation|outline)(_mask)?"
        r"(_?(file|filename|image|name|path)s?)?"
    ),
    "spacing": re.compile(
        r"((pixel|image)_)?(spacing|size)(_mm)?(_?(x|y|row|column|col)s?)?|"
        r"mm_(per|a)_(pixel|px)"
    ),
    "label": re.compile(r"labels|class(es|_label|_name)|diagnos[ie]s|pathology|target"),
}


def check_parts(table: Table) -> None:
    """Refuse a table with a column for training and test, which is not read.

    Raises
    ------
    DataError
        If there is one, as ``split`` with the values ``train`` and ``test``.
    """
    for column in _SPLITS:
        values = {row.values.get(column, "").casefold() for row in table.rows}
        parts = sorted(filter(is_part, values))
        if len(parts) > 1:
            raise DataError(
                f"{table.path}: the column {column!r} divides the images into "
                f"{summarise(parts)}, and is not read; write a column 'fold' with "
                f"numbers in its place, or keep the rows of one part alone, without it"
            )


def table_findings(
    table: Table, faults: Sequence[str], *, known: Collection[str]
) -> list[Finding]:
    """Say which rows cannot be used, and what of the table is not used.

    Parameters
    ----------
    table
        The table.
    faults
        What is wrong with rows.
    known
        The columns that are used.
    """
    findings = []
    if faults:
        message = f"{table.path}: {plural(len(faults), 'row')} cannot be used"
        findings.append(Finding("table", "error", message, tuple(faults)))
    unknown = [column for column in table.columns if column not in known]
    for name, pattern in _MEANT.items():
        meant = [column for column in unknown if pattern.fullmatch(column)]
        if name not in table.columns and meant:
            message = (
                f"{table.path}: there is no column {name!r}, and one that may be meant "
                f"is not used; call it so if it is"
            )
            findings.append(Finding("ignored", "warning", message, tuple(meant)))
            unknown = [column for column in unknown if column not in meant]
    if unknown:
        message = f"{table.path}: {plural(len(unknown), 'column')} not used"
        findings.append(Finding("ignored", "note", message, tuple(unknown)))
    if table.unread:
        message = f"{table.path}: {plural(len(table.unread), 'sheet')} not used"
        findings.append(Finding("ignored", "warning", message, table.unread))
    if table.hidden:
        message = (
            f"{table.path}: {plural(len(table.hidden), 'row')} hidden in the sheet, by "
            f"a filter, say, and used like the others"
        )
        lines = tuple(f"row {line}" for line in table.hidden)
        findings.append(Finding("hidden-rows", "warning", message, lines))
    return findings


def value_findings(table: Table, cases: Sequence[Case]) -> list[Finding]:
    """Warn of values of one column that are spellings of one, as ``GE`` and ``ge``."""
    spellings: dict[tuple[str, str], dict[str, None]] = {}
    for case in cases:
        for name, value in case.attributes.items():
            spellings.setdefault((name, plain_name(value)), {})[value] = None
    several = [
        f"{name} {' and '.join(map(repr, values))}"
        for (name, _), values in spellings.items()
        if len(values) > 1
    ]
    if not several:
        return []
    message = (
        f"{table.path}: {plural(len(several), 'value')} of several spellings, which "
        f"count as different"
    )
    return [Finding("similar-values", "warning", message, tuple(several))]


def group_findings(
    table: Table, rows: Sequence[Row], cases: Sequence[Case]
) -> list[Finding]:
    """Warn of images whose patients are not known.

    Those are images without a group where others have one or in BUSI, which holds
    copies; and groups that are called unknown, so that they may be several patients.
    """
    paired = list(zip(rows, cases, strict=True))
    alone = [case for row, case in paired if not row.get("group")]
    scenes = tuple(case.name for case in alone if case.source == "busi")
    sources = {case.source for row, case in paired if row.get("group")}
    findings = []
    if scenes:
        message = (
            f"{table.path}: {plural(len(scenes), 'image')} of busi without a group, "
            f"and it holds copies of scenes, whose groups are in {GROUPS_FILE}"
        )
        findings.append(Finding("no-group", "warning", message, scenes))
    others = tuple(case.name for case in alone if case.source in sources - {"busi"})
    if others:
        message = (
            f"{table.path}: {plural(len(others), 'image')} without a group beside "
            f"images with one, so that each counts as another patient's"
        )
        findings.append(Finding("no-group", "warning", message, others))
    sizes = collections.Counter(
        case.key for _, case in paired if case.group.casefold() in _UNKNOWN
    )
    vague = tuple(key for key, size in sizes.items() if size > 1)
    if vague:
        message = (
            f"{table.path}: {plural(len(vague), 'group')} called as an unknown patient "
            f"is, whose images may be several patients'; leave the cells blank, or "
            f"number the patients"
        )
        findings.append(Finding("unknown-group", "warning", message, vague))
    return findings
