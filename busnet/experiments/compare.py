"""Comparing two evaluations in one call."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from busnet.errors import requires_extra

if TYPE_CHECKING:
    from busnet.evaluation.comparison import Comparison
    from busnet.evaluation.evaluation import Evaluation

__all__ = ["compare"]


def compare(
    first: Evaluation | str | os.PathLike[str],
    second: Evaluation | str | os.PathLike[str],
    *,
    bootstrap: int = 1000,
    seed: int = 0,
) -> Comparison:
    """Compare two evaluations of the same cases, paired, as ``busnet compare`` does.

    Where one of the models classifies benign and malignant alone, class figures are
    among lesions, and the notes say what that means for the other.

    Parameters
    ----------
    first, second
        What :func:`busnet.evaluate` returned, or JSON files of ``busnet evaluate
        --json``.
    bootstrap, seed
        Number of bootstrap draws and their seed.

    Returns
    -------
    Comparison
        Its ``differences`` are the figures of the second minus those of the first, with
        95 % intervals, by name; a notebook shows them.

    Raises
    ------
    MissingExtraError
        If scikit-learn is not installed.
    DataError
        If a file cannot be read, the two are not of the same cases, or only one is a
        macro average.
    """
    with requires_extra("evaluate"):
        from busnet.evaluation.comparison import compare_evaluations
        from busnet.evaluation.documents import read_evaluation
    ours, theirs = (
        read_evaluation(e) if isinstance(e, str | os.PathLike) else e
        for e in (first, second)
    )
    return compare_evaluations(ours, theirs, bootstrap=bootstrap, seed=seed)
