"""Outputs that cannot be written are refused in a sentence, before any work."""

import pytest
from helpers import PHANTOM, call


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


def test_a_file_is_no_folder_for_predictions(tmp_path, weights_file):
    file = tmp_path / "file"
    file.touch()
    done = call("predict", PHANTOM, "--model", weights_file, "--out", file, check=1)
    assert f"{file} is a file, not a folder" in done.stderr.splitlines()[-1]
    assert "Errno" not in done.stderr
