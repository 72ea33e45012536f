"""The sections of RESULTS.md, as lines of Markdown."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path

from busnet.evaluation.comparison import pool_folds, pool_hospitals
from busnet.evaluation.evaluation import Evaluation
from busnet.evaluation.intervals import Interval
from busnet.experiments.tables import (
    compare_rows,
    comparison_table,
    line,
    section,
    spread_table,
)

HOSPITAL_FIGURES = (
    "accuracy",
    "AUC among lesions",
    "lesions called normal",
    "normals with a false lesion",
    "Dice",
    "calibration error",
)

#: The network that the others are compared with.
REFERENCE = "mod_resnet101"

#: Suffix of the name of a row that was trained on a GPU.
ON_GPU = "-gpu"

#: The evaluations of a row by what was held out: a fold or a source.
Parts = dict[int | str, Evaluation]

#: The evaluations of every row and seed.
Table = Mapping[tuple[str, int], Parts]


def pooled(folds: Parts, which: Iterable[int | str]) -> Evaluation:
    """Return some folds as one evaluation."""
    return pool_folds([folds[fold] for fold in sorted(which, key=str)])


def spread(table: Table, row: str, fold: int | str) -> list[str]:
    """Return lines on the differences between seeds."""
    seeds = {
        s: folds[fold] for (r, s), folds in table.items() if r == row and fold in folds
    }
    if len(seeds) < 2:
        return []
    return ["", f"## Seeds: {row}, fold {fold}", "", *spread_table(seeds)]


def robustness_table(path: Path) -> list[str]:
    """Return lines on how a model's figures change when the images are changed."""
    document = json.loads(path.read_text(encoding="utf-8"))
    figures = list(document["rows"][0]["changes"])
    lines = [
        "",
        f"## Robustness: {document['model']}, fold {document['fold']}",
        "",
        f"Paired changes on {document['images']} images; the last column counts the",
        "normal images that were classified as normal before the change and not after.",
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


def sections(first: dict[str, Parts], title: str) -> list[str]:
    """Return lines on the rows, grouped by shared folds, largest groups first."""
    reference = next(
        (row for row in first if row.removesuffix(ON_GPU) == REFERENCE), ""
    )
    by_folds: dict[tuple[int | str, ...], list[str]] = defaultdict(list)
    for row, folds in first.items():
        for size in range(1, len(folds) + 1):
            key = tuple(sorted(folds))[:size]
            by_folds[key].append(row)
    lines = []
    shown: set[tuple[str, ...]] = set()
    for key in sorted(by_folds, key=len, reverse=True):
        names = tuple(sorted(by_folds[key]))
        if names in shown:
            continue
        shown.add(names)
        rows = {name: pooled(first[name], key) for name in names}
        fold_names = ", ".join(map(str, key))
        paired = compare_rows(rows, reference) if reference in rows else None
        lines += section(f"{title}, held-out folds {fold_names}", rows, paired)
    return lines


def repeats(first: dict[str, Parts]) -> list[str]:
    """Return lines on the networks that were trained on a GPU and on a CPU."""
    differences = {}
    for row, folds in first.items():
        name = row.removesuffix(ON_GPU)
        if name == row or name not in first:
            continue
        other = first[name]
        common = set(folds) & set(other)
        fold_names = ", ".join(map(str, sorted(common)))
        rows = {"CPU": pooled(other, common), "GPU": pooled(folds, common)}
        compared = compare_rows(rows, "CPU").differences["GPU"]
        differences[f"{name}, folds {fold_names}"] = compared.differences
    if not differences:
        return []
    return [
        "",
        "## The same training twice",
        "",
        "Network, recipe, seed and images are the same; the device differs, and with",
        "it the rounding of every step. Paired differences, GPU minus CPU. This is how",
        "much two trainings of one network differ: a smaller difference between two",
        "networks says little, whatever its interval.",
        "",
        *comparison_table(differences),
    ]


def hospitals(table: Table) -> list[str]:
    """Return lines on models that left one source out of their training."""
    names = ["network", "seed", "left out", "images", *HOSPITAL_FIGURES]
    lines = [
        "",
        "## Hospitals: each source left out of the training, tested on it",
        "",
        line(names),
        line(["---"] * len(names)),
    ]
    averages = {}
    for (row, seed), parts in sorted(table.items()):
        named = {str(source): e for source, e in sorted(parts.items(), key=str)}
        if len(parts) > 1:
            average = pool_hospitals(list(parts.values()))
            named["average over the sources"] = average
            averages[row, seed] = average
        for source, evaluation in named.items():
            figures = [evaluation.figures.get(f, "") for f in HOSPITAL_FIGURES]
            lines.append(line([row, seed, source, len(evaluation.scores), *figures]))
    reference = averages.get((REFERENCE, 0))
    if reference is None:
        return lines
    rows = {
        f"{row}, seed {seed}": average
        for (row, seed), average in averages.items()
        if average is reference or average.sources == reference.sources
    }
    paired = compare_rows(rows, f"{REFERENCE}, seed 0")
    if paired.differences:
        differences = {n: c.differences for n, c in paired.differences.items()}
        lines += [
            "",
            f"Differences from `{REFERENCE}`, seed 0, in the average over the sources,",
            "paired on the same images; bold where the interval excludes zero:",
            "",
            *comparison_table(differences, HOSPITAL_FIGURES),
        ]
    return lines
