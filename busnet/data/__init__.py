"""Readers of breast-ultrasound data sets, and splits that keep duplicates together."""

from collections.abc import Callable
from pathlib import Path

from busnet.data.busbra import read_busbra
from busnet.data.busi import read_busi
from busnet.data.cases import CLASSES, Case
from busnet.data.custom import read_own
from busnet.data.splits import PROTOCOLS, Protocol, Split, protocol, split

__all__ = [
    "CLASSES",
    "PROTOCOLS",
    "READERS",
    "Case",
    "Protocol",
    "Split",
    "protocol",
    "read_busbra",
    "read_busi",
    "read_own",
    "split",
]

#: The reader for what :attr:`Protocol.data` names.
READERS: dict[str, Callable[[Path], list[Case]]] = {
    "busi": read_busi,
    "busbra": read_busbra,
    "own": read_own,
}
