"""An evaluation as one HTML file that needs nothing beside it."""

from __future__ import annotations

import base64
import dataclasses
import functools
import io
from collections.abc import Callable, Iterator, Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from busnet.data import Case, get_protocol
from busnet.evaluation import plot
from busnet.evaluation.html import environment
from busnet.evaluation.metrics import among_lesions
from busnet.evaluation.record import Record
from busnet.evaluation.scores import CaseScore, Scores, classes_of
from busnet.evaluation.strata import MIN_GROUPS, Stratum
from busnet.inference.predictor import Predictor
from busnet.results import NOTICE
from busnet.version import __version__

__all__ = ["render_report", "worst_cases"]

#: Number of the worst cases that are shown.
WORST = 10

#: Figures that the tables of strata show, as far as any stratum has them.
COLUMNS = (
    "accuracy",
    among_lesions("accuracy"),
    "malignant AUC",
    among_lesions("malignant AUC"),
    "malignant recall",
    among_lesions("malignant recall"),
    "lesions called normal",
    "calibration error",
    among_lesions("calibration error"),
    "Dice",
    "lesions detected",
    "normals with a false lesion",
)

#: Draws into axes and returns them.
Draw = Callable[[Axes], Axes]


@dataclasses.dataclass(frozen=True)
class WorstCase:
    """A case as the report shows it; the picture is a data URI."""

    name: str
    facts: str
    picture: str


def render_report(
    evaluation: Record, model: Predictor | None = None, cases: Sequence[Case] = ()
) -> str:
    """Return the report's HTML.

    Parameters
    ----------
    evaluation
        What to report.
    model, cases
        What it was made with, to draw the worst cases; without them they are left out.
    """
    strata: dict[str, list[Stratum]] = {}
    for stratum in evaluation.strata:
        strata.setdefault(stratum.kind, []).append(stratum)
    by_name = {(case.source, case.name): case for case in cases}
    worst = []
    for index in worst_cases(evaluation) if model is not None else []:
        score = evaluation.scores[index]
        case = by_name.get((score.source, score.name))
        if model is not None and case is not None:
            worst.append(_worst_case(score, model, case))
    return (
        environment()
        .get_template("report.html")
        .render(
            evaluation=evaluation,
            description=get_protocol(evaluation.protocol).description,
            counts=evaluation.counts,
            strata=strata,
            columns={kind: _columns(members) for kind, members in strata.items()},
            min_groups=MIN_GROUPS,
            plots=[_picture(draw) for draw in _plots(evaluation)],
            worst=worst,
            provenance=list(_flatten(evaluation.provenance)),
            notice=NOTICE,
            version=__version__,
        )
    )


def worst_cases(evaluation: Record, count: int = WORST) -> list[int]:
    """Return the indices of the cases that went worst, the worst first.

    A case goes well as far as its true class is probable and its mask agrees: the mean
    of both, or of one if the other is missing. Cases with neither are left out.
    """
    classes = evaluation.scores.classes

    def quality(case: CaseScore) -> float | None:
        parts = []
        if case.probabilities and case.label in classes:
            parts.append(case.probabilities[classes.index(case.label)])
        if case.dice is not None:
            parts.append(case.dice)
        return sum(parts) / len(parts) if parts else None

    qualities = {i: quality(case) for i, case in enumerate(evaluation.scores)}
    known = {i: value for i, value in qualities.items() if value is not None}
    return sorted(known, key=known.__getitem__)[:count]


def _columns(strata: Sequence[Stratum]) -> list[str]:
    return [name for name in COLUMNS if any(name in s.figures for s in strata)]


def _plots(evaluation: Record) -> Iterator[Draw]:
    scores = evaluation.scores
    drawn: list[Callable[[Scores, Axes], Axes]] = []
    if scores.classifies:
        drawn += [
            plot.confusion_matrix,
            plot.roc,
            plot.precision_recall,
            plot.reliability,
        ]
    if scores.segments:
        drawn.append(plot.dice_by_size)
    for function in drawn:
        yield functools.partial(function, scores)


def _picture(draw: Draw, size: tuple[float, float] = (4.6, 4.2)) -> str:
    """Return a data URI of what a function draws."""
    figure = Figure(figsize=size, layout="constrained")
    draw(figure.add_subplot())
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def _worst_case(score: CaseScore, model: Predictor, case: Case) -> WorstCase:
    image = case.read_image()
    segments = "mask" in model.info.heads
    predicted = model.segment(image).mask if segments else None
    truth = case.read_mask() if segments and score.dice is not None else None
    facts = [f"true {score.label or 'class not known'}"]
    if score.probabilities:
        classes = classes_of(len(score.probabilities))
        shares = zip(classes, score.probabilities, strict=True)
        facts.append(", ".join(f"{name} {p:.2f}" for name, p in shares))
    if score.dice is not None:
        facts.append(f"Dice {score.dice:.2f}")
    picture = _picture(
        lambda axes: plot.overlay(image.pixels, axes, predicted=predicted, truth=truth),
        size=(3.0, 2.6),
    )
    return WorstCase(score.full_name, "; ".join(facts), picture)


def _flatten(
    document: Mapping[str, object], prefix: str = ""
) -> Iterator[tuple[str, object]]:
    """Yield the entries of nested mappings, their names joined by dots."""
    for key, value in document.items():
        if isinstance(value, Mapping):
            yield from _flatten(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value
