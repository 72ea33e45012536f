"""Tables of evaluations: figures, paired differences, and sentences about them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from busnet.evaluation.comparison import Comparison, compare_evaluations
from busnet.evaluation.evaluation import Evaluation
from busnet.evaluation.intervals import Interval
from busnet.evaluation.metrics import among_lesions

__all__ = [
    "FIGURES",
    "LESION_FIGURES",
    "PairedTable",
    "compare_rows",
    "comparison_table",
    "describe",
    "difference_lines",
    "figure_table",
    "line",
    "section",
    "seed_deviations",
    "spread_table",
    "table_figures",
]

#: Figures of a table, as far as an evaluation has them.
FIGURES = ("accuracy", "macro F1", "malignant AUC", "calibration error", "Dice")

#: The same of a model that knows benign and malignant alone.
LESION_FIGURES = (*map(among_lesions, FIGURES[:-1]), "Dice")

#: Figures of which less is better.
LESS_IS_BETTER = frozenset(
    (
        "calibration error",
        among_lesions("calibration error"),
        "lesions called normal",
        "normals with a false lesion",
    )
)


@dataclasses.dataclass(frozen=True)
class PairedTable:
    """Rows of a table compared with one of them.

    Attributes
    ----------
    reference
        Name of the row that the others are compared with.
    differences
        Each other row's figures minus the reference's, paired, by its name.
    """

    reference: str
    differences: Mapping[str, Comparison]

    @property
    def sentences(self) -> list[str]:
        """Say of each row which figures differ by more than their interval."""
        return [
            f"`{name}` compared with `{self.reference}`: {phrase}."
            for name, comparison in self.differences.items()
            if (phrase := describe(comparison.differences))
        ]


def table_figures(rows: Iterable[Mapping[str, Interval]]) -> list[str]:
    """Return the names of the figures of a table, by the figures of its rows.

    Where any row's class figures are among lesions, those of the others are, too.
    """
    if not any(LESION_FIGURES[0] in figures for figures in rows):
        return [*FIGURES]
    names = [name for name in FIGURES if name not in LESION_FIGURES]
    return [*names, *LESION_FIGURES]


def compare_rows(
    rows: Mapping[str, Evaluation],
    reference: str,
    *,
    bootstrap: int = 1000,
    seed: int = 0,
) -> PairedTable:
    """Compare every row with the reference, paired on the same images.

    Where rows have class figures among lesions, their differences have them, too.

    Raises
    ------
    DataError
        If two rows are not of the same cases.
    """
    return PairedTable(
        reference,
        {
            name: compare_evaluations(
                rows[reference],
                evaluation,
                with_lesion_figures=LESION_FIGURES[0] in rows[reference].figures,
                bootstrap=bootstrap,
                seed=seed,
            )
            for name, evaluation in rows.items()
            if name != reference
        },
    )


def describe(
    differences: Mapping[str, Interval], names: Sequence[str] | None = None
) -> str:
    """Say which of some figures are better, worse, or not clearly different.

    A figure differs clearly where the interval of its difference excludes zero. By
    default they are those of a table.
    """
    if names is None:
        names = table_figures([differences])
    kinds: dict[str, list[str]] = {"better": [], "worse": [], "alike": []}
    for name in names:
        interval = differences.get(name)
        if interval is None or not interval.is_defined:
            continue
        if not interval.excludes_zero:
            kinds["alike"].append(name)
        else:
            is_better = (interval.value < 0) == (name in LESS_IS_BETTER)
            kinds["better" if is_better else "worse"].append(name)
    words = {"better": "better", "worse": "worse", "alike": "no clear difference"}
    return "; ".join(
        f"{word} in {', '.join(kinds[kind])}"
        for kind, word in words.items()
        if kinds[kind]
    )


def line(cells: Iterable[object]) -> str:
    """Return a row of a Markdown table."""
    return "| " + " | ".join(map(str, cells)) + " |"


def section(
    title: str,
    rows: Mapping[str, Evaluation],
    paired: PairedTable | None = None,
    names: Sequence[str] = FIGURES,
    level: int = 2,
) -> list[str]:
    """Return lines of Markdown on rows: figures, differences and sentences.

    ``level`` is that of the heading.
    """
    lines = ["", f"{'#' * level} {title}", "", *figure_table(rows, names)]
    if paired is not None and paired.differences:
        lines += difference_lines(paired, names)
        lines += ["", *(f"- {sentence}" for sentence in paired.sentences)]
    return lines


def difference_lines(
    paired: PairedTable, names: Sequence[str] = FIGURES, what: str = ""
) -> list[str]:
    """Return lines of Markdown on paired differences; ``what`` says of what they are.

    It begins with a space, as in ``" in the average over two hospitals"``.
    """
    return [
        "",
        f"Differences from `{paired.reference}`{what}, paired on the same images; bold",
        "where the interval excludes zero:",
        "",
        *comparison_table(
            {row: c.differences for row, c in paired.differences.items()}, names
        ),
    ]


def figure_table(
    rows: Mapping[str, Evaluation], names: Sequence[str] = FIGURES
) -> list[str]:
    """Return a Markdown table of figures with intervals."""
    lines = [line(["network", "images", *names]), line(["---"] * (len(names) + 2))]
    for name, evaluation in rows.items():
        cells = [evaluation.figures.get(figure, "") for figure in names]
        lines.append(line([name, len(evaluation.scores), *cells]))
    return lines


def comparison_table(
    differences: Mapping[str, Mapping[str, Interval]], names: Sequence[str] = FIGURES
) -> list[str]:
    """Return a Markdown table of paired differences, those that are clear bold."""
    lines = [line(["network", *names]), line(["---"] * (len(names) + 1))]
    for name, difference in differences.items():
        cells = []
        for figure in names:
            interval = difference.get(figure)
            clear = interval is not None and interval.excludes_zero
            text = "" if interval is None else str(interval)
            cells.append(f"**{text}**" if clear else text)
        lines.append(line([name, *cells]))
    return lines


def spread_table(
    seeds: Mapping[int, Evaluation], names: Sequence[str] = FIGURES
) -> list[str]:
    """Return a Markdown table of the figures by seed, and their standard deviation."""
    lines = [line(["seed", *names]), line(["---"] * (len(names) + 1))]
    for seed, evaluation in sorted(seeds.items()):
        numbers = [_value(evaluation, figure) for figure in names]
        lines.append(line([seed, *(f"{n:.3f}" for n in numbers)]))
    deviation = seed_deviations(seeds, names)
    lines.append(line(["standard deviation", *(f"{d:.3f}" for d in deviation)]))
    return lines


def seed_deviations(
    seeds: Mapping[int, Evaluation], names: Sequence[str] = FIGURES
) -> list[float]:
    """Return the standard deviation of each figure between two seeds or more."""
    values = [[_value(e, figure) for figure in names] for e in seeds.values()]
    return [float(d) for d in np.std(values, axis=0, ddof=1)]


def _value(evaluation: Evaluation, figure: str) -> float:
    interval = evaluation.figures.get(figure)
    return float("nan") if interval is None else interval.value
