"""What computes: the engine's library, instruction set and precisions."""

from __future__ import annotations

from typing import NamedTuple

from busnet import _core

__all__ = ["EngineDescription", "describe_engine"]


class EngineDescription(NamedTuple):
    """What computes on this machine.

    Attributes
    ----------
    version
        oneDNN's version.
    isa
        The instruction set that oneDNN uses, by its name there.
    bf16
        Whether the CPU has instructions for bfloat16.
    int8
        Whether it sums products of 8 bits in 32.
    """

    version: str
    isa: str
    bf16: bool
    int8: bool


def describe_engine() -> EngineDescription:
    """Return what computes on this machine."""
    return EngineDescription(**_core.engine())
