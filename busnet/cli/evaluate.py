"""``busnet evaluate``, ``busnet compare`` and ``busnet pool``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from busnet.cli.common import (
    FAILED,
    JsonOption,
    Precision,
    PrecisionOption,
    PriorOption,
    ThreadsOption,
    app,
    check_output,
    check_outputs,
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
from busnet.cli.models import ModelOption, split_models
from busnet.data import parse_sources
from busnet.errors import requires_extra
from busnet.experiments import compare as comparing
from busnet.experiments import evaluate as experiment
from busnet.experiments.progress import messages
from busnet.models import DEFAULT

if TYPE_CHECKING:
    from busnet.evaluation.comparison import Comparison
    from busnet.evaluation.evaluation import Evaluation

ReportOption = Annotated[
    Path | None,
    typer.Option("--report", callback=check_output, help="HTML file to write."),
]
CasesOption = Annotated[
    Path | None,
    typer.Option(
        "--csv", callback=check_output, help="CSV file of all cases to write."
    ),
]
FiguresOption = Annotated[
    Path | None,
    typer.Option(
        "--figures",
        callback=check_output,
        help="CSV file of all figures, overall and by stratum, to write.",
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
    names = split_models(model)
    read: list[str | Path] = [*parse_sources(data).values(), *names]
    check_outputs(
        _outputs(report, json_file, csv_file, figures_file),
        read if against is None else [*read, against],
    )
    with requires_extra("evaluate"):
        from busnet.evaluation.documents import read_evaluation
    other = None if against is None else read_evaluation(against)
    use(threads)
    result = experiment.evaluate(
        names if len(names) > 1 else names[0],
        data,
        protocol=name,
        fold=part,
        precision=precision.value,
        allow_leak=allow_leak,
        prior=prior,
        bootstrap=bootstrap,
    )
    _write_evaluation(result, json_file, csv_file, figures_file)
    _write_report(result, report)
    _print_evaluation(result)
    if other is not None:
        _print_comparison(comparing.compare(other, result, bootstrap=bootstrap))
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
    check_outputs({"--json": json_file}, (first, second))
    with requires_extra("evaluate"):
        from busnet.evaluation.documents import comparison_to_json
    comparison = comparing.compare(first, second, bootstrap=bootstrap)
    if json_file is not None:
        write_text(json_file, comparison_to_json(comparison))
    _print_comparison(comparison)
    print_notice()


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
    check_outputs(_outputs(report, json_file, csv_file, figures_file), evaluations)
    with requires_extra("evaluate"):
        from busnet.evaluation.comparison import pool_hospitals
        from busnet.evaluation.documents import read_evaluation
    result = pool_hospitals(
        [read_evaluation(path) for path in evaluations], bootstrap=bootstrap
    )
    _write_evaluation(result, json_file, csv_file, figures_file)
    _write_report(result, report)
    _print_evaluation(result)
    print_notice()


def _outputs(
    report: Path | None,
    json_file: Path | None,
    csv_file: Path | None,
    figures_file: Path | None,
) -> dict[str, Path | None]:
    """Return the files to write by the options that name them."""
    return {
        "--report": report,
        "--json": json_file,
        "--csv": csv_file,
        "--figures": figures_file,
    }


def _print_evaluation(evaluation: Evaluation) -> None:
    print_leak(evaluation.leak, evaluation.notes)
    print_figures(evaluation.title, evaluation.figures)
    print_strata(evaluation.strata)


def _print_comparison(comparison: Comparison) -> None:
    notes = [*comparison.notes]
    if comparison.leaky is None:
        notes.append("unknown whether one of the models was trained on these images")
    print_leak(comparison.leak, notes)
    print_figures(comparison.title, comparison.differences)


def _write_report(evaluation: Evaluation, path: Path | None) -> None:
    if path is not None:
        evaluation.report(path)
        messages.print(f"written: {escape(str(path))}", soft_wrap=True)


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
