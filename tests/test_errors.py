"""The exceptions: their bases, and the extras that are missing."""

import importlib

import pytest

import busnet
from busnet import errors
from busnet.errors import requires_extra


def test_all_are_busnets_and_of_a_builtin():
    for name in errors.__all__:
        error = getattr(errors, name)
        if isinstance(error, type):
            assert issubclass(error, busnet.BusnetError), name
            builtin = [b for b in error.__mro__ if b.__module__ == "builtins"]
            assert builtin[0] is not Exception or name in ("BusnetError", "ImageError")


def test_a_failed_import_names_the_extra():
    with (
        pytest.raises(busnet.MissingExtraError, match=r"busnet\[onnx\]'.*no_such"),
        requires_extra("onnx"),
    ):
        importlib.import_module("no_such_module")


def test_the_innermost_extra_is_named():
    with (
        pytest.raises(busnet.MissingExtraError, match=r"busnet\[dicom\]"),
        requires_extra("onnx"),
        requires_extra("dicom"),
    ):
        importlib.import_module("no_such_module")


def test_other_errors_and_good_imports_pass():
    with requires_extra("onnx"):
        importlib.import_module("json")
    with pytest.raises(KeyError), requires_extra("onnx"):
        raise KeyError
