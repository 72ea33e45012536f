"""The sections of RESULTS.md, as lines of Markdown."""

from __future__ import annotations

import csv
import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from statistics import mean

from busnet.evaluation.comparison import pool_folds, pool_hospitals
from busnet.evaluation.evaluation import Evaluation
from busnet.evaluation.intervals import Interval
from busnet.experiments.tables import (
    compare_rows,
    comparison_table,
    difference_lines,
    figure_table,
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

#: Figures of models on one fold.
FOLD_FIGURES = ("accuracy", "macro F1", "malignant AUC", *HOSPITAL_FIGURES[1:])

#: Columns of the table of ablations that are not figures.
ABLATION_KEYS = frozenset(("recipe", "left_out", "seed", "images"))

#: The network that the others are compared with.
REFERENCE = "mod_resnet101"

#: Suffix of the name of a row that was trained on a GPU.
ON_GPU = "-gpu"

#: The evaluations of a row by what was held out: a fold or a source.
Parts = dict[int | str, Evaluation]

#: The evaluations of every row and seed.
Table = Mapping[tuple[str, int], Parts]


def row_title(row: str, seed: int) -> str:
    """Return what tables call a row; the first seed, 0, is not named."""
    return row if seed == 0 else f"{row}, seed {seed}"


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
    return ["", f"### Seeds: {row}, fold {fold}", "", *spread_table(seeds)]


def robustness_table(path: Path) -> list[str]:
    """Return lines on how a model's figures change when the images are changed."""
    document = json.loads(path.read_text(encoding="utf-8"))
    figures = list(document["rows"][0]["changes"])
    lines = [
        "",
        f"### {document['model']}, fold {document['fold']}",
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
        heading = f"{title}, held-out folds {fold_names}"
        lines += section(heading, rows, paired, level=3)
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
        "### The same training twice",
        "",
        "Network, recipe, seed and images are the same; the device differs, and with",
        "it the rounding of every step. Paired differences, GPU minus CPU. This is how",
        "much two trainings of one network differ: a smaller difference between two",
        "networks says little, whatever its interval.",
        "",
        *comparison_table(differences),
    ]


def hospitals(table: Table) -> list[str]:
    """Return lines on models that left one source out of their training.

    The averages over several sources come first, then what makes them up.
    """
    rows = {row_title(*key): parts for key, parts in sorted(table.items())}
    groups = sorted({tuple(sorted(parts)) for parts in rows.values()}, key=len)
    lines = []
    for names in reversed([names for names in groups if len(names) > 1]):
        averages = averages_of(rows, names)
        lines += [
            "",
            f"Averages over {', '.join(map(str, names))}:",
            "",
            *_heading("network"),
            *(line([r, *_hospital_figures(e)]) for r, e in averages.items()),
            *_differences_between_hospitals(averages, names),
        ]
    lines += ["", "Each source:", "", *_heading("left out", "network")]
    for source in sorted({s for parts in rows.values() for s in parts}, key=str):
        for row, parts in rows.items():
            if source in parts:
                title = f"{source}, {len(parts[source].scores)} images"
                lines.append(line([title, row, *_hospital_figures(parts[source])]))
    return lines


def _heading(*titles: str) -> list[str]:
    """Return the first two lines of a table of hospitals."""
    names = [*titles, *HOSPITAL_FIGURES]
    return [line(names), line(["---"] * len(names))]


def three_sources(rows: Mapping[str, Evaluation]) -> list[str]:
    """Return lines on models that were trained like the shipped ones."""
    paired = compare_rows(rows, f"{REFERENCE}, shipped")
    return [
        *figure_table(rows, FOLD_FIGURES),
        *difference_lines(paired, FOLD_FIGURES),
    ]


def precisions(path: Path) -> list[str]:
    """Return lines on models that were computed in several ways."""
    with path.open(encoding="utf-8", newline="") as file:
        titles, *rows = csv.reader(file)
    return [
        line([title.replace("_", " ") for title in titles]),
        line(["---"] * len(titles)),
        *map(line, rows),
    ]


def averages_of(
    rows: Mapping[str, Parts], sources: Iterable[int | str]
) -> dict[str, Evaluation]:
    """Return the averages over some sources, of the rows that have all of them."""
    return {
        row: pool_hospitals([parts[source] for source in sources])
        for row, parts in rows.items()
        if set(sources) <= set(parts)
    }


def _differences_between_hospitals(
    averages: Mapping[str, Evaluation], sources: Iterable[int | str]
) -> list[str]:
    """Return lines on the paired differences of averages over some sources."""
    reference = next((r for r in averages if r.removesuffix(ON_GPU) == REFERENCE), "")
    if len(averages) < 2 or not reference:
        return []
    what = f" in the average over {', '.join(map(str, sources))}"
    return difference_lines(compare_rows(averages, reference), HOSPITAL_FIGURES, what)


def ablations(path: Path) -> list[str]:
    """Return lines on trainings that differ by one part of the recipe each.

    First the averages over the sources, of the sources that have the figure, then a
    table whose cells have a figure of each source, in the order of the heading.
    """
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    sources = list(dict.fromkeys(row["left_out"] for row in rows))
    figures = [name for name in rows[0] if name not in ABLATION_KEYS]
    trainings: dict[tuple[str, str], dict[str, dict[str, str]]] = defaultdict(dict)
    for row in rows:
        trainings[row["recipe"], row["seed"]][row["left_out"]] = row
    heading = [
        line(["recipe", "seed", *(name.replace("_", " ") for name in figures)]),
        line(["---"] * (len(figures) + 2)),
    ]
    means, cells = [], []
    for key, by_source in trainings.items():
        parts = [by_source[source] for source in sources]
        means.append(line([*key, *(_mean(parts, figure) for figure in figures)]))
        cells.append(line([*key, *(_cells(parts, figure) for figure in figures)]))
    return [
        f"Averages over {', '.join(sources)}:",
        "",
        *heading,
        *means,
        "",
        f"Each source: {' / '.join(sources)}.",
        "",
        *heading,
        *cells,
    ]


def _mean(rows: Iterable[Mapping[str, str]], figure: str) -> str:
    """Return the mean of a figure over the rows that have it, in three decimals."""
    return f"{mean(float(row[figure]) for row in rows if row[figure]):.3f}"


def _cells(rows: Iterable[Mapping[str, str]], figure: str) -> str:
    """Return a figure of each row in three decimals, "-" where there is none."""
    values = (row[figure] for row in rows)
    return " / ".join(f"{float(value):.3f}" if value else "-" for value in values)


def _hospital_figures(evaluation: Evaluation) -> list[Interval | str]:
    """Return the figures that a table of hospitals has."""
    return [evaluation.figures.get(name, "") for name in HOSPITAL_FIGURES]
