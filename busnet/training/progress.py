"""Progress: how far a training is."""

from __future__ import annotations

import dataclasses

__all__ = ["Progress"]


@dataclasses.dataclass(frozen=True)
class Progress:
    """What the trainer tells its caller after each step.

    Attributes
    ----------
    phase, epoch
        Where in the recipe it is, from 0.
    step, steps
        Number of steps so far, and in all.
    loss
        Loss of the last step at which it was read: on a GPU every 50 steps.
    seconds
        Time since the start.
    validation
        At the end of an epoch the figures of the averaged weights, the mean over the
        sources, see :func:`busnet.training.measures.measure`.
    """

    phase: int
    epoch: int
    step: int
    steps: int
    loss: float
    seconds: float
    validation: dict[str, float] | None = None
