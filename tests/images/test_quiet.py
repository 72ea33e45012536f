"""Warnings of libraries are ignored, and those of others are not for good."""

import warnings

import pytest

from busnet.images.quiet import Quiet


def warn(module):
    warnings.warn_explicit("odd", UserWarning, "file.py", 1, module=module)


def test_only_a_modules_warnings_are_ignored():
    with Quiet("PIL"):
        warn("PIL.Image")
        with pytest.warns(UserWarning, match="odd"):
            warn("mine")
    with Quiet():
        warn("mine")


@pytest.mark.parametrize("modules", [("PIL", ""), ("", "PIL")])
def test_threads_that_overlap_leave_the_filters_as_they_were(modules):
    """As of one that reads DICOM and one that reads PNG."""
    before = list(warnings.filters)
    first, second = map(Quiet, modules)
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    warn("PIL.Image")
    second.__exit__(None, None, None)
    assert warnings.filters == before
