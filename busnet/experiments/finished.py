"""Whether files in a comparison's folder are what its trainings would have written."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from busnet.data import split
from busnet.errors import DataError, UnknownNetworkError, WeightsError
from busnet.experiments.folder import Task, shorten
from busnet.model_info import ModelInfo
from busnet.weights import read_info

if TYPE_CHECKING:
    from busnet.experiments.tasks import Work

__all__ = ["check_finished"]

#: What follows where the file is deleted that a message names.
TRAINED_AGAIN = "delete it, and the fold is trained again"
EVALUATED_AGAIN = "delete it, and the fold is evaluated again"


def check_finished(tasks: Sequence[Task], work: Work) -> None:
    """Check that the files of finished trainings are whole, and those of the tasks.

    Raises
    ------
    DataError
        If a file is damaged, or is of another network, fold, seed, recipe, start or
        data; the message names it and says what deleting it leads to.
    """
    for task in tasks:
        if not task.weights.exists():
            continue
        info = _read_weights(task.weights)
        _compare(
            task.weights, _stored(info), _expected(task, work, info), TRAINED_AGAIN
        )
        if task.evaluation.exists():
            _check_evaluation(task, info)


def _read_weights(path: Path) -> ModelInfo:
    try:
        return read_info(path)
    except (WeightsError, UnknownNetworkError) as error:
        raise DataError(f"{error}; {TRAINED_AGAIN}") from None


def _stored(info: ModelInfo) -> dict[str, object]:
    """Return what a weights file says of its training."""
    recipe = info.provenance.get("recipe")
    return {
        **info.provenance,
        "network": dataclasses.asdict(info.network),
        "seed": recipe.get("seed") if isinstance(recipe, Mapping) else None,
    }


def _expected(task: Task, work: Work, info: ModelInfo) -> dict[str, object]:
    """Return what the weights file of a task says of its training."""
    parts = split(work.cases, work.protocol, task.fold, seed=task.seed, allow_leak=True)
    return {
        "network": dataclasses.asdict(work.networks[task.network]),
        "protocol": work.protocol,
        "fold": task.fold,
        "seed": task.seed,
        "recipe": dataclasses.replace(work.recipe, seed=task.seed).as_dict(),
        "start": work.origins[task.network],
        "train_images": len(parts.train),
        "validation_images": len(parts.validation),
        "test_images": len(parts.test),
        # Only what a comparison trained says what its data was.
        **({"digests": dict(work.digests)} if "digests" in info.provenance else {}),
    }


def _check_evaluation(task: Task, info: ModelInfo) -> None:
    """Check that a task's evaluation is whole, and that of its weights."""
    from busnet.evaluation.documents import read_evaluation

    try:
        evaluation = read_evaluation(task.evaluation)
    except DataError as error:
        raise DataError(f"{error}; {EVALUATED_AGAIN}") from None
    theirs = {
        "network": evaluation.network,
        "protocol": evaluation.protocol,
        "fold": evaluation.fold,
        "provenance": evaluation.provenance,
    }
    ours = {
        "network": info.network_name,
        "protocol": info.provenance["protocol"],
        "fold": task.fold,
        "provenance": dict(info.provenance),
    }
    _compare(task.evaluation, theirs, ours, EVALUATED_AGAIN)


def _compare(
    path: Path, theirs: Mapping[str, object], ours: Mapping[str, object], remedy: str
) -> None:
    """Refuse a file whose fields, as far as they are in ``ours``, are others.

    Raises
    ------
    DataError
        If one is; the message has both values of the first.
    """
    for name in ours:
        # As JSON has them: tuples are lists.
        other, own = (json.loads(json.dumps(d.get(name))) for d in (theirs, ours))
        if other == own:
            continue
        field, other, own = _locate(name, other, own)
        raise DataError(
            f"{path}: the file is not of this comparison, its {field} is "
            f"{shorten(other)}, not {shorten(own)}; {remedy}"
        )


def _locate(name: str, theirs: object, ours: object) -> tuple[str, object, object]:
    """Return the first field in which two values differ, with its values."""
    if isinstance(theirs, Mapping) and isinstance(ours, Mapping):
        for key in {**ours, **theirs}:
            if theirs.get(key) != ours.get(key):
                return _locate(f"{name}.{key}", theirs.get(key), ours.get(key))
    return name, theirs, ours
