"""The templates of this package."""

from __future__ import annotations

import functools

import jinja2

from busnet.evaluation.html import environment
from busnet.results import NOTICE
from busnet.version import __version__

__all__ = ["render"]


def render(template: str, **values: object) -> str:
    """Return a template with its values, the notice and the version among them."""
    text = _environment().get_template(template)
    return text.render(notice=NOTICE, version=__version__, **values)


@functools.cache
def _environment() -> jinja2.Environment:
    templates = environment("busnet.experiments")
    templates.filters["plain"] = _plain
    return templates


def _plain(text: str) -> str:
    return text.replace("`", "")
