"""Reading tables: CSV as spreadsheets, pandas and people write it, and .xlsx.

One reader for every table that busnet takes: manifests, own data, groups and the
tables of published data sets. Names of columns are read in any case.
"""

from __future__ import annotations

import codecs
import csv
import dataclasses
import io
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from busnet.data.sheets import choose_sheet, read_sheets
from busnet.errors import DataError

__all__ = ["Row", "Table", "parse_table", "read_table"]

#: What may stand between the cells of a line.
_DELIMITERS = (",", ";", "\t", "|")

#: Byte-order marks with their encodings, the longer ones first.
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)

#: How programs write a cell without a value: R writes NA, pandas nan.
_BLANKS = frozenset(("", "na", "nan", "<na>", "none", "null", "n/a"))

#: How spreadsheets write a cell whose formula failed, in several languages.
_FORMULA_ERROR = re.compile(
    r"#[¡¿]?[A-ZÀ-Þ][A-ZÀ-Þ0-9/_]{1,14}[!?]|#N/[AD]|#NV|#GETTING_DATA|Err:\d{3}"
)

#: A formula whose value is not in the file, as scripts write it, and one that keeps a
#: text from being read as a number: ``="007"``.
_FORMULA = re.compile(r"=\S.*", re.DOTALL)
_QUOTED = re.compile(r'^="([^"]*)"$')

#: How spreadsheets and pandas write a long number that they rounded.
_ROUNDED = re.compile(r"\d([.,]\d+)?E\+\d+", re.IGNORECASE)

_SHEETS = frozenset((".xlsx", ".xlsm"))
_OTHER_SHEETS = frozenset((".xls", ".xlsb", ".ods", ".numbers"))


@dataclasses.dataclass(frozen=True)
class Row:
    """One row of a table.

    Attributes
    ----------
    path, line
        The table's file, and the line or the sheet's row where the row begins, from 1.
    values
        The cells by column, without the white space around them; the names of columns
        are in lower case.
    """

    path: Path
    line: int
    values: Mapping[str, str]

    @property
    def where(self) -> str:
        """The file and the line, for messages."""
        return f"{self.path}, line {self.line}"

    def __getitem__(self, column: str) -> str:
        value = self.values[column]
        if _FORMULA_ERROR.fullmatch(value):
            raise DataError(
                f"{self.where}: the {column} is {value}, the error of a formula; "
                f"correct it, or leave the cell blank"
            )
        if _FORMULA.fullmatch(value):
            raise DataError(
                f"{self.where}: the {column} is the formula {value!r}, whose value the "
                f"file does not hold; save it by a spreadsheet program, or as values"
            )
        return value

    def get(self, column: str) -> str:
        """Return a cell, "" if it is blank, holds NaN or the table has no such column.

        What counts as blank is what pandas and databases write for no value.

        Raises
        ------
        DataError
            If a formula failed there, as ``#N/A`` says, or its value is not in the
            file. It would be a value that many rows share.
        """
        value = self[column] if column in self.values else ""
        return "" if value.casefold() in _BLANKS else value

    def identifier(self, column: str) -> str:
        """Return a cell that is a name; a number that pandas wrote as ``7.0`` is 7.

        Raises
        ------
        DataError
            If it is a number that a spreadsheet rounded, as ``2.02E+11`` shows: several
            patients would have it.
        """
        value = self.get(column)
        if _ROUNDED.fullmatch(value):
            raise DataError(
                f"{self.where}: the {column} {value!r} is a number that a spreadsheet "
                f"rounded; write numbers of patients as text"
            )
        return re.sub(r"^(\d+)\.0+$", r"\1", value)

    def has(self, column: str) -> bool:
        """Tell whether a cell is not blank; the error of a formula is not."""
        return self.values.get(column, "").casefold() not in _BLANKS

    def integer(self, column: str) -> int | None:
        """Return a cell as an integer, None if it is blank; ``3.0`` is 3.

        Raises
        ------
        DataError
            If it is no integer.
        """
        value = self.get(column)
        if not value:
            return None
        if not re.fullmatch(r"[+-]?\d{1,9}(\.0*)?", value, re.ASCII):
            raise DataError(
                f"{self.where}: the {column} {self.values[column]!r} is no whole number"
            )
        return int(value.partition(".")[0])


@dataclasses.dataclass(frozen=True)
class Table:
    """A table.

    Attributes
    ----------
    path
        The file.
    columns
        Names of the columns, in lower case.
    rows
        The rows that are not blank.
    unread
        Names of further sheets of the file that are not empty.
    hidden
        Numbers of the rows that are hidden in the sheet; they are among ``rows``.
    """

    path: Path
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    unread: tuple[str, ...] = ()
    hidden: tuple[int, ...] = ()


def read_table(
    path: str | os.PathLike[str],
    *,
    required: Sequence[str] = (),
    sought: Sequence[str] = (),
    delimiter: str | None = None,
) -> Table:
    """Read a CSV table or a sheet of an .xlsx file.

    It may have commas, semicolons, tabs or ``|`` between cells; UTF-8 or UTF-16, with a
    byte-order mark or without; Excel's line ``sep=;``; quoted cells, also with line
    breaks; rows that are shorter than the header; blank rows. Names of columns are read
    in any case, with spaces for underscores. A column without a name is left out. Of
    several sheets that are not empty, the only one with the required columns and a
    sought one is read.

    Parameters
    ----------
    path
        The file.
    required
        Columns, in lower case, that the table must have.
    sought
        Columns of which it should have one.
    delimiter
        What stands between cells; by default the one that gives the required columns,
        or the most columns.

    Raises
    ------
    DataError
        If the file cannot be read, is neither UTF-8 nor UTF-16, has no header, lacks a
        column or has one twice, a row has more cells than the header, or several sheets
        can be meant.
    MissingExtraError
        If it is an .xlsx file and openpyxl is not installed.
    """
    file = Path(path)
    suffix = file.suffix.lower()
    if suffix in _OTHER_SHEETS:
        raise DataError(f"{file}: {suffix} is not read; save it as .xlsx or .csv")
    if suffix in _SHEETS:
        return _read_sheet(file, required, sought)
    text = _read_text(file)
    delimiter = delimiter or _delimiter(text, (*required, *sought))
    return parse_table(text, file, required=required, delimiter=delimiter)


def parse_table(
    text: str,
    path: Path,
    *,
    required: Sequence[str] = (),
    delimiter: str | None = None,
) -> Table:
    """Return the table of a CSV text; ``path`` is what messages call it.

    The other parameters and the errors are those of :func:`read_table`.
    """
    lines = _text_lines(path, text, delimiter or _delimiter(text, required))
    return _table(path, lines, required)


def _read_sheet(path: Path, required: Sequence[str], sought: Sequence[str]) -> Table:
    def fits(header: Sequence[str]) -> bool:
        columns = {_column(cell) for cell in header}
        return columns >= {*required} and (not sought or bool(columns & {*sought}))

    sheets = read_sheets(path)
    chosen = choose_sheet(path, sheets, fits)
    table = _table(path, chosen.lines, required)
    unread = tuple(sheet.name for sheet in sheets if sheet is not chosen)
    used = {row.line for row in table.rows}
    hidden = tuple(line for line in chosen.hidden if line in used)
    return dataclasses.replace(table, unread=unread, hidden=hidden)


def _table(
    path: Path, lines: Iterable[tuple[int, Sequence[str]]], required: Sequence[str]
) -> Table:
    columns: list[str] | None = None
    rows = []
    for line, cells in lines:
        stripped = [_QUOTED.sub(r"\1", cell.strip()) for cell in cells]
        if not any(stripped):
            continue
        if columns is None:
            columns = _header(path, stripped, required)
            continue
        if any(stripped[len(columns) :]):
            raise DataError(
                f"{path}, line {line}: there are {len(stripped)} cells, but the header "
                f"has {len(columns)}"
            )
        stripped += [""] * (len(columns) - len(stripped))
        values = dict(zip(columns, stripped, strict=False))
        values.pop("", None)
        rows.append(Row(path, line, values))
    if columns is None:
        raise DataError(f"{path}: the table is empty")
    return Table(path, tuple(c for c in columns if c), tuple(rows))


def _header(path: Path, cells: Sequence[str], required: Sequence[str]) -> list[str]:
    columns = [_column(cell) for cell in cells]
    for column in columns:
        if column and columns.count(column) > 1:
            raise DataError(f"{path}: the column {column!r} is there twice")
    for column in required:
        if column not in columns:
            present = ", ".join(c for c in columns if c)
            raise DataError(
                f"{path}: column {column!r} is missing; there are {present}"
            )
    return columns


def _column(cell: str) -> str:
    return re.sub(r"[\s-]+", "_", cell.strip().casefold())


def _read_text(path: Path) -> str:
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise DataError(f"{path}: no such file") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from None
    encoding, mark = _encoding(data)
    try:
        text = data[len(mark) :].decode(encoding)
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise DataError(
            f"{path}, line {line}: the file is not {encoding.upper()}; "
            f"save it as 'CSV UTF-8'"
        ) from None
    if "\0" in text:
        raise DataError(f"{path}: it is no text: it holds a zero byte")
    return text


def _encoding(data: bytes) -> tuple[str, bytes]:
    """Return the encoding of a text and its byte-order mark."""
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            return encoding, mark
    head = data[:200]
    # Of UTF-16 without a mark every other byte is zero, as far as it is Latin.
    if len(head) >= 4 and not any(head[1::2]):
        return "utf-16-le", b""
    if len(head) >= 4 and not any(head[0::2]):
        return "utf-16-be", b""
    return "utf-8", b""


def _delimiter(text: str, required: Sequence[str]) -> str:
    """Return what separates the header's cells."""
    lines = io.StringIO(text, newline=None)
    first = next((line for line in lines if line.strip()), "")
    if match := re.fullmatch(r'"?sep=(.)"?', first.strip("\r\n"), re.IGNORECASE):
        return match[1]

    def fitness(delimiter: str) -> tuple[int, int]:
        try:
            cells = next(csv.reader([first], delimiter=delimiter), [])
        except csv.Error:
            return 0, 0
        columns = {_column(cell) for cell in cells}
        return len(columns & set(required)), len(cells)

    return max(_DELIMITERS, key=fitness)


def _text_lines(
    path: Path, text: str, delimiter: str
) -> Iterator[tuple[int, list[str]]]:
    """Yield the number of the line where each record begins, and its cells."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    line = 1
    try:
        for i, cells in enumerate(reader):
            separator = i == 0 and len(cells) <= 2 and cells and _is_separator(cells[0])
            if not separator:
                yield line, cells
            line = reader.line_num + 1
    except csv.Error as error:
        raise DataError(f"{path}, line {line}: cannot be read: {error}") from None


def _is_separator(cell: str) -> bool:
    return bool(re.fullmatch(r"sep=.?", cell, re.IGNORECASE))
