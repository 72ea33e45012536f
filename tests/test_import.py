"""Importing the package: what is imported with it, and its names."""

import subprocess
import sys

import pytest

import busnet

#: Modules that a notebook's first line does not wait for.
SLOW = {
    "busnet.batch",
    "busnet.data",
    "busnet.evaluation",
    "busnet.experiments",
    "busnet.training",
    "email",
    "importlib.resources",
    "jinja2",
    "matplotlib",
    "numpy.ma",
    "PIL.TiffImagePlugin",
    "platformdirs",
    "pydicom",
    "rich",
    "scipy",
    "sklearn",
    "torch",
    "typer",
}


def test_slow_modules_are_imported_when_they_are_used():
    program = (
        "import sys, busnet, numpy; busnet.read_frames(numpy.zeros((9, 9), 'u1'));"
        "print(*sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    modules = set(done.stdout.split())
    assert "busnet.model" in modules
    assert not modules & SLOW


def test_every_public_name_is_one():
    values = {name: getattr(busnet, name) for name in busnet.__all__}
    assert callable(values["predict_many"])
    assert values["Outcome"].__module__ == "busnet.batch.outcomes"
    assert set(busnet.__all__) <= set(dir(busnet))


def test_another_name_is_no_attribute():
    with pytest.raises(AttributeError, match="'busnet' has no attribute 'predcit'"):
        _ = busnet.predcit
