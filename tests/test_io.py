"""Outputs are written whole or not at all."""

import errno
import os
import stat
import threading

import pytest

from busnet._io import atomic_write, check_target, locked, remove_partial_files
from busnet.errors import OutputError


def test_a_file_appears_whole(tmp_path):
    target = tmp_path / "new" / "out.txt"
    with atomic_write(target) as part:
        part.write_text("whole")
        assert not target.exists()
    assert target.read_text() == "whole"
    assert list(target.parent.iterdir()) == [target]
    mask = os.umask(0)
    os.umask(mask)
    assert stat.S_IMODE(target.stat().st_mode) == 0o666 & ~mask
    with atomic_write(target) as part:
        part.unlink()
        part.touch(0o600)
    assert stat.S_IMODE(target.stat().st_mode) == 0o666 & ~mask


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_on_an_error_the_old_file_stays(tmp_path, error):
    target = tmp_path / "out.txt"
    target.write_text("old")

    def write():
        with atomic_write(target) as part:
            part.write_text("half")
            raise error

    with pytest.raises(error):
        write()
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_what_a_killed_process_left_is_swept(tmp_path):
    others = [tmp_path / name for name in (".hidden", "a.png", ".a.png.settings")]
    for path in others:
        path.touch()
    (tmp_path / "masks").mkdir()
    for target in (tmp_path / "a.png", tmp_path / "masks" / "b.nii.gz"):
        child = os.fork()
        if child == 0:
            with atomic_write(target) as part:
                part.write_text("half")
                os._exit(0)  # as SIGKILL does, without cleaning up
        os.waitpid(child, 0)
    assert len(list(tmp_path.rglob("*"))) == 3 + 1 + 2
    remove_partial_files(tmp_path)
    assert sorted(tmp_path.iterdir()) == sorted([*others, tmp_path / "masks"])
    assert list((tmp_path / "masks").iterdir()) == []


def test_a_name_may_be_as_long_as_the_file_system_takes(tmp_path):
    target = tmp_path / ("x" * 251 + ".png")
    with atomic_write(target) as part:
        part.write_text("whole")
    assert target.read_text() == "whole"


def test_where_no_file_can_be_written_is_said_in_a_sentence(tmp_path, monkeypatch):
    file = tmp_path / "file"
    file.touch()
    (tmp_path / "locked").mkdir()
    monkeypatch.setattr(os, "access", lambda path, mode: path.name != "locked")
    before = sorted(tmp_path.iterdir())
    for target, reason, number in (
        (tmp_path, "it is a folder", errno.EISDIR),
        (file / "new" / "a.txt", f"{file} is a file, not a folder", errno.ENOTDIR),
        (tmp_path / "locked" / "new" / "a.txt", "is read-only", errno.EACCES),
        (tmp_path / ("x" * 300), "File name too long", errno.ENAMETOOLONG),
    ):
        with pytest.raises(OutputError, match=reason) as raised, atomic_write(target):
            pytest.fail("the block is not entered")
        assert str(raised.value).startswith(f"{target}: cannot be written: ")
        assert raised.value.errno == number
        with pytest.raises(OutputError, match=reason):
            check_target(target)
    assert sorted(tmp_path.iterdir()) == before
    check_target(tmp_path / "new" / "a.txt")
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize("is_folder", [False, True])
def test_a_lock_is_held_by_one_process(tmp_path, is_folder):
    path = tmp_path if is_folder else tmp_path / "x.lock"
    with locked(path, "busy"):
        child = os.fork()
        if child == 0:
            try:
                with locked(path, f"{path}: busy"):
                    os._exit(1)
            except OutputError as error:
                os._exit(0 if str(error) == f"{path}: busy" else 2)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    with locked(path, "busy"):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_lock_is_waited_for(tmp_path):
    """Whoever waits holds the lock of the new file, not that of the removed one."""
    path, order = tmp_path / "x.lock", []

    def wait():
        with locked(path, "busy", blocking=True):
            order.append(path.exists())

    thread = threading.Thread(target=wait)
    with locked(path, "busy"):
        thread.start()
        thread.join(0.1)
        assert order == []
    thread.join(30)
    assert order == [True]
    assert not path.exists()


def test_the_lock_of_another_is_not_removed(tmp_path):
    """It may be there where somebody removed the file of one's own."""
    path = tmp_path / "x.lock"
    with locked(path, "busy"):
        path.rename(tmp_path / "ours")
        path.touch()
    assert path.exists()


def test_a_lock_in_a_folder_that_is_not_there_is_an_error(tmp_path):
    with (
        pytest.raises(OutputError, match=r"x\.lock: cannot be written"),
        locked(tmp_path / "none" / "x.lock", "busy"),
    ):
        pass
