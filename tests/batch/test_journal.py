"""What counts as done."""

import os

import pytest

from busnet.batch import Source
from busnet.batch.journal import Journal
from busnet.batch.text import encodable


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(b"image")
    return Source(path, "a")


@pytest.fixture
def out(tmp_path):
    folder = tmp_path / "out"
    (folder / "masks").mkdir(parents=True)
    (folder / "masks" / "a_mask.png").touch()
    return folder


SETTINGS = {"model": "x"}
DOCUMENTS = [{"file": "a.png", "label": "benign", "mask": "masks/a_mask.png"}]


def documents(source):
    """Return the documents as the table has them."""
    return [{**DOCUMENTS[0], "file": encodable(source.path)}]


def note(out, source, settings=SETTINGS):
    """Let a run that is stopped note that a file is done."""
    journal = Journal(out, settings)
    journal.begin(source)
    journal.add(source, DOCUMENTS)
    journal.close(finished=False)


def find(out, source, settings=SETTINGS):
    journal = Journal(out, settings)
    documents = journal.find(source)
    journal.close(finished=False)
    return documents


def test_what_is_done_is_found_again(out, source, monkeypatch):
    note(out, source)
    assert find(out, source) == documents(source)
    # From another folder, by another path, too, which the table then has.
    monkeypatch.chdir(source.path.parent)
    relative = Source(type(source.path)("a.png"), "a")
    assert find(out, relative) == documents(relative)
    assert find(out, relative)[0]["file"] == "a.png"


def test_a_changed_file_is_done_again(out, source):
    note(out, source)
    status = source.path.stat()
    source.path.write_bytes(b"IMAGE")  # same size, and as old as the other
    os.utime(source.path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert find(out, source) == []
    source.path.unlink()
    assert find(out, source) == []
    note(out, source)
    assert find(out, source) == []


def test_a_file_that_changes_while_it_is_computed_is_done_again(out, source):
    journal = Journal(out, SETTINGS)
    journal.begin(source)
    source.path.write_bytes(b"another image")
    journal.add(source, DOCUMENTS)
    journal.close(finished=False)
    assert find(out, source) == []


def test_other_settings_are_done_again_and_old_outputs_are_known(out, source):
    note(out, source)
    other = Journal(out, {"model": "y"})
    assert other.find(source) == []
    assert other.discarded == {"masks/a_mask.png"}
    assert other.begun == {"a"}
    other.close(finished=True)
    assert not (out / Journal.NAME).exists()


def test_another_name_or_a_missing_output_is_done_again(out, source):
    note(out, source)
    assert find(out, Source(source.path, "sub/a")) == []
    (out / "masks" / "a_mask.png").unlink()
    assert find(out, source) == []


@pytest.mark.parametrize("torn", ["{", '{"file": "b', "[]", "null", "\0\0", "\xff"])
def test_a_torn_line_ends_the_journal(out, source, torn):
    note(out, source)
    with (out / Journal.NAME).open("a", encoding="latin-1") as file:
        file.write(torn)
    assert find(out, source) == documents(source)


def test_names_of_any_kind(out, tmp_path):
    for name in ("caf\udce9.png", 'a"b,c\nd.png', "\u2028.png", "😀.png"):
        path = tmp_path / name
        path.touch()
        source = Source(path, "a")
        note(out, source)
        assert find(out, source) == documents(source)
