"""``busnet robustness``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from busnet.cli.common import (
    BootstrapOption,
    DataOption,
    JsonOption,
    ModelOption,
    ProtocolOption,
    TestFoldOption,
    ThreadsOption,
    app,
    messages,
    track,
    use,
)
from busnet.cli.evaluate import evaluation_extra, unseen_cases
from busnet._io import atomic_write
from busnet.model import DEFAULT, load
from busnet.results import NOTICE


@app.command()
def robustness(
    data: DataOption,
    protocol: ProtocolOption = "busi-group5",
    fold: TestFoldOption = None,
    model: ModelOption = DEFAULT,
    json_file: JsonOption = None,
    bootstrap: BootstrapOption = 1000,
    threads: ThreadsOption = None,
) -> None:
    """Measure how figures change with the images (needs the extra busnet[evaluate]).

    A row for each perturbation: the paired change of each figure, and how many of the
    normal images that were called normal no longer are.
    """
    evaluation_extra()
    from busnet.evaluation import robustness as measured
    from busnet.evaluation.scores import Scores, score_cases

    use(threads)
    loaded = load(model)
    cases, fold, _ = unseen_cases(loaded, data, protocol, fold, allow_leak=False)
    plain = Scores(score_cases(loaded, cases))
    table = Table("perturbation", *measured.FIGURES, "normals lost")
    document: list[dict[str, Any]] = []
    rows = measured.robustness(loaded, cases, bootstrap=bootstrap)
    for row in track(rows, len(measured.PERTURBATIONS), "perturbing"):
        perturbation, changes, changed = row
        entry: dict[str, Any] = {
            "perturbation": perturbation.name,
            "description": perturbation.description,
            "changes": {name: [i.value, i.low, i.high] for name, i in changes.items()},
        }
        lost = ""
        if plain.classifies:
            entry["normals"], entry["lost"] = measured.flipped_normals(plain, changed)
            lost = f"{entry['lost']} of {entry['normals']}"
        document.append(entry)
        cells = [str(changes.get(name, "")) for name in measured.FIGURES]
        table.add_row(perturbation.name, *(c.replace("[", r"\[") for c in cells), lost)
    console = Console()
    console.print(table)
    console.print(NOTICE, style="dim")
    if json_file is not None:
        with atomic_write(json_file) as part:
            part.write_text(
                json.dumps(
                    {
                        "notice": NOTICE,
                        "model": Path(model).name,
                        "protocol": protocol,
                        "fold": fold,
                        "images": len(cases),
                        "rows": document,
                    },
                    indent=1,
                )
            )
        messages.print(f"written: {json_file}", soft_wrap=True)
