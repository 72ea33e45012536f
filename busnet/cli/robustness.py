"""``busnet robustness``."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from busnet.cli.common import (
    FAILED,
    JsonOption,
    PriorOption,
    ThreadsOption,
    app,
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
    print_leak,
    print_notice,
    report_failures,
    write_text,
)
from busnet.cli.models import ModelOption, load_models, split_models
from busnet.data import parse_sources
from busnet.errors import requires_extra
from busnet.experiments.progress import track
from busnet.models import DEFAULT
from busnet.results import NOTICE

if TYPE_CHECKING:
    from busnet.evaluation.robustness import Robustness


@app.command()
def robustness(
    data: DataOption,
    protocol: ProtocolOption = None,
    fold: FoldOption = None,
    leave_out: LeaveOutOption = None,
    model: ModelOption = DEFAULT,
    json_file: JsonOption = None,
    bootstrap: BootstrapOption = 1000,
    allow_leak: AllowLeakOption = False,
    prior: PriorOption = None,
    threads: ThreadsOption = None,
) -> None:
    """Measure how figures change with the images (needs the extra busnet[evaluate]).

    A row for each perturbation: the paired change of each figure, and how many of the
    normal images that were called normal no longer are.
    """
    name, part = choose_fold(protocol, fold, leave_out)
    check_outputs(
        {"--json": json_file}, [*parse_sources(data).values(), *split_models(model)]
    )
    with requires_extra("evaluate"):
        from busnet.evaluation.leakage import is_leaky
        from busnet.evaluation.perturbations import PERTURBATIONS
        from busnet.evaluation.priors import format_prior
        from busnet.evaluation.robustness import measure_robustness
        from busnet.evaluation.scored import score_data
    use(threads)
    scored = score_data(
        load_models(model),
        data,
        protocol=name,
        fold=part,
        allow_leak=allow_leak,
        prior=prior,
        track=track,
    )
    tested, selection, cases = scored.model, scored.selection, scored.cases
    measured = measure_robustness(
        tested, cases, scored.scores, prior=scored.prior, bootstrap=bootstrap
    )
    rows = list(track(measured, len(PERTURBATIONS), "perturbing"))
    if json_file is not None:
        document = {
            "notice": NOTICE,
            "model": tested.name,
            "protocol": selection.protocol,
            "fold": selection.fold,
            "prior": scored.prior,
            "leaky": is_leaky(selection.leak, tested.info.provenance),
            "leak": selection.leak,
            "notes": list(scored.notes),
            "images": len(cases),
            "rows": [_row_document(row) for row in rows],
        }
        write_text(json_file, json.dumps(document, indent=1))
    print_leak(selection.leak, scored.notes)
    _print_rows(rows, format_prior(scored.prior))
    print_notice()
    if scored.failures:
        report_failures(scored.failures)
        sys.exit(FAILED)


def _print_rows(rows: list[Robustness], prior: str) -> None:
    figures = list(dict.fromkeys(name for row in rows for name in row.changes))
    table = Table("perturbation", *figures, "normals lost")
    if prior:
        table.title = escape(f"prior {prior}")
    for row in rows:
        cells = [escape(str(row.changes.get(name, ""))) for name in figures]
        lost = f"{row.lost} of {row.normals}" if row.normals else ""
        table.add_row(row.perturbation.name, *cells, lost)
    Console().print(table)


def _row_document(row: Robustness) -> dict[str, object]:
    return {
        "perturbation": row.perturbation.name,
        "description": row.perturbation.description,
        "changes": {name: interval.rounded for name, interval in row.changes.items()},
        "normals": row.normals,
        "lost": row.lost,
    }
