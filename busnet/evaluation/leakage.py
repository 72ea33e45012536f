"""The guard against evaluating a model on images that it was trained on."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterator, Mapping

from busnet.data import PROTOCOLS, Fold, Protocol, get_protocol
from busnet.data.cases import CUSTOM_SOURCE
from busnet.data.protocols import CUSTOM
from busnet.data.source_names import PUBLISHED
from busnet.errors import LeakError
from busnet.evaluation.content import has_all_hashes
from busnet.evaluation.members import name_members, trainings
from busnet.inference import PredictorInfo
from busnet.model_info import CONVERTED

__all__ = [
    "TrainedSource",
    "check_leakage",
    "default_fold",
    "is_leaky",
    "is_training_known",
    "report_leak",
    "trained_sources",
]

#: What protocols were called in earlier files.
_FORMER_NAMES = {"own": CUSTOM}


@dataclasses.dataclass(frozen=True)
class TrainedSource:
    """What one training saw of one source.

    Attributes
    ----------
    source
        The data set or hospital.
    division
        Name of its division into folds, None where all of it was seen.
    fold
        The fold of the division that was held out, None where all of it was seen.
    """

    source: str
    division: str | None
    fold: Fold

    def __str__(self) -> str:
        """Return what was seen, in words."""
        if self.fold is None:
            return f"all of {self.source}"
        return f"{self.source} without fold {self.fold} of {self.division}"


def trained_sources(provenance: Mapping[str, object]) -> list[TrainedSource]:
    """Return what all trainings behind a model saw, the last training first.

    Of an ensemble, what the trainings of all members saw.
    """
    return [
        seen
        for training in trainings(provenance)
        for seen in _of_one_training(training)
    ]


def is_training_known(provenance: Mapping[str, object]) -> bool:
    """Tell whether a model's file says what all trainings behind it saw.

    That of a network that was converted does not, nor that of an ensemble with one.
    """
    return not any(CONVERTED in step for step in trainings(provenance))


def is_leaky(leak: str, provenance: Mapping[str, object]) -> bool | None:
    """Return what documents say of a leak; None where it is unknown.

    Parameters
    ----------
    leak
        What is leaky, or "".
    provenance
        The model's.
    """
    if leak:
        return True
    return False if is_training_known(provenance) else None


def _of_one_training(step: Mapping[str, object]) -> Iterator[TrainedSource]:
    sources = step.get("sources")
    if isinstance(sources, Mapping):
        for source, seen in sources.items():
            yield TrainedSource(source, seen.get("folds"), seen.get("fold"))
        return
    # Earlier files name the protocol alone.
    name = step.get("protocol")
    name = _FORMER_NAMES.get(str(name), name)
    if isinstance(name, str) and name in PROTOCOLS:
        protocol, fold = PROTOCOLS[name], step.get("fold")
        for source in protocol.sources or (CUSTOM_SOURCE,):
            division = None if fold is None else protocol.division(source)
            yield TrainedSource(source, division, fold)  # type: ignore[arg-type]


def default_fold(
    info: PredictorInfo, protocol: str, sources: Collection[str] | None = None
) -> Fold:
    """Return what a model's training held out, as far as a protocol has it.

    Parameters
    ----------
    info
        The model or the ensemble.
    protocol
        Name of the protocol.
    sources
        The sources of the cases; by default those that the protocol is for.

    Returns
    -------
    int, str or None
        The fold, of an ensemble that of the first member that has one; by the
        protocol ``hospitals`` the one source that no training saw. None where training
        held out nothing of it.
    """
    chosen = get_protocol(protocol)
    evaluated = sorted(chosen.sources if sources is None else sources)
    seen = trained_sources(info.provenance)
    if chosen.leaves_out_source:
        unseen = set(evaluated) - {entry.source for entry in seen}
        return unseen.pop() if len(unseen) == 1 else None
    for entry in seen:
        division = chosen.division(entry.source)
        if entry.source in evaluated and division == entry.division is not None:
            return entry.fold
    return chosen.only_fold


def check_leakage(
    info: PredictorInfo,
    protocol: str,
    fold: Fold,
    *,
    sources: Collection[str] | None = None,
    allow_leak: bool = False,
) -> str:
    """Return what is leaky about evaluating a model on a fold of a protocol, or "".

    This goes by what the file says of the sources that were trained on; see
    :mod:`busnet.evaluation.content` for what the images show.

    Parameters
    ----------
    info
        The model or the ensemble, of which one member suffices to leak.
    protocol, fold
        What it is evaluated on; fold None is all of it.
    sources
        The sources of the cases; by default those of which the protocol has the fold.
    allow_leak
        Whether a leak is returned instead of raised.

    Raises
    ------
    LeakError
        If something leaks and that is not allowed.
    """
    chosen = get_protocol(protocol)
    if sources is None:
        sources = [
            source
            for source in chosen.sources
            if fold is None or chosen.division(source) is not None
        ]
    # Another data set may have the name of one that was trained on, unless it is a
    # published one: then the hashes decide, where there are any.
    reasons = [chosen.description] if chosen.leaky else []
    is_whole = fold is None or chosen.leaves_out_source
    part = "all" if is_whole else f"fold {fold}"
    for name, member in name_members(info).items():
        decisive = {
            source
            for source in sources
            if source in PUBLISHED
            or (source != CUSTOM_SOURCE and not has_all_hashes(member))
        }
        for entry in trained_sources(member.provenance):
            if entry.source in decisive and not _is_held_out(entry, chosen, fold):
                reasons.append(
                    f"{name} was trained on {entry}, and {part} of {protocol} holds "
                    f"images of it"
                )
    return report_leak("; ".join(dict.fromkeys(reasons)), allow_leak=allow_leak)


def _is_held_out(entry: TrainedSource, protocol: Protocol, fold: Fold) -> bool:
    if entry.fold is None or fold is None or protocol.leaves_out_source:
        return False
    return protocol.division(entry.source) == entry.division and fold == entry.fold


def report_leak(reason: str, *, allow_leak: bool) -> str:
    """Return the reason of a leak, or raise it if it is not allowed.

    Raises
    ------
    LeakError
        If there is a reason and that is not allowed.
    """
    if reason and not allow_leak:
        raise LeakError(
            f"{reason}; such figures are too good to be true, and with --allow-leak "
            f"they are computed and marked so"
        )
    return reason
