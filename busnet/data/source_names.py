"""Names of sources: those of published data sets, and how people spell the others."""

from __future__ import annotations

import re
import unicodedata

from busnet.data.cases import CLASSES, LESION_CLASSES
from busnet.errors import DataError

__all__ = ["LABELS", "PUBLISHED", "check_name", "plain_name"]

#: The classes that each published data set has, by its name.
LABELS = {
    "busi": CLASSES,
    "busbra": LESION_CLASSES,
    "busuclm": CLASSES,
    "brest": CLASSES,
}

#: Data sets that are the same wherever they lie, so that their name says what was seen.
PUBLISHED = frozenset(LABELS)


def plain_name(name: str) -> str:
    """Return what is the same in all spellings of a name: ``Hosp_A`` and ``hosp a``."""
    plain = unicodedata.normalize("NFKC", name).casefold()
    return re.sub(r"[\s_.-]+", "-", plain).strip("-")


def check_name(name: str) -> None:
    """Refuse another spelling of a published data set's name, such as ``BUS-BRA``.

    Models that were trained on it would not be recognised.

    Raises
    ------
    DataError
        If it is one.
    """
    plain = plain_name(name).replace("-", "")
    if plain in PUBLISHED and name != plain:
        raise DataError(
            f"the source {name!r} is a published data set, which is called {plain!r} "
            f"here; give a hospital that is called so another name"
        )
