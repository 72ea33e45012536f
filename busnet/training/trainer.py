"""The training loop: deterministic by seed, resumable at any step."""

from __future__ import annotations

import copy
import dataclasses
import functools
import hashlib
import json
import math
import os
import random
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import nn

from busnet.data import CLASSES, Case, Split
from busnet.data.digests import digest_files
from busnet.errors import DataError
from busnet.networks import STAGES, Network
from busnet.training import checkpoint as checkpoints
from busnet.training.device import device_named, has_bfloat16
from busnet.training.examples import Examples, source_names
from busnet.training.graph import TorchGraph, module
from busnet.training.losses import class_weights
from busnet.training.measures import average_sources, compute_outputs, measure
from busnet.training.optimizer import make_optimizer, set_rate
from busnet.training.pretrained import re_estimate_norms
from busnet.training.progress import Progress
from busnet.training.recipe import Phase, Recipe
from busnet.training.sampling import Sampler
from busnet.training.schedule import Schedule
from busnet.training.start import open_start
from busnet.training.step import Course, Step

__all__ = ["Loader", "Trainer"]

#: Steps on a GPU after which the loss is read, for which the CPU waits.
LOSS_STEPS = 50

#: Reads cases: cases, size, channels, names of the sources.
Loader = Callable[[Sequence[Case], int, int, tuple[str, ...]], Examples]


@dataclasses.dataclass(frozen=True)
class _Parts:
    """What all epochs of a phase have in common."""

    phase: Phase
    sampler: Sampler
    step: Step
    validation: Examples


def _load(
    cases: Sequence[Case], size: int, channels: int, names: tuple[str, ...]
) -> Examples:
    return Examples.load(cases, size, channels, names=names)


def _describe(cases: Sequence[Case]) -> dict[str, object]:
    """Return what cases are, in words that messages have."""
    return {
        "names": [[case.source, case.name] for case in cases],
        "classes": [case.label for case in cases],
        "groups": [case.group for case in cases],
        "files": digest_files(cases),
    }


class Trainer:
    """Trains one network on one split.

    Parameters
    ----------
    network
        The row to train.
    split
        Training, validation and test cases; the test cases are never read.
    recipe
        What to do.
    start
        Where the weights start, see :func:`busnet.training.start.open_start`; at
        random where not given.
    checkpoint
        File that the state is saved in; an existing one is resumed.
    device
        Name of the PyTorch device that computes, such as ``"cpu"`` or ``"cuda:0"``;
        ``"auto"`` takes a CUDA GPU if there is one. What is drawn at random is drawn
        on the CPU, so that every device sees the same images.
    bfloat16
        Whether convolutions compute in bfloat16 (autocast; weights stay float32); by
        default where the device has instructions for it.
    load
        Reads cases; several trainings on the same cases can read them once.
    log
        Called with what is worth a line.
    """

    def __init__(
        self,
        network: Network,
        split: Split,
        recipe: Recipe,
        *,
        start: str | os.PathLike[str] | None = None,
        checkpoint: str | Path | None = None,
        device: str = "cpu",
        bfloat16: bool | None = None,
        load: Loader = _load,
        log: Callable[[str], None] = lambda line: None,
    ) -> None:
        if not split.train:
            raise DataError("the split has no training cases")
        self.network = network
        self.split = split
        self.recipe = recipe
        self.checkpoint = Path(checkpoint) if checkpoint is not None else None
        self.device = device_named(device)
        self.bfloat16 = has_bfloat16(self.device) if bfloat16 is None else bfloat16
        self.start = open_start(start, network)
        self.sources = source_names((*split.train, *split.validation))
        self._load, self._log = load, log
        torch.manual_seed(recipe.seed)
        self.graph = module(network, classes=len(CLASSES)).to(self.device)
        for parameter in self.graph.parameters():
            if parameter.ndim == 4:
                parameter.data = parameter.data.contiguous(
                    memory_format=torch.channels_last
                )
        self._frozen = self._freeze()
        self.average = copy.deepcopy(self.graph)
        self._optimizer = make_optimizer(
            self.graph, recipe, self.start.fresh, self.device
        )
        self._schedule = Schedule(recipe, len(split.train))
        self._done = 0
        #: Why steps are not replayed as a CUDA graph, "" where they are.
        self.eager_reason = ""
        #: What share of the draws each source and class has, a line each.
        self.sampling: list[str] = []

    def _freeze(self) -> list[nn.Module]:
        """Fix the recipe's first stages as they start; return their modules."""
        if not self.recipe.frozen:
            return []
        names = ("conv1", "bn1", *STAGES[: self.recipe.frozen])
        prefixes = tuple(f"{name}." for name in names)
        random_ones = [
            name
            for name in self.start.fresh
            if name.startswith(prefixes) and ".shortcut." not in name
        ]
        if random_ones:
            raise DataError(
                f"stages that start at random cannot be frozen: {min(random_ones)}"
            )
        frozen = [self.graph.get_submodule(name) for name in names]
        for layer in frozen:
            layer.requires_grad_(requires_grad=False)
        return frozen

    @property
    def steps(self) -> int:
        """Steps of the whole recipe."""
        return self._schedule.steps

    def run(
        self,
        report: Callable[[Progress], None] = lambda progress: None,
        *,
        checkpoint_seconds: float | None = None,
        validate: bool = True,
    ) -> TorchGraph:
        """Train to the end and return the module with the averaged weights.

        Parameters
        ----------
        report
            Called after each step.
        checkpoint_seconds
            Time between checkpoints, see
            :class:`busnet.training.checkpoint.SavingInterval`.
        validate
            Whether the validation cases are measured at the end of each epoch.
        """
        if self.checkpoint is not None:
            _ = self.identity  # that of the files as they are now
        if self._resume():
            self._log(
                f"{self.checkpoint}: resumed after step {self._done} of {self.steps}"
            )
        else:
            self._begin()
        interval = checkpoints.SavingInterval(checkpoint_seconds)
        start, loss = time.monotonic(), math.nan
        parts: _Parts | None = None
        for epoch in self._schedule.epochs():
            if epoch.first + epoch.steps <= self._done:
                continue
            if parts is None or parts.phase is not epoch.phase:
                parts = self._prepare(epoch.phase)
            course = Course.draw(parts.sampler, self.recipe, epoch.number, self.device)
            for i in range(self._done - epoch.first, epoch.steps):
                position, last = epoch.first + i + 1, i + 1 == epoch.steps
                share = self._schedule.rate(position)
                set_rate(self._optimizer, self.recipe.learning_rate, share)
                parts.step(course, i, 1 - self._schedule.decay(position))
                self._done = position
                if self._reads_loss(position, last=last) or math.isnan(loss):
                    loss = parts.step.loss.item()
                measured = None
                if last and validate:
                    measured = self._validate(parts.validation)
                if position == self.steps or interval.is_over(epoch_ends=last):
                    with interval.saving():
                        self._save()
                report(
                    Progress(
                        epoch.index,
                        epoch.epoch,
                        position,
                        self.steps,
                        loss,
                        time.monotonic() - start,
                        measured,
                    )
                )
            self.eager_reason = parts.step.eager_reason
        return self.average

    def _reads_loss(self, position: int, *, last: bool) -> bool:
        """Tell whether a step's loss is read, for which a GPU must be waited for."""
        return self.device.type == "cpu" or last or position % LOSS_STEPS == 0

    def _examples(self, cases: Sequence[Case], size: int) -> Examples:
        """Read cases into the device's memory."""
        examples = self._load(cases, size, self.network.channels, self.sources)
        return examples.to(self.device)

    def validation_examples(self) -> Examples:
        """Read the validation cases at the finished model's image size."""
        return self._examples(self.split.validation, self.recipe.size)

    def _prepare(self, phase: Phase) -> _Parts:
        """Read the cases for a phase."""
        recipe = self.recipe
        examples = self._examples(self.split.train, recipe.stored_size(phase))
        sampler = Sampler(
            examples,
            recipe.sampling,
            batch=phase.batch,
            steps=self._schedule.steps_of(phase),
            seed=recipe.seed,
        )
        if sampler.describe() != self.sampling:
            self.sampling = sampler.describe()
            for line in self.sampling:
                self._log(f"draws: {line}")
        step = Step(
            self.graph,
            self.average,
            self._optimizer,
            recipe,
            examples,
            sampler,
            size=phase.size,
            batch=phase.batch,
            class_weights=class_weights(sampler.class_shares.tolist()),
            bfloat16=self.bfloat16,
        )
        self.graph.train()
        for layer in self._frozen:
            layer.eval()
        validation = self._examples(self.split.validation, phase.size)
        return _Parts(phase, sampler, step, validation)

    def _begin(self) -> None:
        """Initialise the weights and measure the batch norms on training images."""
        start = self.start
        start.initialise(self.graph)
        if start.summary:
            self._log(start.summary)
        if start.norms is None or start.norms:
            self._measure_norms()
        self.average.load_state_dict(self.graph.state_dict())

    def _measure_norms(self) -> None:
        """Measure statistics of batch norms that the start does not have of images."""
        order = random.Random(self.recipe.seed).sample(
            self.split.train, min(256, len(self.split.train))
        )
        phase = self.recipe.phases[0]
        images = self._examples(order, phase.size).images.float() / 255
        re_estimate_norms(
            self.graph,
            list(images.split(phase.batch)),
            keep_function=self.start.is_folded,
            names=self.start.norms,
        )

    def _validate(self, examples: Examples) -> dict[str, float]:
        """Measure the averaged weights; nothing is decided by it here."""
        if not len(examples):
            return {}
        outputs = compute_outputs(self.average, examples, bfloat16=self.bfloat16)
        return average_sources(measure(outputs, examples))

    @functools.cached_property
    def identity(self) -> dict[str, object]:
        """What makes it this training; a checkpoint of another one is not resumed.

        The files of the cases are read for it, once.
        """
        return {
            "network": dataclasses.asdict(self.network),
            "recipe": self.recipe.as_dict(),
            "start": self.start.identity,
            "training images": _describe(self.split.train),
            "validation images": _describe(self.split.validation),
        }

    def digest(self, **facts: object) -> str:
        """Return a hash of the identity and of other facts, such as the protocol."""
        text = json.dumps({**self.identity, **facts}, sort_keys=True, default=str)
        return hashlib.sha256(text.encode()).hexdigest()

    def _save(self) -> None:
        if self.checkpoint is not None:
            state = {
                "done": self._done,
                "graph": self.graph.state_dict(),
                "average": self.average.state_dict(),
                "optimizer": self._optimizer.state_dict(),
            }
            checkpoints.save(self.checkpoint, self.identity, state)

    def _resume(self) -> bool:
        if self.checkpoint is None or not self.checkpoint.exists():
            return False
        state = checkpoints.load(self.checkpoint, self.identity, self.device)
        self.graph.load_state_dict(state["graph"])
        self.average.load_state_dict(state["average"])
        self._optimizer.load_state_dict(state["optimizer"])
        if self.device.type == "cuda":
            for group in self._optimizer.param_groups:
                group["lr"] = torch.as_tensor(group["lr"], device=self.device)
        self._done = state["done"]
        return True
