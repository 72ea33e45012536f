"""What the commands that evaluate share: options, cases, messages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from busnet import _io
from busnet.cli.common import USAGE, fail
from busnet.data import Fold
from busnet.data.protocols import HOSPITALS
from busnet.experiments.progress import messages
from busnet.results import NOTICE

if TYPE_CHECKING:
    from busnet.evaluation.intervals import Interval
    from busnet.evaluation.scoring import CaseFailure
    from busnet.evaluation.strata import Stratum

DataOption = Annotated[
    list[str],
    typer.Option(
        "--data",
        help="Folder or table of a data set, as PATH or NAME=PATH; may be given "
        "several times.",
    ),
]
ProtocolOption = Annotated[
    str | None,
    typer.Option(
        help="How the data is used; by default it follows from the data and the model."
    ),
]
FoldOption = Annotated[
    int | None,
    typer.Option(help="Fold to evaluate on; by default the one held out."),
]
LeaveOutOption = Annotated[
    str | None,
    typer.Option(
        help="Source to evaluate on, by the protocol hospitals; by default the one "
        "that no training saw."
    ),
]
AllowLeakOption = Annotated[
    bool,
    typer.Option("--allow-leak", help="Evaluate on images that were trained on."),
]
BootstrapOption = Annotated[
    int, typer.Option(min=10, max=100_000, help="Bootstrap draws.")
]


def choose_fold(
    protocol: str | None, fold: int | None, leave_out: str | None
) -> tuple[str | None, Fold]:
    """Return the protocol and the fold or source that the options name."""
    if leave_out is None:
        return protocol, fold
    if fold is not None:
        fail("--fold and --leave-out cannot be given together", USAGE)
    if protocol not in (None, HOSPITALS):
        fail(f"--leave-out is for the protocol {HOSPITALS}, not {protocol}", USAGE)
    return HOSPITALS, leave_out


def print_leak(leak: str, notes: Sequence[str] = ()) -> None:
    """Print why figures are too good to be true, and what else must be known."""
    console = Console()
    if leak:
        console.print(f"[bold red]LEAKY:[/] {escape(leak)}", soft_wrap=True)
    for note in notes:
        console.print(f"[yellow]note:[/] {escape(note)}", soft_wrap=True)


def print_figures(title: str, figures: Mapping[str, Interval]) -> None:
    """Print a table of figures with intervals."""
    table = Table("figure", "value [95 % interval]", title=escape(title))
    for name, interval in figures.items():
        table.add_row(name, escape(str(interval)))
    Console().print(table)


def print_strata(strata: Sequence[Stratum]) -> None:
    """Print a table of the strata that have enough groups."""
    shown = [stratum for stratum in strata if not stratum.is_small]
    if not shown:
        return
    from busnet.evaluation.strata import PRINTED

    columns = [name for name in PRINTED if any(name in s.figures for s in shown)]
    table = Table("stratum", "images", *columns)
    for stratum in shown:
        cells = [str(stratum.figures.get(name, "")) for name in columns]
        table.add_row(
            escape(f"{stratum.kind}: {stratum.name}"),
            str(stratum.images),
            *map(escape, cells),
        )
    console = Console()
    console.print(table)
    if len(shown) < len(strata):
        console.print(
            f"{len(strata) - len(shown)} strata of too few groups are in the files only"
        )


def print_notice() -> None:
    """Print what the figures are not for."""
    Console().print(NOTICE, style="dim")


def report_failures(failures: Sequence[CaseFailure]) -> None:
    """Say which cases could not be read."""
    for failure in failures:
        messages.print(
            f"[bold red]failed:[/] {escape(failure.name)}: {escape(failure.message)}",
            soft_wrap=True,
        )


def write_text(path: Path, text: str) -> None:
    """Write a file, whole or not at all, and say so."""
    _io.write_text(path, text)
    messages.print(f"written: {escape(str(path))}", soft_wrap=True)
