"""Outputs that cannot be written are refused in a sentence, before any work."""

import os

import pytest
from helpers import PHANTOM, call

from busnet._io import write_text
from busnet.errors import OutputError


@pytest.mark.parametrize(
    "command",
    [
        ("convert", "theirs.safetensors", "--classes", "a,b", "--out"),
        ("quantize", PHANTOM, "--out"),
        ("train", "--data", "none", "--out"),
        ("evaluate", "--data", "none", "--json"),
        ("evaluate", "--data", "none", "--csv"),
        ("evaluate", "--data", "none", "--figures"),
        ("evaluate", "--data", "none", "--report"),
        ("compare", "a.json", "b.json", "--json"),
        ("pool", "a.json", "b.json", "--report"),
        ("robustness", "--data", "none", "--json"),
        ("check", "none", "--json"),
        ("audit", "none", "--groups"),
    ],
    ids=lambda words: f"{words[0]} {words[-1]}",
)
def test_a_folder_and_a_path_in_a_file_are_no_outputs(command, tmp_path):
    file = tmp_path / "file"
    file.touch()
    for target, reason in (
        (tmp_path, "it is a folder"),
        (file / "x.safetensors", f"{file} is a file, not a folder"),
    ):
        done = call(*command, target, check=2)
        expected = f"error: {target}: cannot be written: {reason}"
        assert done.stderr.splitlines()[-1] == expected
        assert not done.stdout
    assert list(tmp_path.iterdir()) == [file]


def test_a_device_or_a_pipe_is_no_output(tmp_path):
    """A file would take its place, of /dev/null for every program."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    done = call("check", "none", "--json", pipe, check=2)
    expected = f"error: {pipe}: cannot be written: it is a device or a pipe, not a file"
    assert done.stderr.splitlines()[-1] == expected
    assert pipe.is_fifo()
    with pytest.raises(OutputError, match="it is a device or a pipe"):
        write_text(pipe, "x")
    assert [*tmp_path.iterdir()] == [pipe]


def test_a_file_is_no_folder_for_predictions(tmp_path, weights_file):
    file = tmp_path / "file"
    file.touch()
    done = call("predict", PHANTOM, "--model", weights_file, "--out", file, check=1)
    assert f"{file} is a file, not a folder" in done.stderr.splitlines()[-1]
    assert "Errno" not in done.stderr
