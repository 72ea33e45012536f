"""A whole training: the cases, the split, the loop and the weights file."""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from busnet._io import locked, output_errors
from busnet.data import (
    LESION_CLASSES,
    Case,
    Fold,
    Listing,
    default_protocol,
    get_protocol,
    screen,
    split,
)
from busnet.data.numbers import check_fold
from busnet.errors import DataError, OutputError, UnknownNetworkError, WeightsError
from busnet.model_info import ModelInfo
from busnet.networks import Network
from busnet.training.export import export, hash_training
from busnet.training.progress import Progress
from busnet.training.recipe import Recipe
from busnet.training.trainer import Trainer
from busnet.weights import read_info

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
    replace: bool = False,
) -> ModelInfo:
    """Train, resuming from the checkpoint if there is one, and write the weights file.

    The checkpoint is removed when the weights file is written. Where that is there and
    of the same training, nothing is done again.

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
    replace
        Whether a file at ``out`` that is not of this training is replaced.

    Raises
    ------
    DataError, LeakError
        If a source, the protocol, the fold, the split or the checkpoint cannot be used,
        or no image can train one of the network's heads.
    OutputError
        If a file cannot be written or would be replaced, or another training is using
        the checkpoint.
    """
    cases, fold = job.data.cases, check_fold(job.fold)
    name = job.protocol if job.protocol is not None else default_protocol(cases)
    protocol = get_protocol(name)
    parts = split(cases, name, fold, seed=job.recipe.seed, allow_leak=allow_leak)
    for finding in (*job.data.findings, *screen([*parts.train, *parts.validation])):
        if finding.severity == "warning":
            warn(str(finding))
    _check_heads(job.network, parts.train, warn)
    trainer = Trainer(
        job.network,
        parts,
        job.recipe,
        start=job.start,
        checkpoint=checkpoint,
        device=job.device,
        log=log,
    )
    digest = trainer.digest(protocol=name, fold=fold, eight_bit=eight_bit)
    with _reserved(checkpoint):
        finished = _read_finished(out, digest, replace=replace)
        if finished is not None:
            log(f"{out}: this training is finished; delete it to train again")
            return finished
        hashes = hash_training(trainer)  # first, as an error would cost the training
        trainer.run(report)
        info = export(
            out,
            trainer,
            {
                "data": protocol.description,
                "protocol": name,
                "fold": fold if fold is not None else protocol.only_fold,
                "sources": protocol.trained_sources(protocol.use(cases), fold),
                "training_sha256": digest,
                **({"digests": dict(job.digests)} if job.digests else {}),
            },
            hashes=hashes,
            eight_bit=eight_bit,
        )
        checkpoint.unlink(missing_ok=True)
    return info


def _check_heads(
    network: Network, cases: Sequence[Case], warn: Callable[[str], None]
) -> None:
    """Refuse a head that would stay as random as it starts, and warn of a class.

    Raises
    ------
    DataError
        If no lesion has what the head learns.
    """
    lesions = [case for case in cases if case.label != "normal"]
    present = {case.label for case in lesions} - {None}
    if "class" in network.heads and not present:
        raise DataError(
            "no training image of a lesion has a class, so that the class head would "
            "learn nothing; train the masks alone (--heads mask)"
        )
    if "mask" in network.heads and not any(case.masks for case in lesions):
        raise DataError(
            "no training image of a lesion has a mask, so that the mask head would "
            "learn nothing; train the classes alone (--heads class)"
        )
    if "class" in network.heads:
        for label in sorted({*LESION_CLASSES} - present):
            warn(f"no training image is {label}, so that its probability is not learnt")


def _reserved(checkpoint: Path) -> contextlib.AbstractContextManager[None]:
    """Keep other trainings from using a checkpoint at the same time."""
    with output_errors(checkpoint):
        checkpoint.parent.mkdir(parents=True, exist_ok=True)
    return locked(
        checkpoint.with_name(f"{checkpoint.name}.lock"),
        f"{checkpoint}: another training is using the checkpoint; wait for it, or name "
        f"another folder for checkpoints (--work)",
    )


def _read_finished(out: Path, digest: str, *, replace: bool) -> ModelInfo | None:
    """Return what a file says that this training has written; None without one.

    Raises
    ------
    OutputError
        If there is another file, and it is not to be replaced.
    """
    if not os.path.lexists(out):
        return None
    try:
        info = read_info(out)
        if info.provenance.get("training_sha256") == digest:
            return info
    except (WeightsError, UnknownNetworkError):
        pass  # damaged, or another kind of file
    if not replace:
        raise OutputError(
            f"{out}: the file is not of this training, and would be lost; name another "
            f"file (--out) or folder (--work), or delete it"
        )
    return None


def file_name(network: Network) -> str:
    """Return the name of a network's files, with what it has switched off."""
    kind = "-shortcuts" if network.stage_shortcuts else ""
    pooling = "" if network.pooling == "mean" else f"-{network.pooling}"
    return f"{network.name}{kind}-{'-'.join(network.heads)}{pooling}"
