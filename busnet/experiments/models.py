"""Trained models of one's own in a comparison."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from busnet._io import file_sha256, write_text
from busnet.data import get_protocol, order_classes
from busnet.data.protocols import CUSTOM
from busnet.errors import DataError, MissingWeightsError, ModelError
from busnet.experiments.folder import CONVERTED, Folder, file_name
from busnet.experiments.progress import Reporter
from busnet.model import load
from busnet.models import find_model
from busnet.weights import is_weights_file, read_info

if TYPE_CHECKING:
    from busnet.evaluation.evaluation import Evaluation
    from busnet.experiments.result import Row
    from busnet.experiments.tasks import Work

ModelPath: TypeAlias = "str | os.PathLike[str]"

__all__ = ["check_models", "evaluate_models", "make_row", "name_models"]

#: Endings of files that ``busnet convert`` takes.
CONVERTIBLE = frozenset((".pth", ".pt", ".ckpt", ".bin"))


def make_row(
    name: str, evaluation: Evaluation, weights: Path, trained: bool = True
) -> Row:
    """Return a row of the table; ``weights`` is the file of its first part."""
    from busnet.experiments.result import Row

    info = read_info(weights)
    return Row(
        name,
        evaluation,
        info.network,
        info.image_size,
        weights,
        trained,
        len(info.classes),
    )


def evaluate_models(
    folder: Folder,
    work: Work,
    models: Mapping[str, ModelPath],
    classes: Sequence[str],
    reporter: Reporter,
) -> list[Row]:
    """Evaluate trained models, by the name of the row, unless that is done."""
    from busnet.evaluation.comparison import average_sources
    from busnet.evaluation.documents import evaluation_to_json, read_evaluation
    from busnet.evaluation.evaluation import evaluate

    by_source = get_protocol(work.protocol).leaves_out_source
    rows = []
    for name, model in models.items():
        path = _locate(folder, name, model, classes)
        mark = file_sha256(path)[:12]
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
            write_text(file, evaluation_to_json(evaluation))
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


def name_models(
    models: Sequence[ModelPath], networks: Sequence[str]
) -> dict[str, ModelPath]:
    """Return models by the names of their rows.

    A file's row has the name of the file; with its folder's, such as ``"a/best"``,
    where another file or a row of ``networks`` has the same.

    Raises
    ------
    ModelError
        If two have the same name with the folder, too, or one is named twice.
    """
    short = [_short_name(model) for model in models]
    named: dict[str, ModelPath] = {}
    for model, name in zip(models, short, strict=True):
        row = name
        if [*short, *networks].count(name) > 1 and Path(model).suffix:
            row = f"{Path(model).absolute().parent.name}/{name}"
        if row in named or row in networks:
            raise ModelError(
                f"{os.fspath(model)}: a row is called {row} already; a model is named "
                f"twice, or has the name of another"
            )
        named[row] = model
    return named


def _short_name(model: ModelPath) -> str:
    text = os.fspath(model)
    return Path(text).stem if Path(text).suffix else f"{text} (as shipped)"


def check_models(models: Mapping[str, ModelPath], classes: Sequence[str]) -> None:
    """Check that models can be compared, before anything is written.

    Raises
    ------
    MissingWeightsError
        If there is no such model or file.
    ModelError
        If classes are neither those of the data nor benign and malignant, or a file of
        PyTorch's is without them.
    WeightsError
        If a file of busnet's cannot be read.
    """
    for model in models.values():
        names: Sequence[str] = classes
        if not _is_pytorchs(model):
            names = read_info(find_model(model)).classes
        elif not classes:
            raise ModelError(
                f"{os.fspath(model)}: the file does not say which output is which "
                f"class; name them in their order, as in --classes "
                f"benign,malignant,normal"
            )
        try:
            order_classes(names)
        except DataError as error:
            raise ModelError(f"{os.fspath(model)}: {error}") from None
        if _is_pytorchs(model) and not Path(model).is_file():
            raise MissingWeightsError(f"{os.fspath(model)}: no such file")


def _is_pytorchs(model: ModelPath) -> bool:
    """Tell whether a model is a file of PyTorch's, by its ending or its content."""
    path = Path(model)
    if path.suffix == ".safetensors":
        return path.is_file() and not is_weights_file(path)
    return path.suffix in CONVERTIBLE


def _locate(
    folder: Folder, name: str, model: ModelPath, classes: Sequence[str]
) -> Path:
    """Return the weights file of a model, converted where it is PyTorch's."""
    if not _is_pytorchs(model):
        return find_model(model)
    from busnet.convert import convert

    target = folder.path / "models" / f"{file_name(name)}{CONVERTED}.safetensors"
    convert(model, target, classes=classes)
    return target
