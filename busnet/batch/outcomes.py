"""What becomes of files: predictions or errors, in order, reading ahead."""

from __future__ import annotations

import collections
import dataclasses
import itertools
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from busnet._parallel import ordered_map
from busnet.batch.sources import Source
from busnet.errors import BusnetError
from busnet.images import Picture, read_frames
from busnet.inference import CHUNK, Options
from busnet.model import Model
from busnet.results import MALIGNANT, Prediction

__all__ = ["Outcome", "describe", "predict_files", "record_all", "summarise"]

#: What reading a file gave: a picture for each frame, or an error.
Read = Iterator["Picture | BusnetError"]


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What became of a file or a frame of it: a prediction or an error, never both."""

    source: Source
    prediction: Prediction | None = None
    error: BusnetError | None = None
    frame: int | None = None

    @property
    def name(self) -> str:
        """Name of the outputs, without ending."""
        if self.frame is None:
            return self.source.name
        return f"{self.source.name}_frame{self.frame:04}"


def predict_files(
    model: Model,
    sources: Iterable[Source],
    *,
    options: Options = Options(),  # noqa: B008  frozen
    jobs: int = 1,
) -> Iterator[Outcome]:
    """Yield the outcome of each file, or of each of its frames, in order.

    A bad file does not stop the others.

    Parameters
    ----------
    model
        What predicts.
    sources
        The files.
    options
        See :class:`busnet.inference.Options`.
    jobs
        Threads that read files while the network computes.
    """
    read: collections.deque[Outcome] = collections.deque()

    def pictures() -> Iterator[Picture]:
        for source, frames in ordered_map(
            _open, sources, threads=jobs, prefetch=CHUNK + jobs
        ):
            for item in frames:
                if isinstance(item, Picture):
                    read.append(Outcome(source, frame=item.frame))
                    yield item
                else:
                    read.append(Outcome(source, error=item))

    def failures() -> Iterator[Outcome]:
        while read and read[0].error is not None:
            yield read.popleft()

    for prediction in model.stream(pictures(), Prediction, options):
        yield from failures()
        yield dataclasses.replace(read.popleft(), prediction=prediction)
    yield from failures()


def _open(source: Source) -> Read:
    """Read a file's first frame; the others, of a cine loop, are read as they go."""

    def items() -> Read:
        try:
            yield from read_frames(source.path)
        except BusnetError as error:
            yield error

    found = items()
    return itertools.chain(list(itertools.islice(found, 1)), found)


def record_all(
    outcomes: Iterable[Outcome],
    record: Callable[[Outcome], dict[str, Any]],
    *,
    jobs: int = 1,
) -> Iterator[tuple[Source, list[dict[str, Any]]]]:
    """Yield each file with the documents of its frames, in order.

    A clip's summary stands behind its frames. What ``record`` raises is raised when
    the file's turn comes.

    Parameters
    ----------
    outcomes
        Of :func:`predict_files`.
    record
        Writes what is to be written of an outcome and returns its document.
    jobs
        Threads that record while the next outcomes are computed.
    """
    recorded = ordered_map(record, outcomes, threads=jobs, prefetch=CHUNK + jobs)
    for source, group in itertools.groupby(recorded, key=lambda item: item[0].source):
        documents = [document for _, document in group]
        if summary := summarise(documents):
            documents.append(summary)
        yield source, documents


def describe(outcome: Outcome) -> dict[str, Any]:
    """Return what became of a file as JSON holds it; its pixels are not in it."""
    if outcome.prediction is None:
        return {"file": os.fspath(outcome.source.path), "error": str(outcome.error)}
    document = {
        **outcome.prediction.as_dict(),
        "consistent": outcome.prediction.consistent,
    }
    if outcome.frame is not None:
        document["frame"] = outcome.frame
    return document


def summarise(documents: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    """Return the summary of a clip's frames, or None if they are of no clip.

    Its probabilities are the frames' means; it names the frame whose malignancy is the
    highest. Lesions are the frames' business.
    """
    frames = [d for d in documents if "frame" in d]
    if not frames:
        return None
    names = list(frames[0]["probabilities"])
    means = {
        name: sum(d["probabilities"][name] for d in frames) / len(frames)
        for name in names
    }
    summary: dict[str, Any] = {
        "file": frames[0]["file"],
        "frame": "clip",
        "frames": len(frames),
        "label": max(means, key=lambda name: means[name]),
        "probabilities": means,
    }
    if MALIGNANT in means:
        worst = max(frames, key=lambda d: d["probabilities"][MALIGNANT])
        summary["most_malignant_frame"] = worst["frame"]
        summary["highest_malignancy"] = worst["probabilities"][MALIGNANT]
    return summary
