"""The tables of RESULTS.md, as lines of Markdown."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from busnet.evaluation.comparison import pool_hospitals
from busnet.evaluation.evaluation import Evaluation
from busnet.evaluation.intervals import Interval, compare, intervals
from busnet.evaluation.scores import Scores

FIGURES = ("accuracy", "macro F1", "malignant AUC", "calibration error", "Dice")
HOSPITAL_FIGURES = (
    "accuracy",
    "AUC among lesions",
    "lesions called normal",
    "normals with a false lesion",
    "Dice",
    "calibration error",
)
DRAWS = 1000

#: The network that the others are compared with.
REFERENCE = "mod_resnet101"

#: Suffix of the name of a row that was trained on a GPU.
ON_GPU = "-gpu"

#: The evaluations of a row by what was held out: a fold or a source.
Parts = dict[int | str, Evaluation]

#: The evaluations of every row and seed.
Table = Mapping[tuple[str, int], Parts]

#: For each row, the paired differences of its figures from the reference's.
Differences = dict[str, dict[str, Interval]]


def is_clear(interval: Interval) -> bool:
    """Tell whether the interval of a difference excludes zero."""
    return not interval.low <= 0 <= interval.high


def differing_figures(differences: Differences, reference: str) -> list[str]:
    """Return a sentence for each row: which figures differ from the reference's."""
    lines = []
    for name, intervals_by_figure in differences.items():
        kinds: dict[str, list[str]] = {"better": [], "worse": [], "alike": []}
        for figure in FIGURES:
            if (interval := intervals_by_figure.get(figure)) is None:
                continue
            sign = -1 if figure == "calibration error" else 1
            better = sign * interval.value > 0
            kind = ("better" if better else "worse") if is_clear(interval) else "alike"
            kinds[kind].append(figure)
        phrases = [
            f"{word} in {', '.join(kinds[kind])}"
            for kind, word in (
                ("better", "better"),
                ("worse", "worse"),
                ("alike", "no clear difference"),
            )
            if kinds[kind]
        ]
        lines.append(f"- `{name}` compared with `{reference}`: {'; '.join(phrases)}.")
    return lines


def pooled(folds: Parts, which: Iterable[int | str]) -> Scores:
    """Return the cases of some folds in one list."""
    return Scores(case for fold in sorted(which) for case in folds[fold].scores)


def line(cells: Iterable[object]) -> str:
    """Return a row of a Markdown table."""
    return "| " + " | ".join(map(str, cells)) + " |"


def figure_table(rows: dict[str, Scores]) -> list[str]:
    """Return a Markdown table of figures with intervals."""
    lines = [line(["network", "images", *FIGURES]), line(["---"] * (len(FIGURES) + 2))]
    for name, scores in rows.items():
        figures = intervals(scores, count=DRAWS)
        cells = [figures.get(figure, "") for figure in FIGURES]
        lines.append(line([name, len(scores), *cells]))
    return lines


def comparison_table(
    differences: Differences, names: Sequence[str] = FIGURES
) -> list[str]:
    """Return a Markdown table of paired differences from the reference."""
    lines = [line(["network", *names]), line(["---"] * (len(names) + 1))]
    for name, difference in differences.items():
        cells = []
        for figure in names:
            interval = difference.get(figure)
            clear = interval is not None and is_clear(interval)
            text = "" if interval is None else str(interval)
            cells.append(f"**{text}**" if clear else text)
        lines.append(line([name, *cells]))
    return lines


def spread(table: Table, row: str, fold: int | str) -> list[str]:
    """Return lines on the differences between seeds."""
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
        lines += [
            "",
            f"## {title}, held-out folds {fold_names}",
            "",
            *figure_table(rows),
        ]
        if reference in rows and len(rows) > 1:
            differences = {
                name: compare(rows[reference], scores, count=DRAWS)
                for name, scores in rows.items()
                if name != reference
            }
            lines += [
                "",
                f"Differences from `{reference}`, paired on the same images; bold",
                "where the interval excludes zero:",
                "",
                *comparison_table(differences),
                "",
                *differing_figures(differences, reference),
            ]
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
        differences[f"{name}, folds {fold_names}"] = compare(
            pooled(other, common), pooled(folds, common), count=DRAWS
        )
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
            average = pool_hospitals(list(parts.values()), bootstrap=DRAWS)
            named["average over the sources"] = average
            averages[row, seed] = average
        for source, evaluation in named.items():
            figures = [evaluation.figures.get(f, "") for f in HOSPITAL_FIGURES]
            lines.append(line([row, seed, source, len(evaluation.scores), *figures]))
    reference = averages.get((REFERENCE, 0))
    if reference is None:
        return lines
    differences = {
        f"{row}, seed {seed}": compare(
            reference.scores, average.scores, macro=True, count=DRAWS
        )
        for (row, seed), average in averages.items()
        if average is not reference and average.sources == reference.sources
    }
    if differences:
        lines += [
            "",
            f"Differences from `{REFERENCE}`, seed 0, in the average over the sources,",
            "paired on the same images; bold where the interval excludes zero:",
            "",
            *comparison_table(differences, HOSPITAL_FIGURES),
        ]
    return lines
