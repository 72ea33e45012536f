"""What the commands share: the app, messages, progress, common options."""

from __future__ import annotations

import enum
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from rich.markup import escape

from busnet import _io
from busnet.batch.text import printable
from busnet.engine.threads import set_threads
from busnet.errors import ImageValueError, OutputError
from busnet.experiments.progress import messages
from busnet.images.arrays import check_value_range
from busnet.images.picture import is_spacing
from busnet.lesions import Spacing
from busnet.results import NOTICE

FAILED, USAGE = 1, 2

app = typer.Typer(
    help=f"Breast-ultrasound classification and segmentation on CPU. {NOTICE}",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def parse_spacing(text: str | None) -> Spacing | None:
    """Return the millimetres a row and a column of ``0.1`` or ``0.1,0.2``."""
    if text is None:
        return None
    try:
        values = [float(part) for part in text.split(",")]
    except ValueError:
        values = []
    if len(values) not in (1, 2) or not is_spacing((values[0], values[-1])):
        raise typer.BadParameter(
            f"{text!r} is not one number of mm or two, ROW,COLUMN, above 0",
            param_hint="--spacing",
        )
    return values[0], values[-1]


def _checked_range(limits: tuple[float, float] | None) -> tuple[float, float] | None:
    try:
        return check_value_range(limits)
    except ImageValueError as error:
        raise typer.BadParameter(str(error)) from None


def parse_shares(text: str) -> dict[str, float]:
    """Return the numbers of ``CLASS=P,...`` by class name."""
    shares: dict[str, float] = {}
    for part in text.split(","):
        name, equals, share = part.partition("=")
        try:
            number = float(share)
        except ValueError:
            equals = ""
        if not equals or name.strip() in shares:
            raise typer.BadParameter(f"{part!r} is not CLASS=P, or is given twice")
        shares[name.strip()] = number
    return shares


def split_names(text: str) -> list[str]:
    """Return the names of a list with commas."""
    return [name.strip() for name in text.split(",") if name.strip()]


def check_output(path: Path | None) -> Path | None:
    """Refuse an output at which no file can be written, before work is done for it."""
    if path is not None:
        try:
            _io.check_target(path)
        except OutputError as error:
            fail(str(error), USAGE)
    return path


def check_outputs(
    outputs: Mapping[str, Path | None], inputs: Iterable[str | Path] = ()
) -> None:
    """Leave where two outputs are one file, or one is a file that is read."""
    try:
        _io.check_outputs(outputs, inputs)
    except OutputError as error:
        fail(str(error), USAGE)


PathsArgument = Annotated[
    list[Path],
    typer.Argument(
        help="Image files, folders, quoted patterns, and manifests: a .csv with a "
        "column 'image' or a .txt with a path a line."
    ),
]
GlobOption = Annotated[
    str | None,
    typer.Option(
        "--glob",
        help="What file names in folders must match; by default image endings without "
        "'_mask' at the end of the name.",
    ),
]
ValueRangeOption = Annotated[
    tuple[float, float] | None,
    typer.Option(
        "--value-range",
        metavar="BLACK WHITE",
        callback=_checked_range,
        help="What is black and what is white in files, such as 0 4095 for 12 bits.",
    ),
]
SpacingOption = Annotated[
    str | None,
    typer.Option(
        "--spacing",
        metavar="MM[,MM]",
        help="Millimetres a pixel, or a row and a column, for measures in millimetres, "
        "where a file does not say.",
    ),
]
PriorOption = Annotated[
    dict[str, float] | None,
    typer.Option(
        "--prior",
        parser=parse_shares,
        metavar="CLASS=P,...",
        help="Class shares of the cohort, such as normal=0,benign=0.6,malignant=0.4, "
        "where they differ from those that training assumed.",
    ),
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
JsonOption = Annotated[
    Path | None,
    typer.Option("--json", callback=check_output, help="JSON file to write."),
]
ThreadsOption = Annotated[
    int | None, typer.Option("--threads", min=1, max=1024, help="Threads to use.")
]


def fail(message: str, status: int = FAILED) -> NoReturn:
    """Say what went wrong and leave."""
    lines = "\n".join(map(printable, message.split("\n")))
    messages.print(f"[bold red]error:[/] {escape(lines)}", soft_wrap=True)
    sys.exit(status)


def say(message: str) -> None:
    """Print a line on standard error, control characters in it escaped."""
    messages.print(escape(printable(message)), soft_wrap=True)


def list_failures(what: str, failures: Sequence[str]) -> None:
    """Print what failed, a line each, if anything did."""
    if failures:
        messages.print(f"[bold red]{len(failures)} {what}:[/]")
    for failure in failures:
        say(f"  {failure}")


def use(threads: int | None) -> None:
    """Set the number of threads if one is given."""
    if threads is not None:
        set_threads(threads)
