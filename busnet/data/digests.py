"""Digests of cases: whether data is still the same."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

from busnet._io import file_sha256
from busnet.data.cases import Case

__all__ = ["digest", "digest_files"]


def digest(cases: Iterable[Case], *, folds: bool = False) -> str:
    """Return a hash of cases: of their files' contents, classes and groups.

    The folders in which the files lie do not matter, so that data may be moved. With
    ``folds`` it is of the names and the folds alone.
    """
    if folds:
        return _digest(cases, ("fold",), files=False)
    return _digest(cases, ("label", "group"), files=True)


def digest_files(cases: Iterable[Case]) -> str:
    """Return a hash of the names of cases and of their files' contents alone."""
    return _digest(cases, (), files=True)


def _digest(cases: Iterable[Case], fields: Sequence[str], *, files: bool) -> str:
    """Return a hash of cases: of source, name and further fields, and of files."""
    total = hashlib.sha256()
    for case in sorted(cases, key=lambda case: (case.source, case.name)):
        facts = [getattr(case, field) for field in fields]
        total.update(repr((case.source, case.name, *facts)).encode())
        for path in (case.image, *case.masks) if files else ():
            try:
                total.update(bytes.fromhex(file_sha256(path)))
            except OSError:
                total.update(b"unreadable")
    return total.hexdigest()[:16]
