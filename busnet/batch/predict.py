"""Predicting many files from Python, here or on a cluster."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from busnet.batch import Outcome, collect, predict_files
from busnet.errors import ImageTypeError
from busnet.images.arrays import check_value_range
from busnet.inference import Options
from busnet.inference.ensemble import ModelLike
from busnet.inference.predictor import Predictor
from busnet.lesions import Spacing
from busnet.model import load
from busnet.models import DEFAULT

__all__ = ["MAX_JOBS", "predict_many"]

#: Maximum number of threads that read files.
MAX_JOBS = 64


def predict_many(
    paths: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
    *,
    model: ModelLike = DEFAULT,
    client: Any = None,
    spacing: Spacing | None = None,
    value_range: tuple[float, float] | None = None,
    crop: bool = True,
    prior: Mapping[str, float] | None = None,
    jobs: int = 2,
) -> Iterator[Outcome]:
    """Yield the outcome of each image file, or of each of its frames, in order.

    A bad file does not stop the others: its outcome holds the error.

    Parameters
    ----------
    paths
        Files, folders, patterns such as ``scans/*.png``, and manifests (``.csv`` with
        a column ``image``, or ``.txt`` with a path a line); one of them, or several.
        A missing file is one of the failures, unless none of the paths exists.
    model
        A model or an ensemble, or what :func:`busnet.load` takes.
    client
        A ``distributed.Client``: its cluster's workers predict. They need busnet, and
        must find the files under the same paths.
    spacing, value_range, crop, prior
        See :meth:`Model.predict`.
    jobs
        Threads that read files while the network computes, without a client; 1 to 64.

    Raises
    ------
    MissingImageError
        If none of the paths exists.
    ImageTypeError
        If one is no path.
    ValueError
        If the number of threads is out of range.
    DataError
        If a manifest cannot be read.
    ModelError
        If the prior's numbers are no probabilities that add up to 1.
    ImageValueError
        If the spacing is not two positive numbers, or the value range not two numbers
        of which the lower is the first.
    """
    options = Options(spacing=spacing, crop=crop, prior=prior)
    value_range = check_value_range(value_range)
    if jobs not in range(1, MAX_JOBS + 1):
        raise ValueError(f"jobs is a number of threads in 1..{MAX_JOBS}, not {jobs!r}")
    several = [paths] if isinstance(paths, (str, os.PathLike)) else paths
    if isinstance(several, bytes) or not isinstance(several, Iterable):
        raise ImageTypeError(
            f"paths of images are expected, not {type(several).__name__}"
        )
    selection = collect(several)
    loaded = model if isinstance(model, Predictor) else load(model)
    if client is None:
        return predict_files(
            loaded,
            selection.sources,
            options=options,
            value_range=value_range,
            jobs=jobs,
        )
    from busnet.batch import dask

    return dask.outcomes(
        client, loaded, selection.sources, options, value_range=value_range
    )
