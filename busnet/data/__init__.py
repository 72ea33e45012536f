"""Readers of breast-ultrasound data sets, and splits that keep duplicates together."""

from busnet.data.busbra import read_busbra
from busnet.data.busi import read_busi
from busnet.data.busuclm import read_busuclm
from busnet.data.cases import CLASSES, Case
from busnet.data.custom import read_custom
from busnet.data.protocols import (
    PROTOCOLS,
    Fold,
    Protocol,
    default_protocol,
    get_protocol,
)
from busnet.data.sources import READERS, parse_sources, read_sources, recognise
from busnet.data.splits import Split, split

__all__ = [
    "CLASSES",
    "PROTOCOLS",
    "READERS",
    "Case",
    "Fold",
    "Protocol",
    "Split",
    "default_protocol",
    "get_protocol",
    "parse_sources",
    "read_busbra",
    "read_busi",
    "read_busuclm",
    "read_custom",
    "read_sources",
    "recognise",
    "split",
]
