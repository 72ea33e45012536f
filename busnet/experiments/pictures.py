"""Pictures of a comparison, as data URIs of SVG."""

from __future__ import annotations

import base64
import functools
import io
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from busnet.evaluation.intervals import Interval
from busnet.evaluation.metrics import among_lesions
from busnet.evaluation.plot import BLUE, GREY

if TYPE_CHECKING:
    from busnet.experiments.result import Baselines

__all__ = ["draw_pictures"]

#: Names of the accuracy; where there are both, all rows that classify have the second.
ACCURACIES = ("accuracy", among_lesions("accuracy"))

#: Characters of a row's name that a label shows.
LABEL = 32


def draw_pictures(result: Baselines) -> dict[str, str]:
    """Return the pictures by what they show."""
    pictures = {}
    for figure in result.figures:
        intervals = {
            name: evaluation.figures[figure]
            for name, evaluation in result.evaluations.items()
            if figure in evaluation.figures
        }
        pictures[f"{figure} with 95 % intervals"] = _picture(
            functools.partial(_draw_intervals, intervals=intervals, figure=figure),
            height=1.0 + 0.32 * len(intervals),
        )
    accuracies = [name for name in ACCURACIES if name in result.figures]
    if result.speed and accuracies:
        name = accuracies[-1]
        pictures[f"{name} over the time of a forward pass"] = _picture(
            functools.partial(_draw_speed, result=result, figure=name), height=3.2
        )
    return pictures


def _picture(draw: Callable[[Axes], None], height: float) -> str:
    figure = Figure(figsize=(5.2, height), layout="constrained")
    draw(figure.add_subplot())
    buffer = io.BytesIO()
    # Paths, so that the picture needs no font; the same file each time.
    with mpl.rc_context({"svg.fonttype": "path", "svg.hashsalt": "busnet"}):
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    text = base64.b64encode(buffer.getvalue()).decode()
    return f"data:image/svg+xml;base64,{text}"


def _label(name: str) -> str:
    """Return a row's name as a label: short, and without mathematical notation."""
    short = name if len(name) <= LABEL else f"{name[: LABEL - 1]}…"
    return short.replace("$", r"\$")


def _draw_intervals(axes: Axes, intervals: Mapping[str, Interval], figure: str) -> None:
    known = {name: i for name, i in intervals.items() if i.is_defined}
    places = range(len(known))
    values = [i.value for i in known.values()]
    errors = [
        [max(i.value - i.low, 0) for i in known.values()],
        [max(i.high - i.value, 0) for i in known.values()],
    ]
    axes.errorbar(
        values, places, xerr=errors, fmt="o", color=BLUE, ecolor=GREY, capsize=3
    )
    axes.set_yticks(places, list(map(_label, known)))
    axes.set_ylim(len(known) - 0.5, -0.5)
    axes.set_xlabel(figure)
    axes.grid(axis="x", alpha=0.3)


def _draw_speed(axes: Axes, result: Baselines, figure: str) -> None:
    accuracy = {
        name: evaluation.figures[figure].value
        for name, evaluation in result.evaluations.items()
        if figure in evaluation.figures
    }
    points = {
        name: times["f32"].median
        for name, times in result.speed.items()
        if "f32" in times and name in accuracy
    }
    axes.scatter(list(points.values()), [accuracy[n] for n in points], color=BLUE)
    for name, time in points.items():
        axes.annotate(
            _label(name),
            (time, accuracy[name]),
            xytext=(5, 4),
            textcoords="offset points",
            fontsize=8,
        )
    axes.set(xlabel="ms an image (f32, median)", ylabel=figure)
    axes.margins(0.25, 0.15)
    axes.grid(alpha=0.3)
