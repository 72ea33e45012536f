"""The training loop: deterministic by seed, resumable at any step."""

from __future__ import annotations

import copy
import dataclasses
import math
import os
import random
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from busnet import _core
from busnet.data import CLASSES, Case, Split
from busnet.errors import DataError
from busnet.images import Letterbox
from busnet.networks import STAGES, Network
from busnet.training.graph import TorchGraph, module
from busnet.training.pretrained import (
    initialise,
    load_weights,
    re_estimate_norms,
    zero_last_norms,
)
from busnet.training.losses import class_loss, class_weights, mask_loss
from busnet.training.recipe import Phase, Recipe

__all__ = ["Examples", "Progress", "Trainer"]


@dataclasses.dataclass(frozen=True)
class Examples:
    """Cases as tensors of one size: images and masks (N, 1, S, S), labels (N,)."""

    images: Tensor
    masks: Tensor
    labels: Tensor

    @classmethod
    def load(cls, cases: Sequence[Case], size: int, channels: int) -> Examples:
        """Read and letterbox the cases."""
        images = np.empty((len(cases), channels, size, size), np.float32)
        masks = np.empty((len(cases), 1, size, size), np.float32)
        for i, case in enumerate(cases):
            picture = case.read_image()
            mask = case.read_mask()
            if mask.shape != picture.shape:
                raise DataError(
                    f"{case.name}: the image is {picture.shape}, its mask {mask.shape}"
                )
            box = Letterbox(*picture.shape, size)
            square = box.apply(picture.channels(channels))
            images[i] = square if channels == 1 else square.transpose(2, 0, 1)
            masks[i, 0] = box.apply(mask.astype(np.float32)) > 0.5
        labels = [CLASSES.index(case.label or "") for case in cases]
        return cls(
            torch.from_numpy(images), torch.from_numpy(masks), torch.tensor(labels)
        )

    def to(self, device: torch.device) -> Examples:
        """Return the examples in a device's memory."""
        return Examples(
            self.images.to(device), self.masks.to(device), self.labels.to(device)
        )

    def __len__(self) -> int:
        return len(self.labels)


@dataclasses.dataclass(frozen=True)
class Progress:
    """What the trainer tells its caller after each step.

    ``validation`` is filled at the end of an epoch: accuracy and mean lesion Dice of
    the averaged weights.
    """

    phase: int
    epoch: int
    step: int
    steps: int
    loss: float
    seconds: float
    validation: dict[str, float] | None = None


def device_named(name: str) -> torch.device:
    """Return a PyTorch device; ``"auto"`` is a CUDA GPU if there is one, else the CPU.

    Raises
    ------
    DataError
        If PyTorch has no such device here.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).partition("\n")[0]
        raise DataError(f"no device {name!r} to train on: {reason}") from None
    return device


def has_bfloat16(device: torch.device) -> bool:
    """Tell whether a device multiplies in bfloat16."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device.type != "cpu":
        return False
    isa = _core.engine()["isa"]
    return any(name in isa for name in ("bf16", "fp16", "amx"))


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
        Where the weights start: a busnet weights file of the same network, or a
        folder of partial ImageNet weights; fresh ones where not given.
    checkpoint
        File that the state is kept in; an existing one is resumed.
    device
        Name of the PyTorch device that computes, such as ``"cpu"`` or ``"cuda:0"``;
        ``"auto"`` takes a CUDA GPU if there is one. What is drawn at random is drawn
        on the CPU, so that every device sees the same images.
    bfloat16
        Whether convolutions compute in bfloat16 (autocast; weights stay float32); by
        default where the device has instructions for it.
    """

    def __init__(
        self,
        network: Network,
        split: Split,
        recipe: Recipe,
        *,
        start: str | os.PathLike[str] | None = None,
        checkpoint: str | os.PathLike[str] | None = None,
        device: str = "cpu",
        bfloat16: bool | None = None,
    ) -> None:
        if not split.train:
            raise DataError("the split has no training cases")
        self.network = network
        self.split = split
        self.recipe = recipe
        self.checkpoint = Path(checkpoint) if checkpoint is not None else None
        self.device = device_named(device)
        self.bfloat16 = has_bfloat16(self.device) if bfloat16 is None else bfloat16
        self.start = Path(start) if start is not None else None
        torch.manual_seed(recipe.seed)
        self.graph = module(network, classes=len(CLASSES)).to(self.device)
        for parameter in self.graph.parameters():
            if parameter.ndim == 4:
                parameter.data = parameter.data.contiguous(
                    memory_format=torch.channels_last
                )
        self._frozen = self._freeze()
        self.average = copy.deepcopy(self.graph)
        self._optimizer = self._make_optimizer()
        self._weights = class_weights(
            [CLASSES.index(case.label) for case in split.train], len(CLASSES)
        ).to(self.device)
        self._done = 0

    def _freeze(self) -> list[nn.Module]:
        """Keep the recipe's first stages as they start; return their modules."""
        if not self.recipe.frozen:
            return []
        if self.start is None:
            raise DataError("stages that start at random cannot be frozen")
        names = ("conv1", "bn1", *STAGES[: self.recipe.frozen])
        frozen = [self.graph.get_submodule(name) for name in names]
        for layer in frozen:
            layer.requires_grad_(requires_grad=False)
        return frozen

    def _make_optimizer(self) -> torch.optim.Optimizer:
        fresh: tuple[str, ...] = ()
        if self.start is None:
            fresh = ("",)
        elif self.start.is_dir():
            fresh = ("layer4.", "fc.", "decoder.")
        groups: dict[tuple[bool, bool], list[nn.Parameter]] = {}
        for name, parameter in self.graph.named_parameters():
            if not parameter.requires_grad:
                continue
            new = name.startswith(fresh) or (bool(fresh) and "shortcut" in name)
            groups.setdefault((new, parameter.ndim > 1), []).append(parameter)
        return torch.optim.AdamW(
            [
                {
                    "params": parameters,
                    "factor": self.recipe.fresh_factor if new else 1.0,
                    "weight_decay": self.recipe.weight_decay if matrix else 0.0,
                }
                for (new, matrix), parameters in groups.items()
            ],
            lr=self.recipe.learning_rate,
        )

    def _steps(self, phase: Phase) -> int:
        """Return the number of steps of an epoch."""
        return math.ceil(len(self.split.train) / phase.batch)

    def run(
        self,
        report: Callable[[Progress], None] = lambda progress: None,
        *,
        checkpoint_seconds: float = 300.0,
    ) -> TorchGraph:
        """Train to the end and return the module with the averaged weights.

        The state goes to the checkpoint every ``checkpoint_seconds``, at the end of the
        first epoch, and of others after a tenth of that.
        """
        if not self._resume():
            self._start()
        total = sum(p.epochs * self._steps(p) for p in self.recipe.phases)
        position, start = 0, time.monotonic()
        saved = start - checkpoint_seconds / 10
        for index, phase in enumerate(self.recipe.phases):
            if position + phase.epochs * self._steps(phase) <= self._done:
                position += phase.epochs * self._steps(phase)
                continue
            own = self._examples(self.split.train, phase.size)
            held = self._examples(self.split.validation, phase.size)
            for epoch in range(phase.epochs):
                batches = self._batches(phase, index, epoch)
                for i, batch in enumerate(batches):
                    position += 1
                    if position <= self._done:
                        continue
                    loss = self._step(own, batch, position, total)
                    self._done = position
                    progress = Progress(
                        index, epoch, position, total, loss, time.monotonic() - start
                    )
                    patience = checkpoint_seconds
                    if i + 1 == len(batches):
                        measured = self._validate(held, phase.batch)
                        progress = dataclasses.replace(progress, validation=measured)
                        patience /= 10
                    if time.monotonic() - saved > patience or position == total:
                        self._save()
                        saved = time.monotonic()
                    report(progress)
        return self.average

    def _examples(self, cases: Sequence[Case], size: int) -> Examples:
        """Load cases into the device's memory."""
        return Examples.load(cases, size, self.network.channels).to(self.device)

    def _start(self) -> None:
        """Initialise the weights and measure the batch norms on training images."""
        if self.start is not None and not self.start.is_dir():
            load_weights(self.graph, self.network, self.start)
            self.average.load_state_dict(self.graph.state_dict())
            return
        if self.start is None:
            zero_last_norms(self.graph, self.network, stages="1234")
        else:
            initialise(self.graph, self.network, self.start)
        order = random.Random(self.recipe.seed).sample(
            self.split.train, min(256, len(self.split.train))
        )
        phase = self.recipe.phases[0]
        images = self._examples(order, phase.size).images
        re_estimate_norms(
            self.graph,
            list(images.split(phase.batch)),
            keep_function=self.network.block == "basic" and self.start is not None,
        )
        self.average.load_state_dict(self.graph.state_dict())

    def _batches(self, phase: Phase, index: int, epoch: int) -> list[list[int]]:
        """Shuffle an epoch's cases into batches that differ by one at most."""
        chosen = list(range(len(self.split.train)))
        random.Random(f"{self.recipe.seed} {index} {epoch}").shuffle(chosen)
        steps = self._steps(phase)
        return [chosen[i::steps] for i in range(steps)]

    def _step(
        self, own: Examples, batch: list[int], position: int, total: int
    ) -> float:
        labels = own.labels[batch]
        generator = torch.Generator().manual_seed(
            self.recipe.seed * 1_000_003 + position
        )
        images, masks = self.recipe.augmentation(
            own.images[batch], own.masks[batch], generator
        )
        warm = self.recipe.warmup * total
        rate = min(position / max(warm, 1), 1.0)
        rate *= 0.505 + 0.495 * math.cos(math.pi * position / total)
        for group in self._optimizer.param_groups:
            group["lr"] = self.recipe.learning_rate * group["factor"] * rate
        self.graph.train()
        for layer in self._frozen:
            layer.eval()
        outputs = self._forward(self.graph, images)
        loss = torch.zeros((), device=self.device)
        if "class" in outputs:
            loss = loss + class_loss(
                outputs["class"], labels, self._weights, self.recipe.smoothing
            )
        if "mask" in outputs:
            loss = loss + self.recipe.mask_weight * mask_loss(outputs["mask"], masks)
        self._optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.graph.parameters(), 5.0)
        self._optimizer.step()
        self._update_average(position)
        return loss.item()

    def _forward(self, graph: TorchGraph, images: Tensor) -> dict[str, Tensor]:
        """Compute float32 outputs, in bfloat16 between where that is chosen."""
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bfloat16):
            outputs = graph(images.contiguous(memory_format=torch.channels_last))
        return {name: value.float() for name, value in outputs.items()}

    @torch.no_grad()
    def _update_average(self, position: int) -> None:
        decay = min(self.recipe.ema, (1 + position) / (10 + position))
        new = self.graph.state_dict()
        averages, currents = [], []
        for name, value in self.average.state_dict().items():
            if value.is_floating_point():
                averages.append(value)
                currents.append(new[name])
            else:
                value.copy_(new[name])
        get_ema_multi_avg_fn(decay)(averages, currents, position)

    @torch.no_grad()
    def _validate(self, held: Examples, batch: int) -> dict[str, float]:
        """Measure the averaged weights; nothing is decided by it here."""
        self.average.eval()
        right, dice = [], []
        for i in range(0, len(held), batch):
            part = slice(i, i + batch)
            outputs = self._forward(self.average, held.images[part])
            if "class" in outputs:
                right += (outputs["class"].argmax(1) == held.labels[part]).tolist()
            if "mask" in outputs:
                p, t = outputs["mask"] > 0, held.masks[part] > 0
                both = (p & t).flatten(1).sum(1)
                sizes = p.flatten(1).sum(1) + t.flatten(1).sum(1)
                lesion = t.flatten(1).any(1)
                dice += (2 * both / sizes.clamp(min=1))[lesion].tolist()
        measured = {}
        if right:
            measured["accuracy"] = sum(right) / len(right)
        if dice:
            measured["dice"] = sum(dice) / len(dice)
        return measured

    def _identity(self) -> dict[str, Any]:
        """Return what a checkpoint must agree in to be resumed."""
        return {
            "network": dataclasses.asdict(self.network),
            "recipe": self.recipe.as_dict(),
            "train": [case.name for case in self.split.train],
            "start": self.start.name if self.start is not None else None,
        }

    def _save(self) -> None:
        if self.checkpoint is None:
            return
        self.checkpoint.parent.mkdir(parents=True, exist_ok=True)
        part = self.checkpoint.with_name(self.checkpoint.name + ".part")
        torch.save(
            {
                "identity": self._identity(),
                "done": self._done,
                "graph": self.graph.state_dict(),
                "average": self.average.state_dict(),
                "optimizer": self._optimizer.state_dict(),
            },
            part,
        )
        os.replace(part, self.checkpoint)

    def _resume(self) -> bool:
        if self.checkpoint is None or not self.checkpoint.exists():
            return False
        state = torch.load(self.checkpoint, weights_only=True, map_location=self.device)
        if state["identity"] != self._identity():
            raise DataError(
                f"{self.checkpoint}: the checkpoint is of another network, recipe or "
                f"split; remove it or name another"
            )
        self.graph.load_state_dict(state["graph"])
        self.average.load_state_dict(state["average"])
        self._optimizer.load_state_dict(state["optimizer"])
        self._done = state["done"]
        return True
