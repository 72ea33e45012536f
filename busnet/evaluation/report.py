"""An evaluation as one HTML file that needs nothing beside it."""

from __future__ import annotations

import base64
import functools
import html
import io
from collections.abc import Callable, Sequence
from typing import Any

from matplotlib.figure import Figure

from busnet.data import CLASSES, Case, get_protocol
from busnet.evaluation import plot
from busnet.evaluation.evaluation import Evaluation
from busnet.evaluation.intervals import Interval
from busnet.evaluation.scores import CaseScore
from busnet.model import Model
from busnet.results import NOTICE
from busnet.version import __version__

__all__ = ["render", "worst_cases"]

WORST = 10

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 64rem; margin: 2rem auto;
       padding: 0 1rem; color: #222; background: #fff }
table { border-collapse: collapse }
td, th { text-align: left; padding: .15rem 1rem .15rem 0 }
td.n { font-variant-numeric: tabular-nums } tr:nth-child(even) { background: #f4f4f4 }
.leaky { background: #b00020; color: #fff; padding: .75rem 1rem; font-weight: bold }
.notice { border-left: .3rem solid #999; padding-left: 1rem; color: #555 }
.pictures { display: flex; flex-wrap: wrap; gap: 1rem }
figure { margin: 0; flex: 0 1 19rem }
img { max-width: 100% } figcaption { font-size: .85rem; max-width: 20rem }
"""


def worst_cases(evaluation: Evaluation, count: int = WORST) -> list[int]:
    """Return the indices of the cases that went worst, the worst first.

    A case goes well as far as its true class is probable and its mask agrees: the mean
    of both, or the one that there is.
    """

    def quality(case: CaseScore) -> float:
        parts = []
        if case.probabilities:
            parts.append(case.probabilities[CLASSES.index(case.label)])
        if case.dice is not None:
            parts.append(case.dice)
        return sum(parts) / len(parts)

    order = sorted(
        range(len(evaluation.scores)), key=lambda i: quality(evaluation.scores[i])
    )
    return order[:count]


def render(evaluation: Evaluation, model: Model, cases: Sequence[Case]) -> str:
    """Return the report's HTML.

    Parameters
    ----------
    evaluation
        What to report.
    model, cases
        What it was made with, to draw the worst cases again.
    """
    scores = evaluation.scores
    plots: list[Callable[..., Any]] = []
    if scores.classifies:
        plots += [
            plot.confusion_matrix,
            plot.roc,
            plot.precision_recall,
            plot.reliability,
        ]
    if scores.segments:
        plots.append(plot.dice_by_size)
    pictures = "".join(_picture(functools.partial(f, scores)) for f in plots)
    worst = "".join(
        _worst(evaluation.scores[i], model, cases[i]) for i in worst_cases(evaluation)
    )
    leak = ""
    if evaluation.leak:
        leak = f"<p class='leaky'>LEAKY: {html.escape(evaluation.leak)}</p>"
    groups = len(set(scores.groups.tolist()))
    return f"""<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8">
<title>{html.escape(evaluation.title)}</title>
<style>{STYLE}</style></head><body>
<h1>{html.escape(evaluation.title)}</h1>
<p class="notice">{html.escape(NOTICE)}</p>{leak}
<p>{html.escape(get_protocol(evaluation.protocol).description)}: {len(scores)} images in
{groups} groups. Intervals are 95 % percentiles of a bootstrap over groups. Model:
{html.escape(evaluation.model)}, busnet {__version__}.</p>
<h2>Figures</h2><table><tr><th>figure</th><th>value [95 % interval]</th></tr>
{_rows(evaluation.figures)}</table>
<p>Dice and IoU are means over images with a lesion. HD95 is the larger of the two
directed 95th percentiles, in pixels, where both masks hold pixels; "no distance" is
the share of lesions without any predicted pixel. The Brier score is summed over
classes.</p>
<h2>Pictures</h2><div class="pictures">{pictures}</div>
<h2>The {min(WORST, len(scores))} worst cases</h2>
<p>True outline green, predicted orange.</p><div class="pictures">{worst}</div>
<h2>Where the weights came from</h2><table>{_provenance(evaluation.provenance)}</table>
</body></html>
"""


def _rows(figures: Any) -> str:
    def row(name: str, interval: Interval) -> str:
        return f"<tr><td>{html.escape(name)}</td><td class='n'>{interval}</td></tr>"

    return "\n".join(row(name, interval) for name, interval in figures.items())


def _provenance(document: Any, prefix: str = "") -> str:
    rows = []
    for key, value in document.items():
        if isinstance(value, dict):
            rows.append(_provenance(value, f"{prefix}{key}."))
        else:
            rows.append(
                f"<tr><td>{html.escape(prefix + key)}</td>"
                f"<td>{html.escape(str(value))}</td></tr>"
            )
    return "".join(rows)


def _picture(draw: Callable[[Any], Any], size: tuple[float, float] = (4.6, 4.2)) -> str:
    figure = Figure(figsize=size, layout="constrained")
    draw(figure.add_subplot())
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    data = base64.b64encode(buffer.getvalue()).decode()
    return f"<figure><img alt='' src='data:image/png;base64,{data}'></figure>"


def _worst(score: CaseScore, model: Model, case: Case) -> str:
    predicted = truth = None
    if "mask" in model.info.network.heads and case.masks:
        predicted, truth = model.segment(case.image).mask, case.read_mask()
    picture = _picture(
        lambda axes: plot.overlay(
            case.read_image().pixels, axes, predicted=predicted, truth=truth
        ),
        size=(3.0, 2.6),
    )
    facts = [f"true {score.label}"]
    if score.probabilities:
        shares = zip(CLASSES, score.probabilities, strict=True)
        facts.append(", ".join(f"{name} {p:.2f}" for name, p in shares))
    if score.dice is not None:
        facts.append(f"Dice {score.dice:.2f}")
    caption = f"<b>{html.escape(score.name)}</b><br>{html.escape('; '.join(facts))}"
    return picture.replace("</figure>", f"<figcaption>{caption}</figcaption></figure>")
