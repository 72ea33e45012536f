"""Figures as HTML: the templates' environment, and what notebooks show."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence

import jinja2

from busnet.evaluation.intervals import Interval
from busnet.results import NOTICE

__all__ = ["environment", "render_figures"]


@functools.cache
def environment(package: str = "busnet.evaluation") -> jinja2.Environment:
    """Return the environment of a package's templates, which may include these."""
    names = dict.fromkeys((package, "busnet.evaluation"))
    return jinja2.Environment(
        loader=jinja2.ChoiceLoader([*map(jinja2.PackageLoader, names)]),
        autoescape=True,
        trim_blocks=True,
        undefined=jinja2.StrictUndefined,
    )


def render_figures(
    title: str,
    figures: Mapping[str, Interval],
    *,
    leak: str = "",
    notes: Sequence[str] = (),
    text: str = "",
    mark_clear: bool = False,
) -> str:
    """Return a table of figures as a fragment of HTML.

    Parameters
    ----------
    title
        Its heading.
    figures
        Figures or differences by name; those that are not defined are left out.
    leak
        Why they are too good to be true, or "".
    notes
        What else must be known of them.
    text
        What the figures are of.
    mark_clear
        Whether intervals that exclude zero are bold.
    """
    return (
        environment()
        .get_template("figures.html")
        .render(
            title=title,
            figures={n: i for n, i in figures.items() if i.is_defined},
            leak=leak,
            notes=notes,
            text=text,
            mark_clear=mark_clear,
            notice=NOTICE,
        )
    )
