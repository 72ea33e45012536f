"""The check of names and phrases that the project gave up."""

import importlib.util

import pytest
from helpers import ROOT


@pytest.fixture(scope="module")
def vocabulary():
    path = ROOT / "tools" / "check_vocabulary.py"
    spec = importlib.util.spec_from_file_location("check_vocabulary", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("name", "text", "lines"),
    [
        ("a.py", "import x\nx.in_order()  # sweep\n", [2]),
        ("a.c", "/* in_order\n*/ int in_order;\nint y; // sweep", [2]),
        ("a.md", "They go by\nturns.\n\nBoth go by\tturns.\n", [1, 4]),
        ("a.py", "in_orders = 'in_order'\n", []),
    ],
)
def test_given_up_words_are_named_with_their_line(
    vocabulary, tmp_path, name, text, lines
):
    path = tmp_path / name
    path.write_text(text)
    messages = vocabulary.check(path)
    assert [int(m.split(":")[1]) for m in messages] == lines
    assert all(m.startswith(f"{path}:") and "say " in m for m in messages)
