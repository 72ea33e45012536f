"""One training step on a device: from the draws of a step to changed weights.

Nothing in it waits for the device, so that a CUDA GPU is never idle between steps, and
a whole step can be recorded as a CUDA graph and replayed: the hundreds of kernels of a
small network take longer to launch one by one than to compute.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from busnet.data import NORMAL_INDEX
from busnet.training.augment import COLUMNS, Augmenter, affine
from busnet.training.examples import UNKNOWN, Examples
from busnet.training.graph import TorchGraph
from busnet.training.losses import class_loss, mask_loss, silence_loss
from busnet.training.recipe import Recipe
from busnet.training.sampling import Sampler

__all__ = ["Course", "Replayed", "Step", "forward"]

#: Steps that run as usual before one is recorded, so that libraries have chosen their
#: algorithms and the optimizer has its state.
_WARM_UP = 4

#: Norm that the gradients are clipped to.
_MAX_GRADIENT = 5.0


def forward(graph: TorchGraph, images: Tensor, *, bfloat16: bool) -> dict[str, Tensor]:
    """Compute float32 outputs, in bfloat16 between where that is chosen."""
    with torch.autocast(images.device.type, torch.bfloat16, enabled=bfloat16):
        outputs = graph(images.contiguous(memory_format=torch.channels_last))
    return {name: value.float() for name, value in outputs.items()}


@dataclasses.dataclass(frozen=True)
class Course:
    """The random choices of an epoch, on the device.

    Attributes
    ----------
    choices
        Example, partner, and 1 for a lesion-free crop, int64 (S, N, 3).
    numbers
        Transform (6), extent (2) and the augmentation's random numbers, (S, N, 8 + K).
    """

    choices: Tensor
    numbers: Tensor

    @classmethod
    def draw(
        cls, sampler: Sampler, recipe: Recipe, epoch: int, device: torch.device
    ) -> Course:
        """Draw an epoch, the same for the same recipe, examples and epoch."""
        draws = sampler.draw(epoch)
        rng = np.random.default_rng((recipe.seed, epoch, 1))
        theta, extent = affine(recipe.augmentation, draws, rng)
        shape = draws.index.shape
        numbers = np.concatenate(
            (theta.reshape(*shape, 6), extent, rng.random((*shape, COLUMNS))), -1
        )
        choices = np.stack((draws.index, draws.partner, draws.lesion_free), -1)
        return cls(
            torch.from_numpy(choices.astype(np.int64)).to(device),
            torch.from_numpy(numbers.astype(np.float32)).to(device),
        )


class Replayed:
    """A function without arguments, replayed as a CUDA graph after its first calls.

    It must read and write the same tensors each time. Where PyTorch cannot record it,
    and on a CPU, it is called as usual.
    """

    def __init__(self, function: Callable[[], None], device: torch.device) -> None:
        self._function = function
        self._stream = torch.cuda.Stream(device) if device.type == "cuda" else None
        self._graph: torch.cuda.CUDAGraph | None = None
        self._calls = 0
        #: Why it is called as usual, "" where it is replayed or was not tried.
        self.reason = "" if self._stream else f"no CUDA graphs on {device}"

    def __call__(self) -> None:
        """Call the function, or replay it."""
        if self._graph is None and not self.reason and self._calls >= _WARM_UP:
            self._record()
        if self._graph is not None:
            self._graph.replay()
        elif self._stream is None:
            self._function()
        else:  # on the stream that is recorded later, as PyTorch asks for
            current = torch.cuda.current_stream()
            self._stream.wait_stream(current)
            with torch.cuda.stream(self._stream):
                self._function()
            current.wait_stream(self._stream)
        self._calls += 1

    def _record(self) -> None:
        graph = torch.cuda.CUDAGraph()
        torch.cuda.synchronize()
        try:
            with torch.cuda.graph(
                graph, stream=self._stream, capture_error_mode="thread_local"
            ):
                self._function()
        except RuntimeError as error:
            self.reason = str(error).partition("\n")[0]
            torch.cuda.synchronize()
        else:
            self._graph = graph


class Step:
    """Trains a module on drawn examples, a step at a time.

    Parameters
    ----------
    graph, average
        The module, and its copy that gets the averaged weights.
    optimizer
        Of the module's parameters.
    recipe
        Losses and augmentation.
    examples
        Training examples, their pixels on the device.
    sampler
        Says which classes and sources the draws hold.
    size
        Side of the squares that the network sees, pixels.
    batch
        Images a step.
    class_weights
        Weight of each class in the loss, (classes,).
    bfloat16
        Whether convolutions compute in bfloat16.
    """

    def __init__(
        self,
        graph: TorchGraph,
        average: TorchGraph,
        optimizer: torch.optim.Optimizer,
        recipe: Recipe,
        examples: Examples,
        sampler: Sampler,
        *,
        size: int,
        batch: int,
        class_weights: Tensor,
        bfloat16: bool,
    ) -> None:
        device = examples.images.device
        self._graph, self._optimizer, self._recipe = graph, optimizer, recipe
        self._examples, self._bfloat16 = examples, bfloat16
        self._weights = class_weights.to(device)
        self._augmenter = Augmenter(recipe.augmentation, size, device, recipe.seed)
        detects = np.ones(len(examples))
        if recipe.hierarchical:
            detects *= sampler.sources_with_normals[examples.sources]
        self._labels, self._masked, self._detects, self._frames = (
            torch.from_numpy(np.asarray(values, kind)).to(device)
            for values, kind in (
                (examples.labels, np.int64),
                (examples.masked, np.float32),
                (detects, np.float32),
                (examples.frames, np.float32),
            )
        )
        self._choices = torch.zeros(batch, 3, dtype=torch.int64, device=device)
        self._numbers = torch.zeros(batch, 8 + COLUMNS, device=device)
        self._pace = torch.zeros((), device=device)
        #: The loss of the last step, on the device.
        self.loss = torch.zeros((), device=device)
        self._averaged = _pairs(graph, average)
        self._run = Replayed(self._compute, device)

    @property
    def eager_reason(self) -> str:
        """Why steps are not replayed as a CUDA graph, "" where they are."""
        return self._run.reason

    def __call__(self, course: Course, step: int, pace: float) -> None:
        """Train on the draws of a step.

        Parameters
        ----------
        course
            The epoch's draws.
        step
            Which of its steps.
        pace
            Share in which the averaged weights move towards the new ones.
        """
        self._choices.copy_(course.choices[step])
        self._numbers.copy_(course.numbers[step])
        self._pace.fill_(pace)
        self._run()

    def _compute(self) -> None:
        index, partner, lesion_free = self._choices.unbind(1)
        examples, numbers = self._examples, self._numbers
        images, masks = self._augmenter(
            examples.images[index],
            examples.masks[index],
            examples.images[partner],
            self._frames[index],
            numbers[:, :6].reshape(-1, 2, 3),
            numbers[:, 6:8],
            numbers[:, 8:],
        )
        # A turned window can reach the lesion after all: of what class is it then?
        reached = (masks.flatten(1).amax(1) > 0).long()
        crop_label = NORMAL_INDEX + (UNKNOWN - NORMAL_INDEX) * reached
        labels = torch.where(lesion_free > 0, crop_label, self._labels[index])
        outputs = forward(self._graph, images, bfloat16=self._bfloat16)
        loss = torch.zeros((), device=images.device)
        if "class" in outputs:
            loss = loss + class_loss(
                outputs["class"],
                labels,
                self._weights,
                self._recipe.smoothing,
                self._detects[index],
            )
        if "mask" in outputs:
            known = self._masked[index]
            mask = mask_loss(outputs["mask"], masks, known)
            if self._recipe.silence:
                silence = silence_loss(outputs["mask"], masks, known)
                mask = mask + self._recipe.silence * silence
            loss = loss + self._recipe.mask_weight * mask
        self._optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self._graph.parameters(), _MAX_GRADIENT)
        self._optimizer.step()
        self._average()
        self.loss.copy_(loss.detach())

    @torch.no_grad()
    def _average(self) -> None:
        averages, currents = self._averaged
        moves = torch._foreach_sub(currents, averages)
        torch._foreach_mul_(moves, self._pace)
        torch._foreach_add_(averages, moves)


def _pairs(graph: TorchGraph, average: TorchGraph) -> tuple[list[Tensor], list[Tensor]]:
    """Return the floating-point arrays of the average and those they follow."""
    new = graph.state_dict()
    names = [n for n, value in new.items() if value.is_floating_point()]
    averages = average.state_dict()
    return [averages[name] for name in names], [new[name] for name in names]
