"""The models that are evaluated together, and the trainings behind them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from busnet.inference import EnsembleInfo, PredictorInfo
from busnet.model_info import ModelInfo

__all__ = ["name_members", "trainings"]


def name_members(info: PredictorInfo) -> dict[str, ModelInfo]:
    """Return a model, or an ensemble's members, by what messages call them."""
    if isinstance(info, EnsembleInfo):
        return {f"the member {name}": one for name, one in info.members.items()}
    return {"the model": info}


def trainings(provenance: Mapping[str, object]) -> Iterator[Mapping[str, object]]:
    """Yield what the provenance says of each training, the last one first.

    A training may have started from the model of another. Of an ensemble all trainings
    of one member come before those of the next.
    """
    members = provenance.get("members")
    if isinstance(members, Mapping):
        for member in members.values():
            yield from trainings(member)
        return
    step: object = provenance
    while isinstance(step, Mapping):
        yield step
        step = step.get("start")
