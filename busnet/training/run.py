"""A whole training: the cases, the split, the loop and the weights file."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Mapping
from pathlib import Path

from busnet.data import (
    Fold,
    Listing,
    default_protocol,
    get_protocol,
    screen,
    split,
)
from busnet.model_info import ModelInfo
from busnet.networks import Network
from busnet.training.export import export, hash_training
from busnet.training.progress import Progress
from busnet.training.recipe import Recipe
from busnet.training.trainer import Trainer

__all__ = ["Job", "file_name", "run"]


@dataclasses.dataclass(frozen=True)
class Job:
    """What is trained on what.

    Attributes
    ----------
    network
        The row to train.
    data
        The cases and what their readers found, see :func:`busnet.data.read_data`.
    recipe
        How.
    protocol
        A name of :data:`busnet.data.PROTOCOLS`; by default the one that the sources
        have.
    fold
        The fold, or for ``hospitals`` the source, that is held out; None holds out
        nothing.
    start
        Where the weights start, see :func:`busnet.training.start.open_start`.
    device
        Name of the PyTorch device that computes, or ``"auto"``.
    digests
        Hashes of the data by name, which the weights file states.
    """

    network: Network
    data: Listing
    recipe: Recipe
    protocol: str | None = None
    fold: Fold = None
    start: str | os.PathLike[str] | None = None
    device: str = "cpu"
    digests: Mapping[str, str] = dataclasses.field(default_factory=dict)


def run(
    job: Job,
    out: Path,
    *,
    checkpoint: Path,
    report: Callable[[Progress], None] = lambda progress: None,
    log: Callable[[str], None] = lambda line: None,
    warn: Callable[[str], None] = lambda line: None,
    allow_leak: bool = False,
    eight_bit: bool = False,
) -> ModelInfo:
    """Train, resuming from the checkpoint if there is one, and write the weights file.

    The checkpoint is removed when the weights file is written.

    Parameters
    ----------
    job
        What to train.
    out
        The weights file.
    checkpoint
        Where the state is saved on the way.
    report
        Called after each step.
    log
        Called with what is worth a line: what the start has, and what share of the
        draws each source and class has.
    warn
        Called with what may be wrong with the data.
    allow_leak
        Whether a group may stand in two parts of the split.
    eight_bit
        See :func:`busnet.weights.save`.

    Raises
    ------
    DataError, LeakError
        If a source, the protocol, the fold, the split or the checkpoint cannot be used.
    """
    cases = job.data.cases
    name = job.protocol if job.protocol is not None else default_protocol(cases)
    protocol = get_protocol(name)
    parts = split(cases, name, job.fold, seed=job.recipe.seed, allow_leak=allow_leak)
    for finding in (*job.data.findings, *screen([*parts.train, *parts.validation])):
        if finding.severity == "warning":
            warn(str(finding))
    trainer = Trainer(
        job.network,
        parts,
        job.recipe,
        start=job.start,
        checkpoint=checkpoint,
        device=job.device,
        log=log,
    )
    hashes = hash_training(trainer)  # first, as an error would cost the training
    trainer.run(report)
    info = export(
        out,
        trainer,
        {
            "data": protocol.description,
            "protocol": name,
            "fold": job.fold if job.fold is not None else protocol.only_fold,
            "sources": protocol.trained_sources(protocol.use(cases), job.fold),
            **({"digests": dict(job.digests)} if job.digests else {}),
        },
        hashes=hashes,
        eight_bit=eight_bit,
    )
    checkpoint.unlink(missing_ok=True)
    return info


def file_name(network: Network) -> str:
    """Return the name of a network's files, with what it has switched off."""
    kind = "-shortcuts" if network.stage_shortcuts else ""
    pooling = "" if network.pooling == "mean" else f"-{network.pooling}"
    return f"{network.name}{kind}-{'-'.join(network.heads)}{pooling}"
