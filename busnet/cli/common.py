"""What the commands share: the app, messages, progress, common options."""

from __future__ import annotations

import enum
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, NoReturn, TypeVar

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from busnet.results import NOTICE
from busnet.engine.threads import set_threads

T = TypeVar("T")

FAILED, USAGE = 1, 2

app = typer.Typer(
    help=f"Breast-ultrasound classification and segmentation on CPU. {NOTICE}",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
#: Results go to standard output, everything that is said about them to this.
messages = Console(stderr=True)

ModelOption = Annotated[
    str, typer.Option("--model", help="Shipped model or path to a .safetensors file.")
]


class Precision(str, enum.Enum):
    """How layers are computed; see ``busnet.load``."""

    f32 = "f32"
    exact = "exact"
    bf16 = "bf16"
    int8 = "int8"


PrecisionOption = Annotated[
    Precision,
    typer.Option(
        help="f32, exact (no Winograd), bf16 (where the CPU has it), or int8 (for "
        "models that were calibrated for it, as shipped ones are)."
    ),
]
DataOption = Annotated[Path, typer.Option(help="Folder or CSV table of the data set.")]
JsonOption = Annotated[Path | None, typer.Option("--json", help="JSON file to write.")]
ThreadsOption = Annotated[
    int | None, typer.Option("--threads", min=1, max=1024, help="Threads to use.")
]


def fail(message: str, status: int = FAILED) -> NoReturn:
    """Say what went wrong and leave."""
    messages.print(f"[bold red]error:[/] {escape(message)}", soft_wrap=True)
    sys.exit(status)


def track(items: Iterable[T], total: int, what: str) -> Iterable[T]:
    """Pass items on under a progress bar on standard error."""
    with progress() as bar:
        task = bar.add_task(what, total=total)
        for item in items:
            bar.advance(task)
            yield item


class RateColumn(ProgressColumn):
    """How many items are done a second."""

    def render(self, task: Task) -> Text:
        """Draw the rate, once there is one."""
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:.1f}/s")


def progress() -> Progress:
    """Return a progress bar on standard error; none where that is no terminal."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        RateColumn(),
        TimeRemainingColumn(),
        console=messages,
        disable=not messages.is_terminal,
    )


def use(threads: int | None) -> None:
    """Set the number of threads if one is given."""
    if threads is not None:
        set_threads(threads)
