"""Outputs are written whole or not at all."""

import os
import stat

import pytest

from busnet.files import whole_file


def test_a_file_appears_whole(tmp_path):
    target = tmp_path / "new" / "out.txt"
    with whole_file(target) as part:
        part.write_text("whole")
        assert not target.exists()
    assert target.read_text() == "whole"
    assert list(target.parent.iterdir()) == [target]
    mask = os.umask(0)
    os.umask(mask)
    assert stat.S_IMODE(target.stat().st_mode) == 0o666 & ~mask


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_on_an_error_the_old_file_stays(tmp_path, error):
    target = tmp_path / "out.txt"
    target.write_text("old")

    def write():
        with whole_file(target) as part:
            part.write_text("half")
            raise error

    with pytest.raises(error):
        write()
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]
