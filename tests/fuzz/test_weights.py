"""Weights files with any bytes changed are read, or refused with their name.

``make fuzz`` runs it with many more examples than the test suite does.
"""

import pytest
from damage import EDITS, END, SETTINGS, attempt, changed
from hypothesis import given
from hypothesis import strategies as st
from random_weights import save_random

import busnet
from busnet.data.phantom import phantom
from busnet.networks import get_network

GREY = phantom(20, 24)[0]


@pytest.fixture(scope="module")
def weights_bytes(tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "w.safetensors"
    row = get_network("resnet18", channels=1, heads=("class",))
    return save_random(path, row, image_size=32, eight_bit=True).read_bytes()


@SETTINGS
@given(edits=EDITS, end=END, head=st.booleans())
def test_weights(tmp_path, weights_bytes, edits, end, head):
    path = tmp_path / "w.safetensors"
    length = 8 + int.from_bytes(weights_bytes[:8], "little") if head else None
    content = changed(weights_bytes[:length], edits)
    content += weights_bytes[length:] if head else b""
    path.write_bytes(content[: int(end * len(content))])
    model, error = attempt(lambda: busnet.load(path))
    assert error is None or str(path) in str(error)
    if model is not None:
        assert model.classify(GREY).label in model.info.classes
