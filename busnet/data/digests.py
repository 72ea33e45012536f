"""Digests of cases: whether data is still the same."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from busnet._io import file_sha256
from busnet.data.cases import Case

__all__ = ["digest"]


def digest(cases: Iterable[Case], *, folds: bool = False) -> str:
    """Return a hash of cases: of their files' contents, classes and groups.

    The folders in which the files lie do not matter, so that data may be moved. With
    ``folds`` it is of the names and the folds alone.
    """
    total = hashlib.sha256()
    for case in sorted(cases, key=lambda case: (case.source, case.name)):
        if folds:
            total.update(repr((case.source, case.name, case.fold)).encode())
            continue
        total.update(repr((case.source, case.name, case.label, case.group)).encode())
        for path in (case.image, *case.masks):
            try:
                total.update(bytes.fromhex(file_sha256(path)))
            except OSError:
                total.update(b"unreadable")
    return total.hexdigest()[:16]
