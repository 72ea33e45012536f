"""The examples of the documentation that need PyTorch or ONNX, executed."""

import pytest
from pages import pages, run_page


@pytest.mark.parametrize("page", pages(training=True), ids=lambda page: page.stem)
def test_examples_run(page, tmp_path):
    run_page(page, tmp_path)
