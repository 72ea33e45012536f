"""Evaluating in one call."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from busnet.data import DataLike
from busnet.errors import requires_extra
from busnet.experiments.progress import Reporter
from busnet.inference.predictor import Predictor
from busnet.model import load

if TYPE_CHECKING:
    from busnet.evaluation.evaluation import Evaluation
    from busnet.inference.ensemble import ModelLike

__all__ = ["evaluate"]


def evaluate(
    model: ModelLike,
    data: DataLike,
    *,
    protocol: str | None = None,
    fold: int | str | None = None,
    precision: str = "f32",
    allow_leak: bool = False,
    prior: Mapping[str, float] | None = None,
    bootstrap: int = 1000,
    seed: int = 0,
    name: str = "",
    progress: bool = True,
) -> Evaluation:
    """Measure a model on labelled images, as ``busnet evaluate`` does.

    Class figures of a model that classifies benign and malignant alone are among
    lesions: normal images are left out of them, and the notes say how many.

    Parameters
    ----------
    model
        A model or an ensemble, or what :func:`busnet.load` takes.
    data
        What :func:`busnet.data.read_data` takes: folder or table of a data set, several
        of them, cases, or a data frame.
    protocol
        How the data is used, a name of :data:`busnet.data.PROTOCOLS`; by default it
        follows from the data and the model.
    fold
        What is evaluated: a fold or, by the protocol ``hospitals``, the source that was
        left out of the training. By default what the model's training held out, or all
        cases where it held out nothing of this data.
    precision
        See :func:`busnet.load`; of a model that is loaded already it is that one's.
    allow_leak
        Whether cases that the model was trained on may be evaluated; the evaluation
        then says so.
    prior
        Class shares of the cohort by class name, where they differ from those that
        training assumed; see :meth:`busnet.Model.predict`.
    bootstrap, seed
        Number of bootstrap draws and their seed.
    name
        What the model is called; by default its own name.
    progress
        Whether standard error, or the notebook, shows progress.

    Returns
    -------
    Evaluation
        Its ``figures`` are figures with 95 % intervals by name; a notebook shows them.
        ``report(path)`` writes the HTML report.

    Raises
    ------
    MissingExtraError
        If scikit-learn, SciPy or matplotlib is not installed.
    WeightsError, ModelError
        If the model cannot be loaded.
    DataError
        If the data, the protocol or the fold cannot be used, no case can be read, or
        the model's classes are neither those of busnet nor benign and malignant.
    LeakError
        If the model was trained on some of the cases and that is not allowed.
    """
    with requires_extra("evaluate"):
        from busnet.evaluation import evaluation
    loaded = model if isinstance(model, Predictor) else load(model, precision=precision)
    if not name:
        kind = "" if loaded.precision == "f32" else f" in {loaded.precision}"
        name = loaded.name + kind
    return evaluation.evaluate(
        loaded,
        data,
        protocol=protocol,
        fold=fold,
        allow_leak=allow_leak,
        prior=prior,
        bootstrap=bootstrap,
        seed=seed,
        name=name,
        track=Reporter(progress).track,
    )
