"""Which cases a model is evaluated on, and what must be said of the choice."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeAlias

from busnet.data import (
    PROTOCOLS,
    Case,
    Fold,
    default_protocol,
    get_protocol,
    parse_sources,
    read_sources,
)
from busnet.errors import DataError
from busnet.evaluation.leakage import check_leakage, default_fold, trained_sources
from busnet.model_info import ModelInfo

__all__ = ["DataLike", "Selection", "read_data", "select_cases"]

#: A data set's folder or table, several of them by the name of the source, or cases.
DataLike: TypeAlias = (
    "str | os.PathLike[str] | Mapping[str, str | os.PathLike[str]] | Sequence[Case]"
)


@dataclasses.dataclass(frozen=True)
class Selection:
    """The cases that a model is evaluated on.

    Attributes
    ----------
    cases
        At least one.
    protocol, fold
        What they are; fold None is all of the protocol.
    leak
        Why figures of them are too good to be true, or "".
    notes
        What else must be known of them.
    """

    cases: tuple[Case, ...]
    protocol: str
    fold: Fold
    leak: str
    notes: tuple[str, ...] = ()


def read_data(data: DataLike) -> list[Case]:
    """Return the cases of data sets.

    Raises
    ------
    DataError
        If one cannot be read.
    """
    if isinstance(data, Mapping):
        return read_sources(data)
    if isinstance(data, str | os.PathLike):
        return read_sources(parse_sources([os.fspath(data)]))
    return list(data)


def select_cases(
    info: ModelInfo,
    cases: Iterable[Case],
    *,
    protocol: str | None = None,
    fold: Fold = None,
    allow_leak: bool = False,
) -> Selection:
    """Choose the cases that a protocol holds out.

    Parameters
    ----------
    info
        The model that is evaluated.
    cases
        All cases of the data sets.
    protocol
        A name of :data:`busnet.data.PROTOCOLS`; by default the one of the model's
        training, where that is for these data sets, or else the data sets' own.
    fold
        The fold or, by the protocol ``hospitals``, the source; by default what the
        model's training held out, or all.
    allow_leak
        Whether cases that the model was trained on may be among them.

    Raises
    ------
    DataError
        If the protocol does not fit the data, or there is no such fold.
    LeakError
        If the model was trained on some of the cases and that is not allowed.
    """
    listed = list(cases)
    if not listed:
        raise DataError("there are no cases to evaluate")
    name = protocol or _protocol_for(info, listed)
    chosen = get_protocol(name)
    used = chosen.use(listed)
    sources = {case.source for case in used}
    if fold is None:
        fold = default_fold(info, name, sources)
    selected = chosen.test_cases(used, fold)
    leak = check_leakage(
        info,
        name,
        fold,
        sources={case.source for case in selected},
        allow_leak=allow_leak,
    )
    return Selection(tuple(selected), name, fold, leak)


def _protocol_for(info: ModelInfo, cases: Sequence[Case]) -> str:
    """Return the protocol of the model's training, or else that of the data."""
    sources = {case.source for case in cases}
    trained = info.provenance.get("protocol")
    if trained in PROTOCOLS and set(PROTOCOLS[trained].sources) == sources:
        return str(trained)
    for entry in trained_sources(info.provenance):
        for protocol in PROTOCOLS.values():
            is_for_data = sources == {entry.source} == set(protocol.sources)
            if is_for_data and protocol.division(entry.source) == entry.division:
                return protocol.name
    return default_protocol(cases)
