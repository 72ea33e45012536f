"""Predicting many files: which ones, one bad file among them, and what is written."""

from busnet.batch.gallery import write_gallery
from busnet.batch.journal import Journal
from busnet.batch.outcomes import (
    Outcome,
    describe,
    predict_files,
    record_all,
    summarise,
)
from busnet.batch.outputs import Outputs
from busnet.batch.sources import Source, collect
from busnet.batch.table import FORMATS, Table

__all__ = [
    "FORMATS",
    "Journal",
    "Outcome",
    "Outputs",
    "Source",
    "Table",
    "collect",
    "describe",
    "predict_files",
    "record_all",
    "summarise",
    "write_gallery",
]
