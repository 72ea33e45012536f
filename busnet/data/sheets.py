"""Sheets of an .xlsx file, and the one that is meant."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

from busnet.errors import DataError, MissingExtraError

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
        can be.
    """

    name: str
    lines: Sequence[tuple[int, Sequence[str]]]

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
            book = openpyxl.load_workbook(path, read_only=True, data_only=True)
            try:
                sheets = [
                    Sheet(
                        sheet.title,
                        [
                            (line, [_cell_text(cell) for cell in cells])
                            for line, cells in enumerate(sheet.values, 1)
                        ],
                    )
                    for sheet in book.worksheets
                ]
            finally:
                book.close()
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


def _cell_text(cell: object) -> str:
    if cell is None:
        return ""
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    return str(cell)
