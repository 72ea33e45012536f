"""``busnet evaluate``, ``busnet compare`` and ``busnet pool``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from busnet.cli.common import (
    FAILED,
    JsonOption,
    Precision,
    PrecisionOption,
    PriorOption,
    ThreadsOption,
    app,
    track,
    use,
)
from busnet.cli.evaluation import (
    AllowLeakOption,
    BootstrapOption,
    DataOption,
    FoldOption,
    LeaveOutOption,
    ProtocolOption,
    choose_fold,
    print_figures,
    print_leak,
    print_notice,
    print_strata,
    report_failures,
    write_text,
)
from busnet.cli.models import ModelOption, load_models
from busnet.data import parse_sources
from busnet.errors import requires_extra
from busnet.models import DEFAULT

if TYPE_CHECKING:
    from busnet.evaluation.comparison import Comparison
    from busnet.evaluation.evaluation import Evaluation

ReportOption = Annotated[
    Path | None, typer.Option("--report", help="HTML file to write.")
]
CasesOption = Annotated[
    Path | None, typer.Option("--csv", help="CSV file of all cases to write.")
]
FiguresOption = Annotated[
    Path | None,
    typer.Option(
        "--figures", help="CSV file of all figures, overall and by stratum, to write."
    ),
]


@app.command()
def evaluate(
    data: DataOption,
    protocol: ProtocolOption = None,
    fold: FoldOption = None,
    leave_out: LeaveOutOption = None,
    model: ModelOption = DEFAULT,
    report: ReportOption = None,
    json_file: JsonOption = None,
    csv_file: CasesOption = None,
    figures_file: FiguresOption = None,
    against: Annotated[
        Path | None,
        typer.Option(help="JSON of an evaluation on the same cases, to compare with."),
    ] = None,
    bootstrap: BootstrapOption = 1000,
    allow_leak: AllowLeakOption = False,
    prior: PriorOption = None,
    precision: PrecisionOption = Precision.f32,
    threads: ThreadsOption = None,
) -> None:
    """Measure a model on labelled images (needs the extra busnet[evaluate])."""
    name, part = choose_fold(protocol, fold, leave_out)
    with requires_extra("evaluate"):
        from busnet.evaluation.comparison import compare_evaluations
        from busnet.evaluation.documents import read_evaluation
        from busnet.evaluation.evaluation import evaluate as measure
        from busnet.evaluation.report import render_report
        from busnet.evaluation.selection import read_data
    other = None if against is None else read_evaluation(against)
    use(threads)
    loaded = load_models(model, precision=precision.value)
    sources = parse_sources(data)
    result = measure(
        loaded,
        sources,
        protocol=name,
        fold=part,
        allow_leak=allow_leak,
        prior=prior,
        bootstrap=bootstrap,
        name=loaded.name + ("" if precision == "f32" else f" in {precision.value}"),
        track=track,
    )
    _print_evaluation(result)
    _write_evaluation(result, json_file, csv_file, figures_file)
    if report is not None:
        cases = read_data(sources).cases
        write_text(report, render_report(result, loaded, cases))
    if other is not None:
        _print_comparison(compare_evaluations(other, result, bootstrap=bootstrap))
    print_notice()
    if result.failures:
        report_failures(result.failures)
        sys.exit(FAILED)


@app.command()
def compare(
    first: Annotated[Path, typer.Argument(help="JSON of an evaluation.")],
    second: Annotated[Path, typer.Argument(help="JSON of another, on the same cases.")],
    json_file: JsonOption = None,
    bootstrap: BootstrapOption = 1000,
) -> None:
    """Compare two evaluations, paired: figures of the second minus the first."""
    with requires_extra("evaluate"):
        from busnet.evaluation.comparison import compare_evaluations
        from busnet.evaluation.documents import comparison_to_json, read_evaluation
    comparison = compare_evaluations(
        read_evaluation(first), read_evaluation(second), bootstrap=bootstrap
    )
    _print_comparison(comparison)
    print_notice()
    if json_file is not None:
        write_text(json_file, comparison_to_json(comparison))


@app.command()
def pool(
    evaluations: Annotated[
        list[Path],
        typer.Argument(
            help="JSON of evaluations by the protocol hospitals, each of the source "
            "that its model left out."
        ),
    ],
    report: ReportOption = None,
    json_file: JsonOption = None,
    csv_file: CasesOption = None,
    figures_file: FiguresOption = None,
    bootstrap: BootstrapOption = 1000,
) -> None:
    """Average evaluations over the hospitals that were left out, each alike."""
    with requires_extra("evaluate"):
        from busnet.evaluation.comparison import pool_hospitals
        from busnet.evaluation.documents import read_evaluation
        from busnet.evaluation.report import render_report
    result = pool_hospitals(
        [read_evaluation(path) for path in evaluations], bootstrap=bootstrap
    )
    _print_evaluation(result)
    print_notice()
    _write_evaluation(result, json_file, csv_file, figures_file)
    if report is not None:
        write_text(report, render_report(result))


def _print_evaluation(evaluation: Evaluation) -> None:
    print_leak(evaluation.leak, evaluation.notes)
    print_figures(evaluation.title, evaluation.figures)
    print_strata(evaluation.strata)


def _print_comparison(comparison: Comparison) -> None:
    print_leak(comparison.leak)
    print_figures(comparison.title, comparison.differences)


def _write_evaluation(
    evaluation: Evaluation,
    json_file: Path | None,
    csv_file: Path | None,
    figures_file: Path | None,
) -> None:
    from busnet.evaluation import documents

    for path, to_text in (
        (json_file, documents.evaluation_to_json),
        (csv_file, documents.cases_to_csv),
        (figures_file, documents.figures_to_csv),
    ):
        if path is not None:
            write_text(path, to_text(evaluation))
