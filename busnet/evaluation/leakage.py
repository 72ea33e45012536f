"""The guard against evaluating a model on images that it was trained on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from busnet.data import PROTOCOLS, get_protocol
from busnet.errors import LeakError
from busnet.model_info import ModelInfo

__all__ = ["check_unseen", "default_fold", "trainings"]


def trainings(provenance: Mapping[str, Any]) -> list[tuple[str, int | None]]:
    """Return protocol and held-out fold of each training behind a model, last first."""
    found = []
    step: Any = provenance
    while isinstance(step, Mapping):
        if step.get("protocol") in PROTOCOLS:
            found.append((step["protocol"], step.get("fold")))
        step = step.get("start")
    return found


def default_fold(info: ModelInfo, name: str) -> int | None:
    """Return the fold that a model's training held out, as far as ``name`` has it."""
    for trained, fold in trainings(info.provenance):
        if get_protocol(trained).divisions == get_protocol(name).divisions:
            return fold
    return None


def check_unseen(
    info: ModelInfo, name: str, fold: int | None, *, allow_leak: bool = False
) -> str:
    """Return what is leaky about evaluating a model on a fold of a protocol, or "".

    Raises
    ------
    LeakError
        If something is and that is not allowed.
    """
    asked = get_protocol(name)
    reason = ""
    if asked.leaky:
        reason = asked.description
    for trained, held in trainings(info.provenance):
        if get_protocol(trained).sources != asked.sources or not asked.sources:
            continue
        if held is None:
            reason = f"the model was trained on all of {trained}"
        elif get_protocol(trained).divisions != asked.divisions or held != fold:
            part = f"fold {fold}" if fold is not None else "all"
            reason = (
                f"the model was trained on {trained} without fold {held}, and "
                f"{part} of {name} holds images of the others"
            )
    if reason and not allow_leak:
        raise LeakError(
            f"{reason}; such figures are too good to be true, and with --allow-leak "
            f"they are computed and marked so"
        )
    return reason
