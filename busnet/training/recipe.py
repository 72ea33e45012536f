"""The recipe: everything that decides what a training run does."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from busnet.data.numbers import whole_number
from busnet.errors import ModelError
from busnet.training.augment import MACHINES, Augmentation
from busnet.training.sampling import Sampling

__all__ = ["MIN_SIZE", "RECIPES", "Phase", "Recipe"]

#: Smallest image size of a training, pixels: the last stage of a smaller one has a
#: single place, over which a batch norm cannot average where a batch is one image.
MIN_SIZE = 64


@dataclasses.dataclass(frozen=True)
class Phase:
    """Some epochs at one image size.

    Attributes
    ----------
    size
        Side of the square images, pixels.
    epochs
        Passes over as many images as there are training cases.
    batch
        Images a step.
    """

    size: int
    epochs: int
    batch: int = 16

    def __post_init__(self) -> None:
        """Take NumPy's numbers for Python's, which a weights file holds."""
        _check_whole(self, "size", "epochs", "batch")


@dataclasses.dataclass(frozen=True)
class Recipe:
    """What a training run does, apart from the network, the data and the start.

    Attributes
    ----------
    phases
        Image sizes in their order; the last one is the model's.
    learning_rate
        Peak rate of AdamW for layers that start from trained weights.
    fresh_factor
        How much faster layers learn that start at random.
    weight_decay
        Decay of convolution and linear weights; norms and biases have none.
    warmup
        Share of the steps on which the rate rises, before its cosine descent.
    smoothing
        Label smoothing.
    mask_weight
        Weight of the mask's loss beside the class's.
    silence
        Weight in the mask's loss of the largest responses on images without a lesion.
    hierarchical
        Whether a source that shows nothing normal, neither normal images nor
        lesion-free crops, trains benign against malignant alone, and not that its
        images hold a lesion.
    ema
        Decay a step of the averaged weights, which are the ones that are exported.
    frozen
        Stages that stay as they start, 0 to 4, and from 1 on the stem with them: their
        weights are not changed and their norms keep their statistics, which saves
        their backward passes.
    oversize
        How much larger than the network's squares the images are stored, for crops; at
        most 256 pixels, where that is not less than the network's size.
    sampling
        Which images are drawn.
    augmentation
        Ranges of the augmentation.
    seed
        Seed of order, augmentation and fresh weights.
    """

    phases: tuple[Phase, ...]
    learning_rate: float = 2e-4
    fresh_factor: float = 4.0
    weight_decay: float = 0.02
    warmup: float = 0.05
    smoothing: float = 0.05
    mask_weight: float = 1.0
    silence: float = 0.0
    hierarchical: bool = False
    ema: float = 0.99
    frozen: int = 0
    oversize: float = 1.0
    sampling: Sampling = dataclasses.field(default_factory=Sampling)
    augmentation: Augmentation = dataclasses.field(default_factory=Augmentation)
    seed: int = 0

    def __post_init__(self) -> None:
        """Take NumPy's numbers for Python's, which a weights file holds."""
        _check_whole(self, "frozen", "seed")

    @property
    def size(self) -> int:
        """Image size of the finished model."""
        return self.phases[-1].size

    def stored_size(self, phase: Phase) -> int:
        """Return the side of the squares that the training images are stored as."""
        return max(phase.size, min(round(phase.size * self.oversize), 256))

    def shortened(self, epochs: int) -> Recipe:
        """Return the recipe with this number of epochs, spread over the phases alike.

        The last phase keeps at least one; earlier ones may vanish.
        """
        total = sum(phase.epochs for phase in self.phases)
        counts = [phase.epochs * epochs // total for phase in self.phases]
        counts[-1] = epochs - sum(counts[:-1])
        phases = tuple(
            dataclasses.replace(phase, epochs=count)
            for phase, count in zip(self.phases, counts, strict=True)
            if count
        )
        return dataclasses.replace(self, phases=phases)

    def resized(self, size: int) -> Recipe:
        """Return the recipe for models of another image size, pixels.

        Earlier phases keep their share of it, rounded to a multiple of 32.
        """
        *earlier, last = self.phases
        phases = [
            dataclasses.replace(
                phase,
                size=max(MIN_SIZE, 32 * round(phase.size * size / last.size / 32)),
            )
            for phase in earlier
        ]
        phases.append(dataclasses.replace(last, size=size))
        return dataclasses.replace(self, phases=tuple(phases))

    def as_dict(self) -> dict[str, Any]:
        """Return the recipe as JSON holds it."""
        values = {**dataclasses.asdict(self), "phases": [*map(vars, self.phases)]}
        return {name: _plain(value) for name, value in values.items()}


def _check_whole(owner: Phase | Recipe, *names: str) -> None:
    """Refuse fields that are no whole numbers, and make them Python's."""
    for name in names:
        number = whole_number(getattr(owner, name), f"a recipe's {name}", ModelError)
        object.__setattr__(owner, name, number)


def _plain(value: Any) -> Any:
    """Return a value with numbers of Python's in the place of NumPy's."""
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(map(_plain, value))
    return value.item() if isinstance(value, np.generic) else value


#: For images of hospitals that are not trained on, too. Small images first, where an
#: epoch is cheap, then the final size while the rate is still high, so that there is
#: time to get used to it.
_STANDARD = Recipe(
    (Phase(128, 10), Phase(192, 20)),
    silence=0.2,
    hierarchical=True,
    oversize=1.25,
    sampling=Sampling(lesion_free=0.5, crop=0.3),
    augmentation=MACHINES,
)

#: Recipes by name.
RECIPES = {
    "standard": _STANDARD,
    # What the shipped models were trained by, for a GPU.
    "release": dataclasses.replace(
        _STANDARD, phases=(Phase(192, 40, batch=64),), learning_rate=4e-4
    ),
    # The baseline: each image once an epoch, plain augmentation.
    "plain": Recipe(
        (Phase(128, 10), Phase(192, 20)), sampling=Sampling(balanced=False)
    ),
}
