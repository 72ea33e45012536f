"""Errors of the build: one sentence, no traceback."""

import os
import subprocess
import sys

import pytest
from helpers import ROOT

pytest.importorskip("setuptools")


def build(tmp_path, **environment):
    command = [sys.executable, "setup.py", "-q", "build_ext"]
    command += ["--build-temp", tmp_path, "--build-lib", tmp_path]
    return subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("environment", "fact"),
    [
        ({"CC": "no-such-compiler"}, "no C compiler"),
        ({"BUSNET_ONEDNN_ROOT": "/no/such/folder"}, "/no/such/folder"),
    ],
)
def test_what_is_missing_is_named(tmp_path, environment, fact):
    done = build(tmp_path, **environment)
    assert done.returncode != 0
    assert "busnet cannot be built: " in done.stderr
    assert fact in done.stderr
    assert "Traceback" not in done.stderr


def test_an_old_onednn_is_refused(tmp_path):
    include = tmp_path / "root/include/oneapi/dnnl"
    include.mkdir(parents=True)
    (tmp_path / "root/lib").mkdir()
    (tmp_path / "root/lib/libdnnl.so.3").touch()
    (include / "dnnl.h").touch()
    (include / "dnnl_version.h").write_text(
        "#define DNNL_VERSION_MAJOR 2\n#define DNNL_VERSION_MINOR 6\n"
    )
    done = build(tmp_path / "build", BUSNET_ONEDNN_ROOT=str(tmp_path / "root"))
    assert done.returncode != 0
    assert "is oneDNN 2.6, needed is 3.2 or newer" in done.stderr
