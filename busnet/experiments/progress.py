"""Progress on standard error or in a notebook: bars, and lines worth reading."""

from __future__ import annotations

import contextlib
import importlib.util
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, TypeVar

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from busnet.batch.text import printable

if TYPE_CHECKING:
    from busnet.training.progress import Progress as Step

__all__ = ["Reporter", "messages", "progress_bar", "track"]

T = TypeVar("T")

#: Results go to standard output, messages to standard error.
messages = Console(stderr=True, emoji=False, highlight=False)


class RateColumn(ProgressColumn):
    """How many items are done a second."""

    def render(self, task: Task) -> Text:
        """Draw the rate, once there is one."""
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:.1f}/s")


def progress_bar() -> Progress:
    """Return a progress bar; none where nothing can draw it.

    Standard error must be a terminal, or a notebook with ipywidgets.
    """
    notebook = messages.is_jupyter and importlib.util.find_spec("ipywidgets")
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        RateColumn(),
        TimeRemainingColumn(),
        console=messages,
        disable=not (messages.is_terminal or notebook),
    )


def track(items: Iterable[T], total: int, what: str) -> Iterable[T]:
    """Pass items on under a progress bar on standard error."""
    with progress_bar() as bar:
        task = bar.add_task(what, total=total)
        for item in items:
            bar.advance(task)
            yield item


class Reporter:
    """Says how a function gets on, or nothing.

    Parameters
    ----------
    enabled
        Whether it says anything.
    """

    def __init__(self, enabled: bool = True) -> None:
        self.enabled = enabled

    def track(self, items: Iterable[T], total: int, what: str) -> Iterable[T]:
        """Pass items on under a progress bar."""
        return track(items, total, what) if self.enabled else items

    def log(self, line: str) -> None:
        """Print a line."""
        if self.enabled:
            messages.print(escape(printable(line)), soft_wrap=True)

    def warn(self, line: str) -> None:
        """Print a line that warns."""
        self._marked("[yellow]warning:[/]", line)

    def alarm(self, mark: str, line: str) -> None:
        """Print a line behind a mark that cannot be overlooked."""
        self._marked(f"[bold red]{escape(mark)}:[/]", line)

    def _marked(self, mark: str, line: str) -> None:
        if self.enabled:
            messages.print(f"{mark} {escape(printable(line))}", soft_wrap=True)

    @contextlib.contextmanager
    def training(self, what: str) -> Iterator[Callable[[Step], None]]:
        """Yield what shows a training: a bar of its steps, a line for each epoch."""
        with progress_bar() if self.enabled else Progress(disable=True) as bar:
            task = bar.add_task(what, total=None)

            def report(step: Step) -> None:
                bar.update(task, total=step.steps, completed=step.step)
                if step.validation is not None:
                    self.log(describe_epoch(what, step))

            yield report


def describe_epoch(what: str, step: Step) -> str:
    """Return a line on the end of an epoch: loss, and figures of validation images."""
    validation = step.validation or {}
    figures = ", ".join(f"{k} {v:.3f}" for k, v in validation.items())
    return (
        f"{what}: step {step.step}/{step.steps}, loss {step.loss:.3f}, "
        f"validation {figures or 'none'}"
    )
