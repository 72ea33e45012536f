"""The examples of the documentation and of README, executed as they are written."""

import re
import subprocess
import sys

import pytest
from helpers import ROOT
from pages import BLOCK, pages, run_page


@pytest.mark.parametrize("page", pages(training=False), ids=lambda page: page.stem)
def test_examples_run(page, tmp_path):
    run_page(page, tmp_path)


def test_readme_says_what_it_prints():
    text = (ROOT / "README.md").read_text()
    (kind, code) = next(b for b in BLOCK.findall(text) if b[0] == "python")
    (shown,) = re.findall(r"^prints\n\n```\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert kind == "python"
    assert done.stdout == shown
