"""Breast-ultrasound classification and segmentation with ResNets on CPU.

For research use only. Not a medical device; not cleared or approved by any regulator;
not for diagnosis or any clinical decision.
"""

from busnet.batch import Outcome
from busnet.batch.predict import predict_many
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
from busnet.lesions import Lesion
from busnet.model import Model, load
from busnet.results import Classification, Prediction, Segmentation
from busnet.version import __version__

__all__ = [
    "BusnetError",
    "CacheMissError",
    "Classification",
    "DataError",
    "EngineError",
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
    "classify",
    "get_threads",
    "load",
    "predict",
    "predict_many",
    "read_frames",
    "segment",
    "set_threads",
]
