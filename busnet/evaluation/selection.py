"""Which cases a model is evaluated on, and what must be said of the choice."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Iterable, Sequence
from typing import TypeVar

from busnet.data import (
    PROTOCOLS,
    Case,
    Fold,
    Protocol,
    default_protocol,
    get_protocol,
)
from busnet.data.findings import raise_errors
from busnet.data.numbers import check_fold
from busnet.data.screening import (
    screen_files,
    screen_groups,
    screen_images,
    screen_labels,
)
from busnet.data.source_names import PUBLISHED
from busnet.errors import DataError
from busnet.evaluation.content import compare_content, has_all_hashes, has_hashes
from busnet.evaluation.leakage import (
    check_leakage,
    default_fold,
    is_training_known,
    report_leak,
    trained_sources,
)
from busnet.evaluation.members import name_members
from busnet.inference import PredictorInfo

__all__ = ["Selection", "Track", "no_track", "select_cases"]

T = TypeVar("T")

#: The kind of the finding that a group stands in several folds.
DIVIDED_GROUPS = "group-folds"

NOT_COMPARED = (
    "the model's file lacks hashes of images that it was trained on, so it could not "
    "be checked whether these images are among them"
)

UNKNOWN_TRAINING = (
    "unknown whether the model was trained on these images: it, or what it started "
    "from, was converted, and no file says what that was trained on"
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


class Track(typing.Protocol):
    """Shows progress over items: called with them, their number and what is done."""

    def __call__(self, items: Iterable[T], total: int, what: str) -> Iterable[T]:
        """Pass the items on."""


def no_track(items: Iterable[T], total: int, what: str) -> Iterable[T]:
    """Pass the items on and show nothing."""
    del total, what
    return items


def select_cases(
    info: PredictorInfo,
    cases: Iterable[Case],
    *,
    protocol: str | None = None,
    fold: Fold = None,
    allow_leak: bool = False,
    track: Track = no_track,
) -> Selection:
    """Choose the cases that a protocol holds out.

    Parameters
    ----------
    info
        The model or the ensemble that is evaluated.
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
    track
        Shows progress where images are read.

    Raises
    ------
    DataError
        If the protocol does not fit the data, there is no such fold, or the labels of
        the cases contradict each other.
    LeakError
        If the model was trained on some of the cases and that is not allowed.
    """
    fold = check_fold(fold)
    listed = list(cases)
    if not listed:
        raise DataError("there are no cases to evaluate")
    name = protocol or _protocol_for(info, listed)
    chosen = get_protocol(name)
    used = chosen.use(listed)
    if fold is None:
        fold = _default_fold(info, chosen, used)
    selected = chosen.test_cases(used, fold)
    notes = _screen(chosen, fold, used, selected)
    leak = check_leakage(
        info,
        name,
        fold,
        sources={case.source for case in selected},
        allow_leak=allow_leak,
    )
    reasons = [leak] if leak else []
    if has_hashes(info):
        read = track(selected, len(selected), "comparing with training images")
        seen = compare_content(info, read)
        reasons += seen.reasons
        notes += seen.notes
    if not is_training_known(info.provenance):
        notes.append(UNKNOWN_TRAINING)
    elif not has_all_hashes(info) and {case.source for case in selected} - PUBLISHED:
        notes.append(NOT_COMPARED)
    leak = report_leak("; ".join(reasons), allow_leak=allow_leak)
    return Selection(tuple(selected), name, fold, leak, tuple(notes))


def _default_fold(
    info: PredictorInfo, protocol: Protocol, used: Sequence[Case]
) -> Fold:
    """Return what the model's training held out of these cases."""
    sources = {case.source for case in used}
    fold = default_fold(info, protocol.name, sources)
    if fold is None or protocol.leaves_out_source or sources <= PUBLISHED:
        return fold
    # The fold is one of a user's own table, and this may be another table.
    if has_all_hashes(info) and not compare_content(info, used).images:
        return None
    return fold if fold in protocol.folds(used) else None


def _screen(
    protocol: Protocol, fold: Fold, used: Sequence[Case], selected: Sequence[Case]
) -> list[str]:
    """Look at the labels of the cases, and return what must be known of them.

    Raises
    ------
    DataError
        If a figure would be wrong.
    """
    findings = [
        *screen_files(selected),
        *screen_labels(selected),
        *screen_images(selected),
    ]
    if isinstance(fold, int) and not (protocol.leaky or protocol.leaves_out_source):
        # A group that is divided between folds shows only where all of them are seen.
        raise_errors(f for f in screen_groups(used) if f.kind == DIVIDED_GROUPS)
    raise_errors(findings)
    return [str(finding) for finding in findings if finding.severity == "warning"]


def _protocol_for(info: PredictorInfo, cases: Sequence[Case]) -> str:
    """Return the protocol of the model's training, or else that of the data."""
    sources = {case.source for case in cases}
    for member in name_members(info).values():
        trained = member.provenance.get("protocol")
        if (
            trained in PROTOCOLS
            and set(PROTOCOLS[trained].sources) == sources
            and PROTOCOLS[trained].fits(cases)
        ):
            return str(trained)
    for entry in trained_sources(info.provenance):
        for protocol in PROTOCOLS.values():
            is_for_data = sources == {entry.source} == set(protocol.sources)
            is_for_data = is_for_data and protocol.fits(cases)
            if is_for_data and protocol.division(entry.source) == entry.division:
                return protocol.name
    return default_protocol(cases)
