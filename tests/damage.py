"""Files with any bytes changed, for the tests that read them."""

import os
import warnings

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

import busnet

EXAMPLES = int(os.environ.get("BUSNET_FUZZ_EXAMPLES", "25"))
SETTINGS = settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

#: Replacements of bytes, and the position where the file is cut off.
EDITS = st.lists(
    st.tuples(st.floats(0, 1), st.binary(min_size=1, max_size=8)), max_size=6
)
END = st.one_of(st.just(1.0), st.floats(0, 1))


def changed(data, edits, end=1.0):
    """Return data with some bytes replaced, cut off at a share of its length."""
    content = bytearray(data)
    for place, new in edits:
        at = int(place * len(content))
        content[at : at + len(new)] = new
    return bytes(content[: int(end * len(content))])


def attempt(reader):
    """Return what ``reader`` returns and None, or None and what busnet raises."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return reader(), None
        except busnet.BusnetError as error:
            return None, error
