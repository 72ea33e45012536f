"""The comparison of baselines on one's own data, in one call."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from busnet._io import file_sha256, locked
from busnet.data import (
    Case,
    DataLike,
    Fold,
    get_protocol,
    read_data,
    screen,
)
from busnet.data.digests import digest
from busnet.data.numbers import whole_number
from busnet.errors import ModelError, requires_extra
from busnet.experiments.division import divide, parts_of
from busnet.experiments.finished import check_finished
from busnet.experiments.folder import Folder, Task
from busnet.experiments.models import (
    check_models,
    evaluate_models,
    make_row,
    name_models,
)
from busnet.experiments.progress import Reporter
from busnet.experiments.train import choose_network, choose_recipe

if TYPE_CHECKING:
    from busnet.experiments.result import Baselines, Row
    from busnet.experiments.tasks import Work
    from busnet.training.recipe import Recipe

__all__ = ["baselines"]


def baselines(
    data: DataLike,
    out: str | os.PathLike[str],
    *,
    networks: Sequence[str] = ("resnet18", "resnet50"),
    models: Sequence[str | os.PathLike[str]] = (),
    classes: Sequence[str] = (),
    folds: int | None = None,
    protocol: str | None = None,
    seeds: Sequence[int] = (0,),
    fold_seed: int = 0,
    recipe: str | Recipe = "standard",
    epochs: int | None = None,
    image_size: int | None = None,
    start: str | os.PathLike[str] | None = None,
    heads: Sequence[str] = ("class", "mask"),
    pooling: str | None = None,
    channels: int = 1,
    reference: str | None = None,
    device: str = "auto",
    jobs: int = 1,
    bootstrap: int = 1000,
    speed: bool = True,
    allow_leak: bool = False,
    progress: bool = True,
) -> Baselines:
    """Train networks on labelled images, compare them, and write the page.

    Every network is trained by the same recipe on the same folds, and evaluated on the
    fold that its training held out. The folds are pooled, so that each image counts
    once, under a model that was trained without it. What is finished is not done again
    when the function is called again with the same ``out``, and a training that was
    stopped goes on from its checkpoint.

    Parameters
    ----------
    data
        What :func:`busnet.data.read_data` takes: folder or table of a data set, several
        of them, cases, or a data frame.
    out
        Folder to write: ``comparison.html``, ``comparison.md`` and ``comparison.json``,
        the folds, the models and their evaluations.
    networks
        Rows of the table of networks to train; may be none where there are models.
    models
        Trained models of one's own to compare with: names, ``.safetensors`` files of
        busnet, or PyTorch files that :func:`busnet.from_torch` takes. Each is evaluated
        on all images.
    classes
        Names of the classes of PyTorch files among the models, in the order of their
        outputs.
    folds
        Folds to make of the groups, 5 by default, see :func:`busnet.data.make_folds`.
        Data with folds of its own keeps them. Of several sources either all or none
        have a table with folds; the published folds of several are not used together.
    protocol
        How the data is used, a name of :data:`busnet.data.PROTOCOLS`; by ``hospitals``
        each source is left out once.
    seeds
        Seeds of the trainings; each seed of a network is a row.
    fold_seed
        Seed of the folds.
    recipe, epochs, image_size, start, heads, pooling, channels, device
        As for :func:`busnet.train`; the same for all networks.
    reference
        The row that the others are compared with; by default the first.
    jobs
        Trainings at a time, in processes of their own.
    bootstrap
        Bootstrap draws of each interval.
    speed
        Whether the forward passes are timed.
    allow_leak
        Whether models that were trained on some of the images are compared; they are
        marked then.
    progress
        Whether standard error, or the notebook, shows progress.

    Returns
    -------
    Baselines
        The rows with their figures; a notebook shows the table.

    Raises
    ------
    MissingExtraError
        If PyTorch, SciPy, scikit-learn or matplotlib is not installed.
    UnknownNetworkError, ModelError
        If a network, a recipe or an option cannot be used.
    DataError
        If the data cannot be used, folds cannot be made, a part of the data has folds
        of its own and another none, or ``out`` holds another comparison.
    LeakError
        If a model was trained on some of the images and that is not allowed.
    OutputError
        If ``out`` cannot be written, or another comparison is running there.
    """
    reporter = Reporter(progress)
    with requires_extra("evaluate"):
        from busnet.experiments.page import write_pages
        from busnet.experiments.result import compare_all
        from busnet.experiments.tasks import Work
    seeds = [whole_number(seed, "a seed", ModelError) for seed in seeds]
    _check_options(networks, seeds, jobs)
    with requires_extra("train"):
        from busnet.training.start import open_start

        chosen = choose_recipe(recipe, epochs=epochs, image_size=image_size)
    rows = {
        name: choose_network(name, heads=heads, pooling=pooling, channels=channels)
        for name in networks
    }
    names = [_row_name(network, seed, seeds) for network in rows for seed in seeds]
    own_models = name_models(models, names)
    if not names and not own_models:
        raise ModelError("there is no network and no model to compare")
    reference = _choose_reference([*names, *own_models], reference)
    # What cannot be compared or trained is found before anything is written.
    check_models(own_models, classes)
    origins = {name: open_start(start, row).provenance for name, row in rows.items()}
    listing = read_data(data)
    for finding in (*listing.findings, *screen(listing.cases)):
        if finding.severity == "warning":
            reporter.warn(str(finding))
    cases, name, notes = divide(listing, folds, protocol, seed=fold_seed)
    for note in notes:
        reporter.log(note)
    parts = parts_of(cases, name)
    by_source = get_protocol(name).leaves_out_source
    cases.sort(key=lambda c: parts.index(c.source if by_source else c.fold))
    settings = _settings(cases, name, parts, chosen, start, (heads, pooling, channels))
    folder = Folder(Path(out), settings, cases)
    work = Work(
        tuple(cases),
        name,
        rows,
        chosen,
        start,
        device,
        bootstrap,
        allow_leak,
        origins,
        {name: str(settings[name]) for name in ("data", "division into folds")},
    )
    tasks = {
        _row_name(network, seed, seeds): [
            folder.task(_row_name(network, seed, seeds), network, part, seed)
            for part in parts
        ]
        for network in rows
        for seed in seeds
    }
    all_tasks = [task for row in tasks.values() for task in row]
    busy = f"{folder.path}: another comparison is running there"
    with locked(folder.path / ".lock", busy), folder.discarded_if_unused():
        check_finished(all_tasks, work)
        own = evaluate_models(folder, work, own_models, classes, reporter)
        _train_all(all_tasks, work, reporter, jobs)
        table = [_pool(name, row, work) for name, row in tasks.items()] + own
        result = compare_all(
            table,
            reference=reference,
            cases=cases,
            protocol=name,
            recipe=chosen,
            bootstrap=bootstrap,
            speed=speed,
            out=folder.path,
        )
        write_pages(result)
    reporter.log(f"written: {folder.path / 'comparison.html'}")
    return result


def _check_options(
    networks: Sequence[str],
    seeds: Sequence[int],
    jobs: int,
) -> None:
    """Refuse options that name nothing, or something twice."""
    for what, values in (
        ("network", [*networks]),
        ("seed", [*map(str, seeds)]),
    ):
        twice = [value for value in values if values.count(value) > 1]
        if twice:
            raise ModelError(f"the {what} {twice[0]} is named twice")
    if not seeds:
        raise ModelError("a training needs a seed")
    jobs = whole_number(jobs, "the number of trainings at a time", ModelError)
    if min(seeds) < 0:
        raise ModelError(f"the seed {min(seeds)} is negative")
    if jobs < 1:
        raise ModelError(f"at least one training runs at a time, not {jobs}")


def _settings(
    cases: Sequence[Case],
    protocol: str,
    parts: Sequence[Fold],
    recipe: Recipe,
    start: str | os.PathLike[str] | None,
    network: tuple[Sequence[str], str | None, int],
) -> dict[str, object]:
    """Return what all trainings of a folder depend on."""
    heads, pooling, channels = network
    return {
        "data": digest(cases),
        "protocol": protocol,
        "number of folds": len(parts),
        "division into folds": digest(cases, folds=True),
        "number of epochs": sum(phase.epochs for phase in recipe.phases),
        "image size": recipe.size,
        "recipe": {**recipe.as_dict(), "seed": None},
        "start": None if start is None else _describe_start(start),
        "heads": [*heads],
        "pooling": pooling,
        "number of channels": channels,
    }


def _describe_start(start: str | os.PathLike[str]) -> str:
    """Return a start's name, or of a file what it holds: it may be written anew."""
    path = Path(start)
    if not path.is_file():
        return os.fspath(start)
    return f"{path.name}, SHA-256 {file_sha256(path)[:16]}"


def _row_name(network: str, seed: int, seeds: Sequence[int]) -> str:
    return network if len(seeds) == 1 else f"{network}, seed {seed}"


def _choose_reference(names: Sequence[str], name: str | None) -> str:
    if name is not None and name not in names:
        raise ModelError(
            f"no row is called {name!r}, which the others were to be compared with; "
            f"rows are {', '.join(names)}"
        )
    return name or names[0]


def _train_all(
    tasks: Sequence[Task], work: Work, reporter: Reporter, jobs: int
) -> None:
    """Do what is left of the tasks."""
    from busnet.experiments.tasks import run_here, run_in_processes

    remaining = [task for task in tasks if not task.is_done]
    if len(remaining) < len(tasks):
        reporter.log(f"{len(tasks) - len(remaining)} of {len(tasks)} are finished")
    if not remaining:
        return
    if jobs == 1:
        run_here(remaining, work, reporter)
    else:
        run_in_processes(remaining, work, reporter, jobs)


def _pool(name: str, tasks: Sequence[Task], work: Work) -> Row:
    """Put a row's folds together."""
    from busnet.evaluation.comparison import pool_folds, pool_hospitals
    from busnet.evaluation.documents import read_evaluation

    evaluations = [read_evaluation(task.evaluation) for task in tasks]
    pool = pool_folds
    if get_protocol(work.protocol).leaves_out_source:
        pool = pool_hospitals
    return make_row(name, pool(evaluations, bootstrap=work.bootstrap), tasks[0].weights)
