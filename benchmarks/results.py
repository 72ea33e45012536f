"""Draw RESULTS.md from the evaluations under results/.

    python benchmarks/results.py

Each file there is the JSON of one `busnet evaluate` on one held-out fold, named
NETWORK[-VARIANT]-foldK-seedS.json, or of one `busnet robustness`, named
robustness-NETWORK-foldK.json. Folds of the same network are pooled: every image is
counted once, under the model that never saw its group.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from busnet.evaluation.evaluation import Evaluation, read_evaluation
from busnet.evaluation.intervals import Interval, compare, intervals
from busnet.evaluation.scores import Scores

HERE = Path(__file__).resolve().parent
NAME = re.compile(r"(?P<row>.+)-fold(?P<fold>\d)-seed(?P<seed>\d+)\.json")
FIGURES = ("accuracy", "macro F1", "malignant AUC", "calibration error", "Dice")
DRAWS = 1000

#: What the others are compared with.
REFERENCE = "mod_resnet101"

#: Row, seed and fold of every evaluation.
Table = dict[tuple[str, int], dict[int, Evaluation]]


def read_all(folder: Path) -> Table:
    """Read the evaluations, refusing what leaks."""
    table: Table = defaultdict(dict)
    for path in sorted(folder.glob("*.json")):
        match = NAME.fullmatch(path.name)
        if match is None:
            continue
        evaluation = read_evaluation(path)
        if evaluation.leak or evaluation.fold != int(match["fold"]):
            raise SystemExit(f"{path}: {evaluation.leak or 'another fold'}")
        table[match["row"], int(match["seed"])][evaluation.fold] = evaluation
    return table


def pooled(folds: dict[int, Evaluation], which: Iterable[int]) -> Scores:
    """Return the cases of some folds together."""
    return Scores(case for fold in sorted(which) for case in folds[fold].scores)


def line(cells: Iterable[object]) -> str:
    """Return a row of a Markdown table."""
    return "| " + " | ".join(map(str, cells)) + " |"


def figure_table(rows: dict[str, Scores]) -> list[str]:
    """Return a Markdown table of figures with intervals."""
    lines = [line(["network", "images", *FIGURES]), line(["---"] * (len(FIGURES) + 2))]
    for name, scores in rows.items():
        found = intervals(scores, count=DRAWS)
        cells = [found.get(figure, "") for figure in FIGURES]
        lines.append(line([name, len(scores), *cells]))
    return lines


def comparison_table(rows: dict[str, Scores], reference: str) -> list[str]:
    """Return a Markdown table of paired differences from the reference."""
    lines = [line(["network", *FIGURES]), line(["---"] * (len(FIGURES) + 1))]
    for name, scores in rows.items():
        if name == reference:
            continue
        found = compare(rows[reference], scores, count=DRAWS)
        cells = []
        for figure in FIGURES:
            interval = found.get(figure)
            clear = interval is not None and not interval.low <= 0 <= interval.high
            text = "" if interval is None else str(interval)
            cells.append(f"**{text}**" if clear else text)
        lines.append(line([name, *cells]))
    return lines


def spread(table: Table, row: str, fold: int) -> list[str]:
    """Return lines on how much seeds differ."""
    seeds = {
        s: folds[fold] for (r, s), folds in table.items() if r == row and fold in folds
    }
    if len(seeds) < 2:
        return []
    lines = ["", f"## Seeds: {row}, fold {fold}", ""]
    lines += [line(["seed", *FIGURES]), line(["---"] * (len(FIGURES) + 1))]
    values = []
    for seed, evaluation in sorted(seeds.items()):
        numbers = [evaluation.figures[figure].value for figure in FIGURES]
        values.append(numbers)
        lines.append(line([seed, *(f"{n:.3f}" for n in numbers)]))
    deviation = np.std(values, axis=0, ddof=1)
    lines.append(line(["standard deviation", *(f"{d:.3f}" for d in deviation)]))
    return lines


def robustness_table(path: Path) -> list[str]:
    """Return lines on how a model's figures change when the images do."""
    document = json.loads(path.read_text(encoding="utf-8"))
    figures = list(document["rows"][0]["changes"])
    lines = [
        "",
        f"## Robustness: {document['model']}, fold {document['fold']}",
        "",
        f"Changes on {document['images']} images, paired; the last column counts",
        "normal images that were called normal and no longer are.",
        "",
        line(["perturbation", *figures, "normals lost"]),
        line(["---"] * (len(figures) + 2)),
    ]
    for row in document["rows"]:
        changes = [Interval(*row["changes"][figure]) for figure in figures]
        lost = f"{row['lost']} of {row['normals']}" if "lost" in row else ""
        name = f"{row['perturbation']}: {row['description']}"
        lines.append(line([name, *changes, lost]))
    return lines


def main() -> None:
    """Write the page."""
    table = read_all(HERE / "results")
    first = {row: folds for (row, seed), folds in table.items() if seed == 0}
    if REFERENCE not in first:
        raise SystemExit(f"results/ has no evaluation of {REFERENCE}")
    text = [
        "# Results",
        "",
        "Drawn by `python benchmarks/results.py` from the evaluations under",
        "`results/`; each of them holds the protocol, the weights' provenance and",
        "every image's scores. Protocol: `busi-group5`. Values with 95 % intervals",
        "by bootstrap over duplicate groups. For research use only.",
    ]
    by_folds: dict[tuple[int, ...], list[str]] = defaultdict(list)
    for row, folds in first.items():
        for size in range(1, len(folds) + 1):
            key = tuple(sorted(folds))[:size]
            by_folds[key].append(row)
    shown: set[tuple[str, ...]] = set()
    for key in sorted(by_folds, key=len, reverse=True):
        names = tuple(sorted(by_folds[key]))
        if names in shown:
            continue
        shown.add(names)
        rows = {name: pooled(first[name], key) for name in names}
        held = ", ".join(map(str, key))
        text += ["", f"## Held-out folds {held}", "", *figure_table(rows)]
        if REFERENCE in rows and len(rows) > 1:
            text += [
                "",
                f"Less `{REFERENCE}`, paired on the same images; bold where the",
                "interval leaves out zero:",
                "",
                *comparison_table(rows, REFERENCE),
            ]
    for row, folds in first.items():
        for fold in folds:
            text += spread(table, row, fold)
    for path in sorted((HERE / "results").glob("robustness-*.json")):
        text += robustness_table(path)
    (HERE / "RESULTS.md").write_text("\n".join(text) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
