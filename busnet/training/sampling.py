"""Sampling: which images a training step draws, and which part of them it sees.

A draw chooses a source, a class within it, a patient and one of the patient's images,
so that neither a large hospital nor a patient with many images decides what is
learned. Normal images are few and of few scanners; **lesion-free crops**, windows
beside the lesion of any image, are normals of every scanner. So that the size of a
crop does not tell its class, images with a lesion and normal ones are cropped to
windows of the same sizes.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from busnet.data import CLASSES, NORMAL_INDEX
from busnet.errors import DataError
from busnet.training.examples import UNKNOWN, Examples
from busnet.training.windows import Flags, Floats, Integers, Windows

__all__ = ["Draws", "Sampler", "Sampling"]


@dataclasses.dataclass(frozen=True)
class Sampling:
    """How images are drawn.

    Attributes
    ----------
    balanced
        Whether draws are balanced by source, class and patient; otherwise each image
        is drawn once an epoch, and the loss balances the classes.
    source_power
        A source is drawn in proportion to its number of images to this power: 1 as
        often as it has images, 0 each source alike.
    lesion_free
        Share of the normal images that are lesion-free crops of images with a lesion;
        a source without normals has as many crops as one with them. Needs
        ``balanced``.
    crop
        Share of the other images that are shown as a crop, with the lesion in view.
    min_crop
        Smallest side of a crop, as a share of the image's shorter side.
    margin
        Distance that a lesion-free crop keeps from the lesion, as a share of the
        image's longer side.
    """

    balanced: bool = True
    source_power: float = 0.5
    lesion_free: float = 0.0
    crop: float = 0.0
    min_crop: float = 0.35
    margin: float = 0.03

    def __post_init__(self) -> None:
        """Refuse what cannot be drawn."""
        for name in ("lesion_free", "crop", "source_power", "min_crop", "margin"):
            if not 0 <= getattr(self, name) <= 1:
                raise DataError(f"{name} is {getattr(self, name)}, not in 0..1")
        if self.lesion_free and not self.balanced:
            raise DataError("lesion-free crops need balanced sampling")


@dataclasses.dataclass(frozen=True)
class Draws:
    """What S steps of N images show.

    Attributes
    ----------
    index
        Example, (S, N).
    partner
        Another example, of another source where there is one, (S, N).
    lesion_free
        Whether the window is a lesion-free crop, hence normal, (S, N).
    cropped
        Whether the window is a crop of either kind, (S, N).
    window
        Centre (row, column), height and width of what is seen, in shares of the
        square's side, (S, N, 4).
    """

    index: Integers
    partner: Integers
    lesion_free: Flags
    cropped: Flags
    window: Floats


@dataclasses.dataclass(frozen=True)
class _Stratum:
    """Examples of one source and class, sorted by group."""

    source: int
    label: int
    lesion_free: bool
    members: Integers
    starts: Integers
    counts: Integers


class Sampler:
    """Draws from examples, the same draws for the same seed and epoch.

    Parameters
    ----------
    examples
        What is drawn from; the pixels are not used.
    sampling
        How.
    batch
        Images a step.
    steps
        Steps an epoch; enough for each image once by default.
    seed
        Seed of the draws.
    """

    def __init__(
        self,
        examples: Examples,
        sampling: Sampling,
        *,
        batch: int,
        steps: int | None = None,
        seed: int = 0,
    ) -> None:
        self.sampling = sampling
        self.batch = batch
        self.steps = steps if steps is not None else -(-len(examples) // batch)
        self._examples = examples
        self._seed = seed
        self._windows = Windows(
            examples,
            min_crop=sampling.min_crop,
            margin=sampling.margin if sampling.lesion_free else None,
        )
        has_room = self._windows.has_room
        self._strata = _strata(examples, has_room) if sampling.balanced else []
        self._shares = _shares(self._strata, examples, sampling)

    @property
    def class_shares(self) -> Floats:
        """Expected share of each class among draws whose class is known, (classes,)."""
        totals = np.zeros(len(CLASSES))
        if not self._strata:
            known = self._examples.labels[self._examples.labels != UNKNOWN]
            totals += np.bincount(known, minlength=len(CLASSES))
        for stratum, share in zip(self._strata, self._shares, strict=True):
            if stratum.label != UNKNOWN:
                totals[stratum.label] += share
        return np.asarray(totals / max(totals.sum(), 1e-12))

    @property
    def sources_with_normals(self) -> Flags:
        """Whether a source contributes normal images or crops, (sources,)."""
        examples = self._examples
        has_normals = np.zeros(len(examples.names), np.bool_)
        has_normals[examples.sources[examples.labels == NORMAL_INDEX]] = True
        for stratum in self._strata:
            if stratum.lesion_free:
                has_normals[stratum.source] = True
        return has_normals

    def describe(self) -> list[str]:
        """Say in a line each what share of the draws a source and class has."""
        names = (*CLASSES, "class not known")
        return [
            f"{self._examples.names[s.source]}: "
            f"{'lesion-free crops' if s.lesion_free else names[s.label]} {share:.3f} "
            f"of {len(s.members)} images, {len(s.starts)} groups"
            for s, share in zip(self._strata, self._shares, strict=True)
        ]

    def draw(self, epoch: int) -> Draws:
        """Return the draws of an epoch."""
        rng = np.random.default_rng((self._seed, epoch))
        count = self.steps * self.batch
        if self._strata:
            index, free = self._draw_balanced(rng, count)
        else:
            index, free = self._shuffle(rng, count), np.zeros(count, np.bool_)
        cropped = (rng.random(count) < self.sampling.crop) & ~free
        window = self._windows.draw(rng, index, free, cropped)
        shape = (self.steps, self.batch)
        return Draws(
            index.reshape(shape),
            self._partners(rng, index).reshape(shape),
            free.reshape(shape),
            (free | cropped).reshape(shape),
            window.reshape(*shape, 4),
        )

    def _shuffle(self, rng: np.random.Generator, count: int) -> Integers:
        """Return each example once, and so on until there are enough."""
        rounds = -(-count // len(self._examples))
        orders = [rng.permutation(len(self._examples)) for _ in range(rounds)]
        return np.concatenate(orders)[:count]

    def _draw_balanced(
        self, rng: np.random.Generator, count: int
    ) -> tuple[Integers, Flags]:
        chosen = rng.choice(len(self._strata), count, p=self._shares)
        patient, image = rng.random(count), rng.random(count)
        index, free = np.zeros(count, np.int64), np.zeros(count, np.bool_)
        for number, stratum in enumerate(self._strata):
            here = chosen == number
            group = (patient[here] * len(stratum.starts)).astype(np.int64)
            offset = (image[here] * stratum.counts[group]).astype(np.int64)
            index[here] = stratum.members[stratum.starts[group] + offset]
            free[here] = stratum.lesion_free
        return index, free

    def _partners(self, rng: np.random.Generator, index: Integers) -> Integers:
        """Return an example for each one, of another source where there are several."""
        sources = self._examples.sources
        partner = np.zeros(len(index), np.int64)
        for source in np.unique(sources[index]):
            others = np.flatnonzero(sources != source)
            here = sources[index] == source
            pool = others if others.size else np.arange(len(sources))
            partner[here] = rng.choice(pool, int(here.sum()))
        return partner


def _strata(examples: Examples, has_room: Flags) -> list[_Stratum]:
    strata = []
    for source in np.unique(examples.sources):
        here = examples.sources == source
        for label in (*range(len(CLASSES)), UNKNOWN):
            members = np.flatnonzero(here & (examples.labels == label))
            if members.size:
                strata.append(_stratum(examples, int(source), label, members))
        members = np.flatnonzero(here & has_room)
        if members.size:
            strata.append(
                _stratum(examples, int(source), NORMAL_INDEX, members, free=True)
            )
    return strata


def _stratum(
    examples: Examples,
    source: int,
    label: int,
    members: Integers,
    *,
    free: bool = False,
) -> _Stratum:
    members = members[np.argsort(examples.groups[members], kind="stable")]
    _, starts, counts = np.unique(
        examples.groups[members], return_index=True, return_counts=True
    )
    return _Stratum(source, label, free, members, starts, counts)


def _shares(
    strata: Sequence[_Stratum], examples: Examples, sampling: Sampling
) -> Floats:
    """Return the share of the draws of each stratum."""
    shares = np.zeros(len(strata))
    for source in {stratum.source for stratum in strata}:
        parts = np.zeros(len(strata))
        for i, stratum in enumerate(strata):
            if stratum.source == source:
                parts[i] = 1.0
                if stratum.lesion_free:
                    parts[i] = sampling.lesion_free
                elif stratum.label == NORMAL_INDEX:
                    crops = any(s.lesion_free for s in strata if s.source == source)
                    parts[i] = 1 - sampling.lesion_free * crops
        size = float((examples.sources == source).sum()) ** sampling.source_power
        shares += size * parts / max(parts.sum(), 1e-12)
    return shares / shares.sum() if strata else shares
