"""``busnet check``."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from busnet._io import write_text
from busnet.cli.cases import COLOURS, printable
from busnet.cli.common import FAILED, JsonOption, app, check_outputs
from busnet.data import CheckReport, parse_sources
from busnet.data import check as check_data
from busnet.experiments.progress import messages, track


@app.command()
def check(
    data: Annotated[
        list[str],
        typer.Argument(
            help="Folder or table of a data set, or several as NAME=PATH.",
            metavar="DATA...",
        ),
    ],
    protocol: Annotated[
        str | None,
        typer.Option(help="Check the cases and folds of a protocol only."),
    ] = None,
    quick: Annotated[
        bool,
        typer.Option(
            "--quick",
            help="Read images only where they may be masks; find no near-duplicates.",
        ),
    ] = False,
    json_file: JsonOption = None,
) -> None:
    """Look through a data set for what would make a result wrong.

    Unreadable files, masks that contradict classes or images, one image under two
    classes, groups and near-duplicates in several folds, what is not used, and counts.
    The exit status is 1 where something is wrong.
    """
    sources = parse_sources(data)
    check_outputs({"--json": json_file}, sources.values())
    report = check_data(sources, protocol=protocol, thorough=not quick, track=track)
    if json_file is not None:
        write_text(json_file, report.to_json())
        messages.print(f"written: {printable(str(json_file))}", soft_wrap=True)
    _print(report)
    if not report.ok:
        sys.exit(FAILED)


def _print(report: CheckReport) -> None:
    console = Console()
    table = Table("source", "images", "groups", "classes", "masks", "spacing", "folds")
    for source, counts in report.counts.items():
        table.add_row(
            printable(source),
            str(counts.images),
            str(counts.groups),
            _listed(counts.classes),
            str(counts.masks),
            "" if counts.spacing is None else str(counts.spacing),
            _listed({str(k): v for k, v in counts.folds.items() if k >= 0}),
        )
    console.print(table)
    for source, counts in report.counts.items():
        for name, values in counts.attributes.items():
            console.print(
                f"{printable(source)}, {name}: {printable(_listed(values))}",
                soft_wrap=True,
                highlight=False,
            )
    for finding in report.findings:
        console.print(
            f"[{COLOURS[finding.severity]}]{finding.severity}[/] "
            f"{finding.kind}: {printable(str(finding))}",
            soft_wrap=True,
            highlight=False,
        )
    if report.ok:
        console.print("nothing is wrong")


def _listed(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counts.items())
