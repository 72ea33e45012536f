"""A whole training: the cases, the split, the loop and the weights file."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

from busnet.data import PROTOCOLS, read_sources, recognise, split
from busnet.networks import Network
from busnet.training.export import export
from busnet.training.recipe import RECIPES, Recipe
from busnet.training.trainer import Progress, Trainer
from busnet.model_info import ModelInfo

__all__ = ["Job", "file_name", "pretrain", "run"]

PRETRAINING = "busbra-patient5"


@dataclasses.dataclass(frozen=True)
class Job:
    """What is trained on what.

    Attributes
    ----------
    network
        The row to train.
    data
        Folder or table of the data set that the protocol is for.
    protocol
        A name of :data:`busnet.data.PROTOCOLS`.
    fold
        The fold that is held out; None holds out nothing.
    recipe
        How.
    start
        Weights file or folder of ImageNet weights to start from.
    device
        Name of the PyTorch device that computes, or ``"auto"``.
    """

    network: Network
    data: Path
    protocol: str
    fold: int | None
    recipe: Recipe
    start: Path | None = None
    device: str = "cpu"


def run(
    job: Job,
    out: Path,
    *,
    checkpoint: Path,
    report: Callable[[Progress], None] = lambda progress: None,
    allow_leak: bool = False,
    eight_bit: bool = False,
) -> ModelInfo:
    """Train, resuming from the checkpoint if there is one, and write the weights file.

    The checkpoint is removed when the weights file is written.

    Raises
    ------
    DataError, LeakError
        If the data set, the protocol, the fold or the split cannot be used.
    """
    cases = read_sources({recognise(job.data): job.data})
    made = split(
        cases, job.protocol, job.fold, seed=job.recipe.seed, allow_leak=allow_leak
    )
    trainer = Trainer(
        job.network,
        made,
        job.recipe,
        start=job.start,
        checkpoint=checkpoint,
        device=job.device,
    )
    trainer.run(report)
    info = export(
        out,
        trainer,
        {
            "data": PROTOCOLS[job.protocol].description,
            "protocol": job.protocol,
            "fold": job.fold,
        },
        eight_bit=eight_bit,
    )
    checkpoint.unlink(missing_ok=True)
    return info


def file_name(network: Network) -> str:
    """Return what files of a row are called, its ablations told apart."""
    kind = "-shortcuts" if network.stage_shortcuts else ""
    return f"{network.name}{kind}-{'-'.join(network.heads)}"


def pretrain(
    network: Network,
    data: Path,
    start: Path | None,
    work: Path,
    report: Callable[[Progress], None] = lambda progress: None,
    *,
    device: str = "cpu",
) -> Path:
    """Train on all of BUS-BRA and return the weights file, which is kept in ``work``.

    It holds no image of BUSI, so it can be the start for any of BUSI's folds.
    """
    out = work / f"{file_name(network)}-busbra.safetensors"
    if not out.exists():
        recipe = RECIPES["pretrain"]
        job = Job(network, data, PRETRAINING, None, recipe, start, device)
        run(job, out, checkpoint=out.with_suffix(".ckpt"), report=report)
    return out
