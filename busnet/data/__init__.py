"""Readers of breast-ultrasound data sets, and splits that keep duplicates together."""

from busnet.data.busbra import read_busbra
from busnet.data.busi import read_busi
from busnet.data.cases import CLASSES, Case
from busnet.data.splits import PROTOCOLS, Protocol, Split, protocol, split

__all__ = [
    "CLASSES",
    "PROTOCOLS",
    "Case",
    "Protocol",
    "Split",
    "protocol",
    "read_busbra",
    "read_busi",
    "split",
]
