"""Attributes of a frame: from its functional groups, or from the dataset."""

from __future__ import annotations

from typing import Any

import numpy as np
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue

from busnet.errors import ImageFileError

__all__ = ["group", "number", "numbers"]


def group(dataset: Dataset, index: int, sequence: str) -> Dataset | None:
    """Return the item of a functional group: the frame's own, or the shared one.

    Enhanced objects have attributes by frame (PS3.3 C.7.6.16); others have none.
    """
    frames = dataset.get("PerFrameFunctionalGroupsSequence") or ()
    shared = dataset.get("SharedFunctionalGroupsSequence") or ()
    for groups in (*frames[index : index + 1], *shared[:1]):
        items = groups.get(sequence)
        if items:
            item: Dataset = items[0]
            return item
    return None


def numbers(dataset: Dataset, keyword: str) -> list[float]:
    """Return an attribute's numbers; empty where it is absent or has no value.

    Raises
    ------
    ImageFileError
        If one is no finite number.
    """
    try:
        value: Any = dataset.get(keyword)
        is_list = isinstance(value, (MultiValue, list, tuple))
        values = list(value) if is_list else [value]
        result = [float(item) for item in values if item is not None and item != ""]
    except (TypeError, ValueError):
        raise ImageFileError(f"{keyword} is not a number") from None
    if not np.isfinite(result).all():
        raise ImageFileError(f"{keyword} is not a finite number")
    return result


def number(dataset: Dataset, keyword: str) -> float | None:
    """Return the only number of an attribute, or None.

    Raises
    ------
    ImageFileError
        If it has several, or is no number.
    """
    values = numbers(dataset, keyword)
    if len(values) > 1:
        raise ImageFileError(f"{keyword} has {len(values)} values; it should have one")
    return values[0] if values else None
