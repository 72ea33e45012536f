"""Whole numbers and folds, as callers give them: NumPy's become Python's."""

from __future__ import annotations

import operator
from typing import SupportsIndex

import numpy as np

from busnet.errors import BusnetError, DataError

__all__ = ["check_fold", "check_seed", "whole_number"]


def whole_number(
    value: SupportsIndex, name: str, error: type[BusnetError] = DataError
) -> int:
    """Return a whole number as Python's, which JSON takes.

    Parameters
    ----------
    value
        Any whole number, such as one of a column of a data frame.
    name
        What the message calls it, such as ``"the seed"``.
    error
        Class of the error.

    Raises
    ------
    BusnetError
        Of the class ``error``, if it is another value: a truth value or 1.0, say.
    """
    try:
        if isinstance(value, bool | np.bool_):
            raise TypeError
        return operator.index(value)
    except TypeError:
        raise error(f"{name} is a whole number, not {value!r}") from None


def check_seed(value: SupportsIndex, error: type[BusnetError] = DataError) -> int:
    """Return the seed of a generator of NumPy's as a number of Python's.

    Raises
    ------
    BusnetError
        Of the class ``error``, if it is no whole number, or negative.
    """
    seed = whole_number(value, "the seed", error)
    if seed < 0:
        raise error(f"the seed {seed} is negative")
    return seed


def check_fold(fold: int | str | None) -> int | str | None:
    """Return what is held out as a number or text of Python's, or None.

    Raises
    ------
    DataError
        If it is neither the number of a fold nor the name of a source.
    """
    if fold is None:
        return None
    if isinstance(fold, str):
        return str(fold)
    try:
        return whole_number(fold, "the fold")
    except DataError:
        raise DataError(
            f"a fold is a whole number, or the name of a source, not {fold!r}"
        ) from None
