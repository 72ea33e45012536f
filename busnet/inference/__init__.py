"""From pictures to results: placements, forward passes, what their outputs mean."""

from busnet.inference.decode import Fields, decode
from busnet.inference.ensemble_info import EnsembleInfo, PredictorInfo
from busnet.inference.options import Options
from busnet.inference.pipeline import Computed, pipeline
from busnet.inference.views import check_prior, heads_of, results

__all__ = [
    "Computed",
    "EnsembleInfo",
    "Fields",
    "Options",
    "PredictorInfo",
    "check_prior",
    "decode",
    "heads_of",
    "pipeline",
    "results",
]
