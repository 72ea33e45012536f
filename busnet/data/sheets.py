"""Sheets of an .xlsx file, and the one that is meant."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from busnet.errors import DataError, MissingExtraError

if TYPE_CHECKING:
    from openpyxl import Workbook
    from openpyxl.worksheet.worksheet import Worksheet

__all__ = ["Sheet", "choose_sheet", "read_sheets"]


@dataclasses.dataclass(frozen=True)
class Sheet:
    """A sheet that is not empty.

    Attributes
    ----------
    name
        What its tab says.
    lines
        The number of each row, from 1, and its cells as text, numbers as short as they
        can be. Cells that are merged with one above have its value. A formula whose
        value the file does not hold stands as such, as ``=A1``.
    hidden
        The numbers of the rows that are hidden, by a filter, say, and not blank.
    """

    name: str
    lines: Sequence[tuple[int, Sequence[str]]]
    hidden: Sequence[int] = ()

    @property
    def header(self) -> Sequence[str]:
        """The cells of the first row that is not blank."""
        return next(cells for _, cells in self.lines if any(map(str.strip, cells)))


def read_sheets(path: Path) -> list[Sheet]:
    """Read the sheets of a file that are not empty.

    Raises
    ------
    DataError
        If the file cannot be read.
    MissingExtraError
        If openpyxl is not installed.
    """
    try:
        import openpyxl
    except ImportError as error:
        raise MissingExtraError(
            f"{path}: .xlsx files need the extra: pip install 'busnet[xlsx]', or save "
            f"it as .csv ({error})"
        ) from None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of styles and forms, which do not matter
            # Formulas are in one reading of the file, their values in the other.
            formulas = values = openpyxl.load_workbook(path)
            if _has_formulas(formulas):
                values = openpyxl.load_workbook(path, data_only=True)
        sheets = [
            _read_sheet(sheet, values[sheet.title]) for sheet in formulas.worksheets
        ]
    except FileNotFoundError:
        raise DataError(f"{path}: no such file") from None
    except Exception as error:  # whatever a spoiled archive or its XML raises
        raise DataError(f"{path}: cannot be read as .xlsx: {error}") from None
    return [
        sheet
        for sheet in sheets
        if any(cell.strip() for _, cells in sheet.lines for cell in cells)
    ]


def choose_sheet(
    path: Path, sheets: Sequence[Sheet], fits: Callable[[Sequence[str]], bool]
) -> Sheet:
    """Return the only sheet, or the only one whose header fits.

    Raises
    ------
    DataError
        If there is no sheet, or several and not one alone of them fits.
    """
    if not sheets:
        raise DataError(f"{path}: the table is empty")
    fitting = [sheet for sheet in sheets if fits(sheet.header)]
    if len(fitting) == 1 or len(sheets) == 1:
        return (fitting or sheets)[0]
    names = ", ".join(repr(sheet.name) for sheet in fitting or sheets)
    which = "each have the columns" if fitting else "all lack the columns"
    raise DataError(
        f"{path}: the sheets {names} {which} that are needed; leave one such sheet, or "
        f"save it as .csv"
    )


def _has_formulas(book: Workbook) -> bool:
    return any(
        cell.data_type == "f"
        for sheet in book.worksheets
        for cells in sheet.iter_rows()
        for cell in cells
    )


def _read_sheet(formulas: Worksheet, values: Worksheet) -> Sheet:
    """Return a sheet, given its formulas and their values."""
    rows = []
    for cells, computed in zip(formulas.iter_rows(), values.iter_rows(), strict=True):
        rows.append([cell.value for cell in computed])
        for i, cell in enumerate(cells):
            # A computed text that is empty has no value, either, but another type.
            is_blank = rows[-1][i] is None and computed[i].data_type == "n"
            if cell.data_type == "f" and is_blank:
                rows[-1][i] = _formula_text(cell.value)
    for area in formulas.merged_cells.ranges:
        column = area.min_col - 1
        for row in range(area.min_row, area.max_row):
            rows[row][column] = rows[area.min_row - 1][column]
    lines = [
        (line, [_cell_text(cell) for cell in cells])
        for line, cells in enumerate(rows, 1)
    ]
    hidden = [
        line
        for line, cells in lines
        if formulas.row_dimensions[line].hidden and any(map(str.strip, cells))
    ]
    return Sheet(formulas.title, lines, hidden)


def _formula_text(value: object) -> str:
    """Return a formula, also one of several cells, as it stands in the file."""
    text = str(getattr(value, "text", value))
    return text if text.startswith("=") else f"={text}"


def _cell_text(cell: object) -> str:
    if cell is None:
        return ""
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    return str(cell)
