"""``busnet evaluate`` and ``busnet compare``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from busnet.cli.common import (
    BootstrapOption,
    DataOption,
    JsonOption,
    ModelOption,
    Precision,
    PrecisionOption,
    ProtocolOption,
    TestFoldOption,
    ThreadsOption,
    app,
    messages,
    track,
    use,
)
from busnet.data import Case, get_protocol, read_sources, recognise
from busnet.errors import MissingExtraError
from busnet._io import atomic_write
from busnet.model import DEFAULT, Model, load
from busnet.results import NOTICE


@app.command()
def evaluate(
    data: DataOption,
    protocol: ProtocolOption = "busi-group5",
    fold: TestFoldOption = None,
    model: ModelOption = DEFAULT,
    report: Annotated[Path | None, typer.Option(help="HTML file to write.")] = None,
    json_file: JsonOption = None,
    csv_file: Annotated[
        Path | None, typer.Option("--csv", help="CSV file of all cases to write.")
    ] = None,
    against: Annotated[
        Path | None,
        typer.Option(help="JSON of an evaluation on the same cases, to compare with."),
    ] = None,
    bootstrap: BootstrapOption = 1000,
    allow_leak: Annotated[
        bool,
        typer.Option("--allow-leak", help="Evaluate on images that were trained on."),
    ] = False,
    precision: PrecisionOption = Precision.f32,
    threads: ThreadsOption = None,
) -> None:
    """Measure a model on labelled images (needs the extra busnet[evaluate])."""
    evaluation = evaluation_extra()
    from busnet.evaluation import report as html_report
    from busnet.evaluation.intervals import compare
    from busnet.evaluation.scores import Scores, score_cases

    use(threads)
    loaded = load(model, precision=precision.value)
    cases, fold, leak = unseen_cases(
        loaded, data, protocol, fold, allow_leak=allow_leak
    )
    scores = Scores(track(score_cases(loaded, cases), len(cases), "evaluating"))
    result = evaluation.evaluate(
        loaded.info,
        scores,
        model=Path(model).name
        + ("" if precision == "f32" else f" in {precision.value}"),
        name=protocol,
        fold=fold,
        leak=leak,
        bootstrap=bootstrap,
    )
    _print_figures(result.title, result.figures, leak)
    if against is not None:
        other = evaluation.read_evaluation(against)
        _print_figures(
            f"{result.title}, less {other.title}",
            compare(other.scores, scores, count=bootstrap),
            leak or other.leak,
        )
    for path, text in (
        (report, lambda: html_report.render(result, loaded, cases)),
        (json_file, result.to_json),
        (csv_file, lambda: evaluation.to_csv(result)),
    ):
        if path is not None:
            with atomic_write(path) as part:
                part.write_text(text(), encoding="utf-8")
            messages.print(f"written: {escape(str(path))}", soft_wrap=True)


@app.command()
def compare(
    first: Annotated[Path, typer.Argument(help="JSON of an evaluation.")],
    second: Annotated[Path, typer.Argument(help="JSON of another, on the same cases.")],
    bootstrap: BootstrapOption = 1000,
) -> None:
    """Compare two evaluations, paired: figures of the second less the first."""
    evaluation = evaluation_extra()
    from busnet.evaluation import intervals

    one, two = (evaluation.read_evaluation(path) for path in (first, second))
    differences = intervals.compare(one.scores, two.scores, count=bootstrap)
    _print_figures(f"{two.title}, less {one.title}", differences, one.leak or two.leak)


def unseen_cases(
    model: Model, data: Path, name: str, fold: int | None, *, allow_leak: bool
) -> tuple[list[Case], int | None, str]:
    """Return the cases to evaluate a model on, their fold, and what leaks, or ""."""
    from busnet.evaluation.leakage import check_unseen, default_fold

    if fold is None:
        fold = default_fold(model.info, name)
    leak = check_unseen(model.info, name, fold, allow_leak=allow_leak)
    chosen = get_protocol(name)
    used = chosen.use(read_sources({recognise(data): data}))
    return chosen.test_cases(used, fold), fold, leak


def evaluation_extra() -> Any:
    """Return the module of evaluations, or say which extra is missing."""
    try:
        from busnet.evaluation import plot
        from busnet.evaluation import evaluation
    except ImportError as error:
        raise MissingExtraError(
            f"evaluation needs the extra: pip install 'busnet[evaluate]' ({error})"
        ) from None
    del plot
    return evaluation


def _print_figures(title: str, figures: Mapping[str, Any], leak: str) -> None:
    console = Console()
    if leak:
        console.print(f"[bold red]LEAKY:[/] {escape(leak)}", soft_wrap=True)
    table = Table("figure", "value [95 % interval]", title=escape(title))
    for name, interval in figures.items():
        table.add_row(name, escape(str(interval)))
    console.print(table)
    console.print(NOTICE, style="dim")
