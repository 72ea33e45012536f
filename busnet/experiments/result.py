"""What a comparison found: its rows, their differences, and their speed."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from busnet._io import file_sha256, write_text
from busnet.data import CLASSES, LESION_CLASSES, Case, get_protocol
from busnet.data.findings import plural
from busnet.engine.threads import get_threads
from busnet.evaluation.comparison import add_lesion_figures
from busnet.evaluation.evaluation import Evaluation
from busnet.experiments.speed import Timing, cpu_name, measure_speed
from busnet.experiments.tables import (
    PairedTable,
    compare_rows,
    seed_deviations,
    table_figures,
)
from busnet.experiments.templating import render
from busnet.networks import Counter, Network, build

if TYPE_CHECKING:
    from busnet.training.recipe import Recipe

__all__ = ["Baselines", "Row", "compare_all"]


@dataclasses.dataclass(frozen=True)
class Row:
    """A row of the table: a network, or a trained model.

    Attributes
    ----------
    name
        Its name.
    evaluation
        Its figures: all folds pooled.
    network, image_size
        What was trained.
    weights
        Weights file of its first fold, or of the model.
    trained
        Whether the comparison trained it.
    classes
        Number of its classes.
    """

    name: str
    evaluation: Evaluation
    network: Network
    image_size: int
    weights: Path
    trained: bool = True
    classes: int = len(CLASSES)

    @property
    def counter(self) -> Counter:
        """Counts of the network's parameters and multiplications."""
        counter = Counter(self.image_size, self.image_size)
        build(self.network, counter, classes=self.classes)
        return counter


@dataclasses.dataclass(frozen=True)
class Baselines:
    """A comparison of networks and models on the same images.

    Attributes
    ----------
    rows
        The rows of the table.
    paired
        Differences of every row from the reference.
    pairs
        Differences of all pairs: by the name of the first row, differences of each
        later row from it.
    speed
        Times of a forward pass, by row and precision; empty where not measured.
    cpu, threads
        What they were measured on.
    description
        What the images are, in sentences.
    recipe
        How networks were trained, in a sentence.
    out
        Folder of the files.
    """

    rows: tuple[Row, ...]
    paired: PairedTable
    pairs: tuple[PairedTable, ...]
    speed: Mapping[str, Mapping[str, Timing]]
    cpu: str
    threads: int
    description: str
    recipe: str
    out: Path

    @property
    def evaluations(self) -> dict[str, Evaluation]:
        """The evaluations by the names of the rows."""
        return {row.name: row.evaluation for row in self.rows}

    @property
    def figures(self) -> list[str]:
        """Names of the figures of the table, as far as any row has them."""
        evaluations = self.evaluations.values()
        return [
            name
            for name in table_figures(e.figures for e in evaluations)
            if any(
                name in e.figures and e.figures[name].is_defined for e in evaluations
            )
        ]

    @property
    def class_note(self) -> str:
        """A sentence on the figures among lesions, "" where there are none."""
        all_scores = [e.scores for e in self.evaluations.values()]
        of_models = {scores.classes for scores in all_scores if scores.classifies}
        if LESION_CLASSES not in of_models:
            return ""
        text = "Figures among lesions are of benign and malignant images alone."
        if len(of_models) > 1:
            text += (
                " For them, probabilities of models that also classify normal images "
                "are renormalised over benign and malignant; models of these two "
                "classes have no other class figures."
            )
        return text

    @property
    def leaks(self) -> dict[str, str]:
        """Why figures of some rows are too good to be true, by their names."""
        return {r.name: r.evaluation.leak for r in self.rows if r.evaluation.leak}

    @property
    def notes(self) -> dict[str, tuple[str, ...]]:
        """What else must be known of rows that the comparison did not train."""
        return {
            r.name: r.evaluation.notes
            for r in self.rows
            if r.evaluation.notes and not r.trained
        }

    @property
    def seeds(self) -> dict[str, dict[int, Evaluation]]:
        """Evaluations by seed of the networks that were trained with several."""
        by_network: dict[str, dict[int, Evaluation]] = {}
        for row in self.rows:
            name, comma, seed = row.name.rpartition(", seed ")
            if comma and row.trained:
                by_network.setdefault(name, {})[int(seed)] = row.evaluation
        return by_network

    def deviations(self, network: str) -> list[float]:
        """Return the standard deviation of each figure between a network's seeds."""
        return seed_deviations(self.seeds[network], self.figures)

    #: Columns of :attr:`speed_rows`.
    speed_columns: ClassVar[tuple[str, ...]] = (
        "network",
        "parameters, millions",
        "GMACs",
        "image size",
        "f32 ms, minimum / median",
        "int8 ms, minimum / median",
    )

    @property
    def speed_rows(self) -> list[list[str]]:
        """The table of sizes and times, as text."""
        rows = []
        for row in self.rows:
            counter = row.counter
            times = self.speed.get(row.name, {})
            sizes = [
                f"{counter.parameters / 1e6:.1f}",
                f"{counter.macs / 1e9:.2f}",
                str(row.image_size),
            ]
            known = [str(times.get(p, "")) for p in ("f32", "int8")]
            rows.append([row.name, *sizes, *known])
        return rows

    @property
    def machine(self) -> str:
        """A sentence on how the times were measured."""
        if not self.speed:
            return "Times were not measured."
        return (
            f"{self.cpu}, {plural(self.threads, 'thread')}; forward passes of one "
            f"image, all heads, the models alternating."
        )

    def _repr_html_(self) -> str:
        """Return what a notebook shows: the tables and the sentences."""
        return render("comparison.html", result=self, pictures={}, fragment=True)


def compare_all(
    rows: Sequence[Row],
    *,
    reference: str,
    cases: Sequence[Case],
    protocol: str,
    recipe: Recipe,
    bootstrap: int,
    speed: bool,
    out: Path,
) -> Baselines:
    """Compare rows with each other, and time them."""
    if any(row.evaluation.scores.knows_lesions_alone for row in rows):
        rows = [
            dataclasses.replace(
                row,
                evaluation=add_lesion_figures(row.evaluation, bootstrap=bootstrap),
            )
            for row in rows
        ]
    evaluations = {row.name: row.evaluation for row in rows}
    names = list(evaluations)
    pairs = tuple(
        compare_rows(
            {later: evaluations[later] for later in names[i:]},
            name,
            bootstrap=bootstrap,
        )
        for i, name in enumerate(names[:-1])
    )
    is_first = reference == names[0] and pairs
    paired = (
        pairs[0]
        if is_first
        else compare_rows(evaluations, reference, bootstrap=bootstrap)
    )
    cpu, threads = cpu_name(), get_threads()
    return Baselines(
        tuple(rows),
        paired,
        pairs,
        _times(rows, cases, cpu, threads, out) if speed else {},
        cpu,
        threads,
        _describe(cases, protocol),
        _describe_recipe(recipe),
        out,
    )


def _times(
    rows: Sequence[Row], cases: Sequence[Case], cpu: str, threads: int, out: Path
) -> dict[str, dict[str, Timing]]:
    """Return the times of the rows; measured again where machine or weights differ."""
    file = out / "speed.json"
    models = {row.name: row.weights for row in rows}
    key = {
        "cpu": cpu,
        "threads": threads,
        "rows": {n: file_sha256(p) for n, p in models.items()},
    }
    try:
        document = json.loads(file.read_text(encoding="utf-8"))
        if document["key"] == key:
            return {
                name: {p: Timing(*numbers) for p, numbers in times.items()}
                for name, times in document["times"].items()
            }
    except (OSError, ValueError, KeyError, TypeError):
        pass
    times = measure_speed(models, cases)
    document = {
        "key": key,
        "times": {
            name: {p: dataclasses.astuple(t) for p, t in by_precision.items()}
            for name, by_precision in times.items()
        },
    }
    write_text(file, json.dumps(document, indent=1) + "\n")
    return times


def _describe(cases: Sequence[Case], protocol: str) -> str:
    chosen = get_protocol(protocol)
    counts = [f"{sum(c.label == label for c in cases)} {label}" for label in CLASSES]
    parts = chosen.folds(cases)
    what = "sources, each left out once" if chosen.leaves_out_source else "folds"
    return (
        f"{len(cases)} images in {len({case.key for case in cases})} groups "
        f"({', '.join(counts)}), {len(parts)} {what}. Protocol {protocol}: "
        f"{chosen.description}."
    )


def _describe_recipe(recipe: Recipe) -> str:
    phases = ", then ".join(
        f"{phase.epochs} epoch{'s' if phase.epochs > 1 else ''} at {phase.size} px"
        for phase in recipe.phases
    )
    return (
        f"Every network was trained by the same recipe: {phases}, "
        f"learning rate {recipe.learning_rate:g}."
    )
