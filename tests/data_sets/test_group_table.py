"""``groups.csv``: what it joins, where it lies, and what it contradicts."""

import pytest
from folders import ignored, listed, make

from busnet import errors
from busnet.data import list_sources, read_custom


def groups(root):
    return {name: group for name, (_, group, _) in listed(root).items()}


def test_a_table_above_a_folder_that_wraps_the_images(tmp_path):
    make(tmp_path, "inner/benign/a.png", "inner/benign/b.png", "inner/normal/c.png")
    (tmp_path / "groups.csv").write_text(
        "image,group\ninner/benign/a.png,1\ninner/benign/b.png,1\ninner/normal/c.png,2\n"
    )
    assert groups(tmp_path) == {
        "benign/a.png": "benign/a.png",
        "benign/b.png": "benign/a.png",
        "normal/c.png": "normal/c.png",
    }
    # A second table below has groups of its own.
    (tmp_path / "inner" / "groups.csv").write_text(
        "image,group\nbenign/b.png,2\nnormal/c.png,2\n"
    )
    assert set(groups(tmp_path).values()) == {"normal/c.png"}
    assert ignored(tmp_path) == {}


def test_a_table_among_the_images_is_not_used_and_said(tmp_path):
    make(tmp_path, "benign/a.png", "normal/b.png")
    (tmp_path / "benign" / "groups.csv").write_text("image,group\na.png,1\n")
    assert ignored(tmp_path) == {
        "1 file not used (tables of groups among the images)": ("benign/groups.csv",)
    }


def test_an_image_in_two_groups_is_an_error(tmp_path):
    make(tmp_path, "benign/a.png", "benign/b.png")
    table = tmp_path / "groups.csv"
    table.write_text("image,group\nbenign/a.png,7\n\nbenign/b.png,8\nbenign\\a.png,8\n")
    with pytest.raises(
        errors.DataError, match=r"groups\.csv: lines 2 and 5 put .*a\.png.*'7' and '8'"
    ):
        read_custom(tmp_path)
    table.write_text("image,group\nbenign/a.png,7\nbenign/a.png,7.0\nbenign/b.png,7\n")
    assert groups(tmp_path) == dict.fromkeys(groups(tmp_path), "benign/a.png")


def test_blank_groups_join_nothing(tmp_path):
    make(tmp_path, "benign/a.png", "benign/b.png", "benign/c.png")
    (tmp_path / "groups.csv").write_text(
        "image,group\nbenign/a.png,nan\nbenign/b.png,NaN\n,1\nbenign/c.png,1\n"
    )
    assert len(set(groups(tmp_path).values())) == 3
    (finding,) = list_sources({"x": tmp_path}).findings
    assert finding.subjects == ("benign/a.png", "benign/b.png")
