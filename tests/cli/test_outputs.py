"""Outputs that would replace one another, or what a command reads, are refused."""

import shutil

import pytest
from helpers import PHANTOM, call


def refused(*arguments):
    """Run a command that must be refused as wrong usage; return its message."""
    done = call(*arguments, check=2)
    assert not done.stdout
    return done.stderr.splitlines()[-1]


@pytest.fixture
def table(tmp_path):
    """Write a table of one image."""
    shutil.copy(PHANTOM, tmp_path / "a.png")
    path = tmp_path / "own.csv"
    path.write_text("image,label\na.png,benign\n")
    return path


@pytest.mark.parametrize(
    "command",
    [
        ("evaluate", "--data", "{}", "--csv"),
        ("evaluate", "--data", "clinic={}", "--json"),
        ("evaluate", "--data", "none", "--model", "{}", "--report"),
        ("evaluate", "--data", "none", "--model", "resnet18,{}", "--figures"),
        ("evaluate", "--data", "none", "--against", "{}", "--json"),
        ("compare", "{}", "b.json", "--json"),
        ("compare", "a.json", "{}", "--json"),
        ("pool", "a.json", "{}", "--csv"),
        ("robustness", "--data", "{}", "--json"),
        ("check", "{}", "--json"),
        ("audit", "{}", "--groups"),
    ],
    ids=lambda words: f"{words[0]} {words[-1]}",
)
def test_a_file_that_is_read_is_not_replaced(command, table):
    before = table.read_text()
    line = refused(*(word.format(table) for word in command), table)
    option = command[-1]
    assert line == (
        f"error: {table}: {option} would replace a file that is read; name another"
    )
    assert table.read_text() == before


def test_an_audited_image_is_not_replaced(table):
    image = table.parent / "a.png"
    line = refused("audit", table.parent, "--groups", image)
    assert line.endswith("--groups would replace a file that is read; name another")
    assert image.read_bytes() == PHANTOM.read_bytes()


def test_the_same_file_by_another_path_is_not_replaced(table):
    other = table.parent / "link.csv"
    other.symlink_to(table)
    assert "would replace a file that is read" in refused(
        "check", table, "--json", other
    )
    hard = table.parent / "hard.csv"
    hard.hardlink_to(table)
    assert "would replace a file that is read" in refused(
        "check", table, "--json", hard
    )


@pytest.mark.parametrize(
    "command", [("evaluate", "--data", "none"), ("pool", "a", "b")]
)
def test_two_outputs_are_two_files(command, tmp_path):
    path = tmp_path / "out"
    same = tmp_path / "x" / ".." / "out"
    line = refused(*command, "--json", path, "--csv", same)
    assert line == (
        f"error: {same}: it is named for both --json and --csv, of which only one "
        f"would be left"
    )
    assert list(tmp_path.iterdir()) == []


def test_an_output_beside_the_images_is_fine(table):
    groups = table.parent / "groups.csv"
    call("audit", table.parent, "--groups", groups)
    call("audit", table.parent, "--groups", groups)
    assert groups.read_text().splitlines() == ["image,group", "a.png,0"]
