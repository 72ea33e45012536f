"""Predicting many files: which ones, one bad file among them, and what is written.

What a run writes (tables, pictures, galleries, its journal) is in modules of its own,
which only those who write import: ``import busnet`` need not wait for them.
"""

from busnet.batch.outcomes import (
    Outcome,
    describe,
    predict_files,
    record_all,
    summarise,
)
from busnet.batch.sources import Source, collect

__all__ = [
    "Outcome",
    "Source",
    "collect",
    "describe",
    "predict_files",
    "record_all",
    "summarise",
]
