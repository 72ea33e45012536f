"""Readers of breast-ultrasound data sets, and splits that keep duplicates together."""

from busnet.data.brest import read_brest
from busnet.data.busbra import read_busbra
from busnet.data.busi import read_busi
from busnet.data.busuclm import read_busuclm
from busnet.data.cases import (
    BENIGN_INDEX,
    CLASSES,
    LESION_CLASSES,
    MALIGNANT_INDEX,
    NORMAL_INDEX,
    Case,
    order_classes,
)
from busnet.data.checking import CheckReport, SourceCounts, check
from busnet.data.custom import read_custom
from busnet.data.findings import Finding, Listing
from busnet.data.folds import make_folds
from busnet.data.hashes import ContentHashes
from busnet.data.inputs import DataFrame, DataLike, read_data
from busnet.data.protocols import (
    PROTOCOLS,
    Fold,
    Protocol,
    default_protocol,
    get_protocol,
)
from busnet.data.screening import screen
from busnet.data.sources import (
    READERS,
    list_sources,
    parse_sources,
    read_sources,
    recognise,
)
from busnet.data.splits import Split, split

__all__ = [
    "BENIGN_INDEX",
    "CLASSES",
    "LESION_CLASSES",
    "MALIGNANT_INDEX",
    "NORMAL_INDEX",
    "PROTOCOLS",
    "READERS",
    "Case",
    "CheckReport",
    "ContentHashes",
    "DataFrame",
    "DataLike",
    "Finding",
    "Fold",
    "Listing",
    "Protocol",
    "SourceCounts",
    "Split",
    "check",
    "default_protocol",
    "get_protocol",
    "list_sources",
    "make_folds",
    "order_classes",
    "parse_sources",
    "read_brest",
    "read_busbra",
    "read_busi",
    "read_busuclm",
    "read_custom",
    "read_data",
    "read_sources",
    "recognise",
    "screen",
    "split",
]
