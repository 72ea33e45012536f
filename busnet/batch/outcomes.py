"""What becomes of files: predictions or errors, in order, reading ahead."""

from __future__ import annotations

import collections
import dataclasses
import itertools
from collections.abc import Callable, Iterable, Iterator

from busnet._parallel import ordered_map
from busnet.batch.sources import Source
from busnet.errors import BusnetError, ImageFileError, NotAnUltrasoundImageError
from busnet.images import Picture, read_frames
from busnet.inference import Options
from busnet.inference.predictor import Predictor
from busnet.results import Classification, Prediction

__all__ = ["Outcome", "predict_files", "read_first"]

#: Files that are read before they are needed, beside those that threads are reading.
PREFETCH = 4

ValueRange = tuple[float, float]

#: What reading a file gives: a picture for each frame, or an error.
Frames = Iterator["Picture | BusnetError"]


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What became of a file or a frame of it: a result or an error, never both.

    A model without a mask head gives a classification, any other a prediction.
    """

    source: Source
    prediction: Prediction | None = None
    error: BusnetError | None = None
    frame: int | None = None
    classification: Classification | None = None

    @property
    def result(self) -> Classification | None:
        """The prediction or the classification; None if there was an error."""
        return self.prediction if self.prediction is not None else self.classification

    def with_result(self, result: Classification) -> Outcome:
        """Return the outcome with a result."""
        if isinstance(result, Prediction):
            return dataclasses.replace(self, prediction=result)
        return dataclasses.replace(self, classification=result)

    @property
    def name(self) -> str:
        """Name of the outputs, without ending."""
        if self.frame is None:
            return self.source.name
        return f"{self.source.name}_frame{self.frame:04}"

    @property
    def is_skipped(self) -> bool:
        """Whether the file was found in a folder and holds no ultrasound image."""
        wrong_kind = isinstance(self.error, NotAnUltrasoundImageError)
        return wrong_kind and not self.source.named


def predict_files(
    model: Predictor,
    sources: Iterable[Source],
    *,
    options: Options = Options(),  # noqa: B008  frozen
    value_range: ValueRange | None = None,
    jobs: int = 1,
) -> Iterator[Outcome]:
    """Yield the outcome of each file, or of each of its frames, in order.

    A bad file does not stop the others, whatever is wrong with it.

    Parameters
    ----------
    model
        What predicts.
    sources
        The files.
    options
        See :class:`busnet.inference.Options`.
    value_range
        What is black and what is white in the files; see
        :func:`busnet.images.read_image`.
    jobs
        Threads that read files while the network computes.
    """

    def read(source: Source) -> Frames:
        return _read(source, value_range)

    files = ordered_map(read, sources, threads=jobs, prefetch=PREFETCH + jobs)
    try:
        queue = _Queue(files)
        kind = Prediction if "mask" in model.info.heads else Classification
        while not queue.exhausted:
            predictions = model.stream(queue.pictures(), kind, options)
            try:
                yield from queue.outcomes(predictions)
            except Exception:
                if not queue.waiting:
                    raise
                # One of the pictures that wait is to blame: they are tried alone.
                yield from queue.outcomes_one_by_one(
                    lambda picture: next(model.stream([picture], kind, options))
                )
    finally:
        files.close()


def read_first(source: Source) -> Picture:
    """Read a file, of a clip the first frame.

    Raises
    ------
    BusnetError
        If it cannot be read, whatever is wrong with it; it names the file.
    """
    frame = next(_read(source, None))
    if isinstance(frame, Picture):
        return frame
    raise frame


class _Queue:
    """What was read and has no prediction yet, errors among it, in order."""

    def __init__(self, files: Iterator[tuple[Source, Frames]]) -> None:
        self.exhausted = False
        self._frames = ((source, frame) for source, frames in files for frame in frames)
        self.waiting: collections.deque[tuple[Outcome, Picture | None]] = (
            collections.deque()
        )

    def pictures(self) -> Iterator[Picture]:
        """Yield the pictures that can be read; they wait for their predictions."""
        for source, frame in self._frames:
            if isinstance(frame, Picture):
                self.waiting.append((Outcome(source, frame=frame.frame), frame))
                yield frame
            else:
                self.waiting.append((Outcome(source, error=frame), None))
        self.exhausted = True

    def outcomes(self, predictions: Iterable[Classification]) -> Iterator[Outcome]:
        """Yield what waits, with the predictions of its pictures."""
        for prediction in predictions:
            yield from self._errors()
            outcome, _ = self.waiting.popleft()
            yield outcome.with_result(prediction)
        yield from self._errors()

    def outcomes_one_by_one(
        self, predict: Callable[[Picture], Classification]
    ) -> Iterator[Outcome]:
        """Yield what waits; a picture that cannot be predicted becomes an error."""
        while self.waiting:
            outcome, picture = self.waiting.popleft()
            if picture is None:
                yield outcome
                continue
            try:
                prediction = predict(picture)
            except Exception as error:
                failed = Outcome(outcome.source, error=_named(outcome.source, error))
                yield dataclasses.replace(failed, frame=outcome.frame)
            else:
                yield outcome.with_result(prediction)

    def _errors(self) -> Iterator[Outcome]:
        while self.waiting and self.waiting[0][1] is None:
            yield self.waiting.popleft()[0]


def _read(source: Source, value_range: ValueRange | None) -> Frames:
    """Read a file's first frame; the others, of a clip, are read as they go."""

    def frames() -> Frames:
        try:
            yield from read_frames(source.path, value_range=value_range)
        except Exception as error:
            yield _named(source, error)

    rest = frames()
    return itertools.chain(list(itertools.islice(rest, 1)), rest)


def _named(source: Source, error: Exception) -> BusnetError:
    """Return an error of busnet that names the file."""
    if isinstance(error, BusnetError) and str(source.path) in str(error):
        return error
    reason = str(error) if isinstance(error, BusnetError) else _described(error)
    return ImageFileError(f"{source.path}: {reason}")


def _described(error: Exception) -> str:
    """Return type and message of an error that nobody foresaw."""
    message = str(error)
    return f"{type(error).__name__}: {message}" if message else type(error).__name__
