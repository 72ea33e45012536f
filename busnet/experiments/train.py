"""Training in one call: from data to a model."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from busnet._io import check_outputs, check_target
from busnet.data import DataLike, Fold, read_data
from busnet.data.numbers import check_fold, check_seed, whole_number
from busnet.data.protocols import HOSPITALS
from busnet.engine.threads import get_threads
from busnet.errors import (
    ModelError,
    OutputError,
    UnknownNetworkError,
    requires_extra,
)
from busnet.experiments.folder import file_name, name_part
from busnet.experiments.progress import Reporter
from busnet.model import Model, load
from busnet.models import SUFFIX
from busnet.networks import Network, get_network

if TYPE_CHECKING:
    from busnet.training.recipe import Recipe

__all__ = ["choose_network", "choose_recipe", "train"]


def train(
    data: DataLike,
    *,
    network: str | Network = "resnet18",
    fold: int | str | None = None,
    protocol: str | None = None,
    start: str | os.PathLike[str] | None = None,
    recipe: str | Recipe = "standard",
    epochs: int | None = None,
    image_size: int | None = None,
    frozen: int | None = None,
    seed: int | None = None,
    heads: Sequence[str] = ("class", "mask"),
    stage_shortcuts: bool | None = None,
    pooling: str | None = None,
    channels: int = 1,
    out: str | os.PathLike[str] | None = None,
    work: str | os.PathLike[str] = "runs",
    allow_leak: bool = False,
    eight_bit: bool = False,
    device: str = "auto",
    progress: bool = True,
) -> Model:
    """Train a network on labelled images, as ``busnet train`` does.

    A training that was stopped goes on where it was when the function is called again,
    and one that is finished is not done again.

    Parameters
    ----------
    data
        What :func:`busnet.data.read_data` takes: folder or table of a data set, several
        of them, cases, or a data frame.
    network
        Row of the table of networks, such as ``"resnet50"``; or a
        :class:`busnet.networks.Network`, whose fields the options ``heads``,
        ``stage_shortcuts``, ``pooling`` and ``channels`` then leave as they are.
    fold
        What is held out: a fold, or a whole source by its name (protocol
        ``hospitals``). By default nothing is.
    protocol
        How the data is used, a name of :data:`busnet.data.PROTOCOLS`; by default as its
        layout says.
    start
        Where the weights start: a model's name or file, a checkpoint of torchvision or
        timm, ``"torchvision"``, or a folder of partial ImageNet weights; by default
        weights are random.
    recipe
        ``"standard"``, ``"release"`` or ``"plain"``, see
        :data:`busnet.training.recipe.RECIPES`; or a recipe.
    epochs
        Epochs instead of the recipe's.
    image_size
        Image size of the model, pixels, instead of the recipe's.
    frozen
        Stages to keep as they start, 0 to 4, and the stem with them.
    seed
        Seed of everything random; by default the recipe's, 0.
    heads
        ``"class"``, ``"mask"`` or both.
    stage_shortcuts, pooling
        See :class:`busnet.networks.Network`; by default as the row has.
    channels
        1 for grey images, 3 for RGB.
    out
        Weights file to write, where another one is replaced; by default one in ``work``
        that is named after the network, the data, the fold and the seed, where the
        model of another training is not replaced.
    work
        Folder for checkpoints.
    allow_leak
        Whether to train although test images leak; the weights file then says so.
    eight_bit
        Whether weights are stored in 8 bits.
    device
        PyTorch device: ``"cpu"``, ``"cuda"``, ``"cuda:1"``; ``"auto"`` takes a CUDA GPU
        if there is one.
    progress
        Whether standard error, or the notebook, shows progress and warnings.

    Returns
    -------
    Model
        Loaded from the weights file; its ``info.provenance`` says what it was trained
        on.

    Raises
    ------
    MissingExtraError
        If PyTorch or SciPy is not installed.
    UnknownNetworkError
        If there is no such network.
    ModelError
        If there is no such recipe, or it cannot be changed so.
    DataError, LeakError
        If the data, the protocol, the fold, the device or the checkpoint cannot be
        used, or a group would be divided.
    OutputError
        If ``out`` does not end in ``.safetensors``, is what the weights start from, or
        it or the checkpoint cannot be written; if the file in ``work`` is of another
        training, or another training is using the checkpoint.
    """
    with requires_extra("train"):
        import torch

        from busnet.training import run as training
    row = choose_network(
        network,
        heads=heads,
        stage_shortcuts=stage_shortcuts,
        pooling=pooling,
        channels=channels,
    )
    chosen = choose_recipe(
        recipe, epochs=epochs, image_size=image_size, frozen=frozen, seed=seed
    )
    fold = check_fold(fold)
    if isinstance(fold, str) and protocol is None:
        protocol = HOSPITALS
    listing = read_data(data)
    sources = dict.fromkeys(case.source for case in listing.cases)
    tag = _tag(training.file_name(row), [*sources], protocol, fold, chosen)
    if isinstance(recipe, str) and recipe != "standard":
        tag += f"-{recipe}"
    target = Path(out) if out is not None else Path(work) / f"{tag}.safetensors"
    checkpoint = Path(work) / f"{tag}.ckpt"
    _check_out(target, start)
    for path in (target, checkpoint):
        check_target(path)
    reporter = Reporter(progress)
    job = training.Job(
        row,
        listing,
        chosen,
        protocol,
        fold,
        start,
        device,
    )
    with _torch_threads(torch), reporter.training("training") as report:
        info = training.run(
            job,
            target,
            checkpoint=checkpoint,
            report=report,
            log=reporter.log,
            warn=reporter.warn,
            allow_leak=allow_leak,
            eight_bit=eight_bit,
            replace=out is not None,
        )
    if leaks := info.provenance["leaks"]:
        reporter.alarm(
            "LEAKY",
            f"{leaks} groups stand on both sides of the split; the weights file says "
            f"so",
        )
    reporter.log(f"weights in {target}")
    return load(target)


def _check_out(target: Path, start: str | os.PathLike[str] | None) -> None:
    """Refuse a weights file that would not be found, or that the training reads.

    Raises
    ------
    OutputError
        If its name does not end in ``.safetensors``, or it is the start.
    """
    if target.suffix != SUFFIX:
        raise OutputError(f"{target}: a model's file ends in {SUFFIX}")
    if start is not None:
        check_outputs({"out": target}, [start])


def choose_network(
    network: str | Network,
    *,
    heads: Sequence[str] = ("class", "mask"),
    stage_shortcuts: bool | None = None,
    pooling: str | None = None,
    channels: int = 1,
) -> Network:
    """Return a row of the table with what was chosen otherwise; see :func:`train`.

    Raises
    ------
    UnknownNetworkError
        If there is no such row, or no network can be built so.
    """
    if isinstance(network, Network):
        return network
    channels = whole_number(channels, "the number of channels", UnknownNetworkError)
    if channels not in (1, 3):
        raise UnknownNetworkError(
            f"images have 1 channel (grey) or 3 (RGB), not {channels}"
        )
    changes: dict[str, Any] = {"channels": channels, "heads": heads}
    if pooling is not None:
        changes["pooling"] = pooling
    if stage_shortcuts is not None:
        changes["stage_shortcuts"] = stage_shortcuts
    return get_network(network, **changes)


def choose_recipe(
    recipe: str | Recipe,
    *,
    epochs: int | None = None,
    image_size: int | None = None,
    frozen: int | None = None,
    seed: int | None = None,
) -> Recipe:
    """Return a recipe with what was chosen otherwise; see :func:`train`.

    Raises
    ------
    ModelError
        If there is no recipe of that name, or it cannot be changed so.
    """
    from busnet.training.recipe import MIN_SIZE, RECIPES

    if isinstance(recipe, str):
        if recipe not in RECIPES:
            raise ModelError(
                f"no recipe is called {recipe!r}; recipes are {', '.join(RECIPES)}"
            )
        recipe = RECIPES[recipe]
    if epochs is not None:
        epochs = whole_number(epochs, "the number of epochs", ModelError)
        if epochs < 1:
            raise ModelError(f"a training has at least one epoch, not {epochs}")
        recipe = recipe.shortened(epochs)
    if image_size is not None:
        image_size = whole_number(image_size, "the image size", ModelError)
        if not MIN_SIZE <= image_size <= 4096:
            raise ModelError(f"the image size {image_size} is not in {MIN_SIZE}..4096")
        recipe = recipe.resized(image_size)
    if frozen is not None:
        frozen = whole_number(frozen, "the number of frozen stages", ModelError)
        if not 0 <= frozen <= 4:
            raise ModelError(f"0 to 4 stages can be frozen, not {frozen}")
        recipe = dataclasses.replace(recipe, frozen=frozen)
    if seed is not None:
        recipe = dataclasses.replace(recipe, seed=check_seed(seed, ModelError))
    return recipe


def _tag(
    network: str, sources: list[str], protocol: str | None, fold: Fold, recipe: Recipe
) -> str:
    """Return the name of a training's files, without options that have defaults."""
    if protocol is None:
        protocol = file_name("-".join(sources))
    parts = [network, protocol, "all" if fold is None else name_part(fold)]
    parts.append(f"seed{recipe.seed}")
    if recipe.frozen:
        parts.append(f"frozen{recipe.frozen}")
    return "-".join(parts)


@contextmanager
def _torch_threads(torch: Any) -> Iterator[None]:
    """Let PyTorch use as many threads as busnet does, for a while."""
    before = torch.get_num_threads()
    torch.set_num_threads(get_threads())
    try:
        yield
    finally:
        torch.set_num_threads(before)
