"""Trained models of one's own in a comparison."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from busnet.data import get_protocol
from busnet.errors import DataError, ModelError
from busnet.experiments.folder import Folder, file_name, write
from busnet.experiments.progress import Reporter
from busnet.model import load
from busnet.models import find_model
from busnet.weights import read_info

if TYPE_CHECKING:
    from busnet.evaluation.evaluation import Evaluation
    from busnet.experiments.result import Row
    from busnet.experiments.tasks import Work

__all__ = ["evaluate_models", "make_row", "model_name"]

#: Protocol by which all images of any source are used.
CUSTOM = "custom"

#: Endings of files that ``busnet convert`` takes.
CONVERTIBLE = frozenset((".pth", ".pt", ".ckpt", ".bin"))


def make_row(
    name: str, evaluation: Evaluation, weights: Path, trained: bool = True
) -> Row:
    """Return a row of the table; ``weights`` is the file of its first part."""
    from busnet.experiments.result import Row

    info = read_info(weights)
    return Row(name, evaluation, info.network, info.image_size, weights, trained)


def evaluate_models(
    folder: Folder,
    work: Work,
    models: Sequence[str | os.PathLike[str]],
    classes: Sequence[str],
    reporter: Reporter,
) -> list[Row]:
    """Evaluate trained models on all images, unless that is done."""
    from busnet.evaluation.comparison import average_sources
    from busnet.evaluation.documents import evaluation_to_json, read_evaluation
    from busnet.evaluation.evaluation import evaluate

    by_source = get_protocol(work.protocol).leaves_out_source
    rows = []
    for model in models:
        name = model_name(model)
        path = _locate(folder, model, classes)
        mark = hashlib.sha256(path.read_bytes()).hexdigest()[:12]
        file = folder.path / "evaluations" / f"model-{file_name(name)}-{mark}.json"
        if not file.exists():
            evaluation = evaluate(
                load(path),
                work.cases,
                protocol=CUSTOM if by_source else work.protocol,
                allow_leak=work.allow_leak,
                bootstrap=work.bootstrap,
                name=name,
                track=reporter.track,
            )
            if len(evaluation.scores) + len(evaluation.failures) < len(work.cases):
                raise DataError(
                    f"{name}: its training held out {evaluation.fold} alone of this "
                    f"data; a model is compared on all images"
                )
            write(file, evaluation_to_json(evaluation))
        evaluation = read_evaluation(file)
        if evaluation.leak and not work.allow_leak:
            raise ModelError(
                f"{name}: {evaluation.leak}; with --allow-leak it is compared and "
                f"marked"
            )
        if by_source:
            evaluation = average_sources(evaluation, bootstrap=work.bootstrap)
        rows.append(make_row(name, evaluation, path, trained=False))
    return rows


def model_name(model: str | os.PathLike[str]) -> str:
    """Return what the table calls a model."""
    text = os.fspath(model)
    return Path(text).stem if Path(text).suffix else f"{text} (as shipped)"


def _locate(
    folder: Folder, model: str | os.PathLike[str], classes: Sequence[str]
) -> Path:
    """Return the weights file of a model, converted where it is PyTorch's.

    Raises
    ------
    ModelError
        If it is PyTorch's and the classes are not named.
    """
    path = Path(model)
    if path.suffix not in CONVERTIBLE:
        return find_model(model)
    from busnet.convert import convert

    if not classes:
        raise ModelError(
            f"{path}: the file does not say which output is which class; name them in "
            f"their order, as in --classes benign,malignant,normal"
        )
    target = folder.path / "models" / f"{file_name(path.stem)}-converted.safetensors"
    convert(path, target, classes=classes)
    return target
