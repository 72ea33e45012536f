"""Predicting many files from Python, here or on a cluster."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from busnet.batch import Outcome, collect, predict_files
from busnet.inference import Options
from busnet.lesions import Spacing
from busnet.model import DEFAULT, Model, load

__all__ = ["predict_many"]


def predict_many(
    paths: Iterable[str | os.PathLike[str]],
    *,
    model: Model | str | os.PathLike[str] = DEFAULT,
    client: Any = None,
    spacing: Spacing | None = None,
    crop: bool = True,
    jobs: int = 2,
) -> Iterator[Outcome]:
    """Yield the outcome of each image file, or of each of its frames, in order.

    A bad file does not stop the others: its outcome holds the error.

    Parameters
    ----------
    paths
        Files, folders, patterns such as ``scans/*.png``, and manifests (``.csv`` with
        a column ``image``, or ``.txt`` with a path a line).
    model
        A model, or what :func:`busnet.load` takes.
    client
        A ``distributed.Client``: its cluster's workers predict. They need busnet, and
        must find the files under the same paths.
    spacing, crop
        See :meth:`Model.predict`.
    jobs
        Threads that read files while the network computes, without a client.

    Raises
    ------
    MissingImageError
        If a path does not exist.
    DataError
        If a manifest cannot be read.
    ImageValueError
        If the spacing is not two positive numbers.
    """
    options = Options(spacing, crop)
    sources = collect(map(Path, paths))
    loaded = model if isinstance(model, Model) else load(model)
    if client is None:
        return predict_files(loaded, sources, options=options, jobs=jobs)
    from busnet.batch import dask as distributed

    return distributed.outcomes(client, loaded, sources, options)
