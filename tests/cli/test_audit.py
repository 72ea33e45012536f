"""``busnet audit``: near-duplicates, bad files among them."""

import numpy as np
import pytest
from helpers import call, rows, write_dicom
from PIL import Image

from busnet.data.phantom import phantom

GREY = phantom(120, 160, seed=1)[0]


@pytest.fixture
def folder(tmp_path):
    """Write an image, its copy in another folder, and another image."""
    root = tmp_path / "data"
    (root / "sub").mkdir(parents=True)
    Image.fromarray(GREY).save(root / "a.png")
    Image.fromarray(phantom(120, 160, seed=2)[0]).save(root / "b.png")
    Image.fromarray(GREY).resize((200, 150)).save(root / "sub" / "c, d.png")
    return root


def test_groups_can_be_joined_to_tables(folder, tmp_path, monkeypatch):
    """Paths are relative to the table's folder, as those of all tables are."""
    monkeypatch.chdir(tmp_path)
    for name in ("groups.csv", "data/groups.csv", "lists/groups.csv"):
        table = tmp_path / name
        done = call("audit", "data", "--groups", table)
        assert "1 pairs among 3 images, which are 2 scenes" in done.stderr
        groups = {row["image"]: row["group"] for row in rows(table.read_text())}
        assert len(groups) == 3
        for image in groups:
            assert (table.parent / image).is_file()
        listed = {
            (table.parent / image).resolve().name: group
            for image, group in groups.items()
        }
        assert listed["a.png"] == listed["c, d.png"] != listed["b.png"]


def test_bad_files_are_listed_and_the_others_done(folder, tmp_path):
    (folder / "broken.png").write_bytes(b"broken")
    table = tmp_path / "groups.csv"
    done = call("audit", folder, "--groups", table, check=1)
    assert "broken.png" in done.stderr
    assert "1 pairs among 3 images" in done.stderr
    assert len(rows(done.stdout)) == 1
    assert len(rows(table.read_text())) == 3


def test_of_clips_the_first_frame_is_compared(folder):
    pytest.importorskip("pydicom", reason="needs busnet[dicom]")
    write_dicom(folder / "clip.dcm", np.stack([GREY, GREY[::-1]]), "MONOCHROME2")
    done = call("audit", folder)
    assert "3 pairs among 4 images" in done.stderr


def test_masks_are_not_compared(tmp_path):
    """Masks resemble each other, and would join their images."""
    for seed in (1, 2):
        image, lesion = phantom(120, 160, seed=seed)
        for folder, pixels in (("images", image), ("masks", lesion)):
            (tmp_path / folder).mkdir(exist_ok=True)
            Image.fromarray(pixels).save(tmp_path / folder / f"{seed}.png")
    done = call("audit", tmp_path)
    assert "1 file skipped: 1 folders of masks" in done.stderr
    assert "0 pairs among 2 images, which are 2 scenes" in done.stderr


def test_several_folders_and_skipped_files(folder, tmp_path):
    (folder / "notes.txt").touch()
    done = call("audit", folder / "sub", folder / "a.png", folder)
    assert "1 pairs among 3 images" in done.stderr
    assert "files skipped" in done.stderr
    (tmp_path / "empty").mkdir()
    call("audit", tmp_path / "empty", check=2)
