"""Breast-ultrasound classification and segmentation with ResNets on CPU.

For research use only. Not a medical device; not cleared or approved by any regulator;
not for diagnosis or any clinical decision.
"""

import importlib
from typing import TYPE_CHECKING

from busnet.default import classify, predict, segment
from busnet.engine.threads import get_threads, set_threads
from busnet.errors import (
    BusnetError,
    CacheMissError,
    DataError,
    EngineError,
    ImageError,
    ImageFileError,
    ImageTypeError,
    ImageValueError,
    LeakError,
    MissingExtraError,
    MissingImageError,
    MissingWeightsError,
    ModelError,
    OutputError,
    UnknownNetworkError,
    WeightsError,
    WorkerError,
)
from busnet.images import Picture, read_frames
from busnet.inference.ensemble import Ensemble
from busnet.lesions import Lesion
from busnet.model import Model, load
from busnet.results import Classification, Prediction, Segmentation

if TYPE_CHECKING:
    from busnet.batch import Outcome
    from busnet.batch.predict import predict_many
    from busnet.convert import from_torch
    from busnet.experiments.baselines import baselines
    from busnet.experiments.compare import compare
    from busnet.experiments.evaluate import evaluate
    from busnet.experiments.train import train
    from busnet.version import __version__

__all__ = [
    "BusnetError",
    "CacheMissError",
    "Classification",
    "DataError",
    "EngineError",
    "Ensemble",
    "ImageError",
    "ImageFileError",
    "ImageTypeError",
    "ImageValueError",
    "LeakError",
    "Lesion",
    "MissingExtraError",
    "MissingImageError",
    "MissingWeightsError",
    "Model",
    "ModelError",
    "Outcome",
    "OutputError",
    "Picture",
    "Prediction",
    "Segmentation",
    "UnknownNetworkError",
    "WeightsError",
    "WorkerError",
    "__version__",
    "baselines",
    "classify",
    "compare",
    "evaluate",
    "from_torch",
    "get_threads",
    "load",
    "predict",
    "predict_many",
    "read_frames",
    "segment",
    "set_threads",
    "train",
]

#: Names that are imported when they are first used, since most programs do not need
#: the modules behind them, which take long to import.
_LAZY = {
    "Outcome": "busnet.batch",
    "__version__": "busnet.version",
    "baselines": "busnet.experiments.baselines",
    "compare": "busnet.experiments.compare",
    "evaluate": "busnet.experiments.evaluate",
    "from_torch": "busnet.convert",
    "predict_many": "busnet.batch.predict",
    "train": "busnet.experiments.train",
}

if not TYPE_CHECKING:  # A checker shall not take every name for an attribute.

    def __getattr__(name):
        """Import the name where it is one of the lazy ones."""
        if name not in _LAZY:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = getattr(importlib.import_module(_LAZY[name]), name)
        globals()[name] = value
        return value

    def __dir__():
        """List the lazy names, too."""
        return sorted({*globals(), *__all__})
