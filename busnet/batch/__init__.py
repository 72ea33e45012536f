"""Predicting many files: finding them, passing over bad ones, writing outputs.

What a run writes (tables, pictures, galleries, its journal) is in modules of its own,
which only those who write import: ``import busnet`` need not wait for them.
"""

from busnet.batch.documents import describe, record_all, summarise
from busnet.batch.outcomes import Outcome, predict_files, read_first
from busnet.batch.sources import Selection, Source, collect

__all__ = [
    "Outcome",
    "Selection",
    "Source",
    "collect",
    "describe",
    "predict_files",
    "read_first",
    "record_all",
    "summarise",
]
