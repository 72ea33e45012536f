"""What a source of weights holds."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

from busnet.networks import Variant
from busnet.state_dicts import StateDict

__all__ = ["Loaded"]


def _accept(path: Path) -> None:
    """Accept a file that nothing can be compared with."""


@dataclasses.dataclass(frozen=True)
class Loaded:
    """What a source holds.

    Attributes
    ----------
    state
        Its arrays by busnet's names.
    origin
        What it is, for the model's provenance.
    variant, ceil_pool
        See :class:`busnet.networks.Network`; None where the source does not say.
    statistics
        Mean and std that the source normalises by itself, if it does.
    check
        Takes the file that was written, and raises a WeightsError if it computes
        something else than the source.
    """

    state: StateDict
    origin: dict[str, str]
    variant: Variant | None = None
    ceil_pool: bool | None = None
    statistics: tuple[tuple[float, ...], tuple[float, ...]] | None = None
    check: Callable[[Path], None] = _accept
