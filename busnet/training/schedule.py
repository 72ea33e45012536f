"""The schedule: a recipe's epochs, and each step's learning rate and averaging."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator

from busnet.training.recipe import Phase, Recipe

__all__ = ["Epoch", "Schedule"]


@dataclasses.dataclass(frozen=True)
class Epoch:
    """An epoch.

    Attributes
    ----------
    phase, index
        Its phase, and the phase's index.
    epoch, number
        Its own index in the phase and in the recipe.
    first
        Number of steps before it.
    steps
        Number of its steps.
    """

    phase: Phase
    index: int
    epoch: int
    number: int
    first: int
    steps: int


class Schedule:
    """The epochs and steps of a recipe.

    Parameters
    ----------
    recipe
        The recipe.
    cases
        Number of training cases.
    """

    def __init__(self, recipe: Recipe, cases: int) -> None:
        self._recipe = recipe
        self._cases = cases

    @property
    def steps(self) -> int:
        """Steps of the whole recipe."""
        return sum(p.epochs * self.steps_of(p) for p in self._recipe.phases)

    def steps_of(self, phase: Phase) -> int:
        """Return the number of steps of an epoch."""
        return math.ceil(self._cases / phase.batch)

    def epochs(self) -> Iterator[Epoch]:
        """Yield the recipe's epochs in their order."""
        number, first = 0, 0
        for index, phase in enumerate(self._recipe.phases):
            steps = self.steps_of(phase)
            for epoch in range(phase.epochs):
                yield Epoch(phase, index, epoch, number, first, steps)
                number += 1
                first += steps

    def rate(self, position: int) -> float:
        """Return the share of the learning rate that a step has.

        It rises for the recipe's warm-up, then falls as half a cosine to a hundredth.
        Positions count from 1.
        """
        rate = min(position / max(self._recipe.warmup * self.steps, 1), 1.0)
        return rate * (0.505 + 0.495 * math.cos(math.pi * position / self.steps))

    def decay(self, position: int) -> float:
        """Return the share of the averaged weights that a step leaves."""
        return min(self._recipe.ema, (1 + position) / (10 + position))
