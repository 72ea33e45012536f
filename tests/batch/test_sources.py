"""Which files are taken, which are skipped and why, and what outputs are called."""

import os
import time

import pytest
from PIL import Image

from busnet.batch import collect
from busnet.data.phantom import phantom
from busnet.errors import DataError, MissingImageError
from busnet.images.names import JOURNAL, RECORD


def touch(root, *names):
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def names(selection):
    return [source.name for source in selection.sources]


def files(selection, root):
    return [source.path.relative_to(root).as_posix() for source in selection.sources]


@pytest.fixture
def folder(tmp_path):
    """Three images, one in a subfolder."""
    root = tmp_path / "in"
    touch(root, "a.png", "b.png", "sub/c.png")
    return root


def test_patterns(folder):
    assert names(collect([folder / "*.png"])) == ["a", "b"]
    assert names(collect([folder / "**" / "*.png"])) == ["a", "b", "sub/c"]
    with pytest.raises(MissingImageError, match=r"\*\.bmp"):
        collect([folder / "*.bmp"])
    # A name may look like a pattern and be a file.
    odd = folder / "x[1].png"
    (folder / "a.png").rename(odd)
    assert [s.path for s in collect([odd]).sources] == [odd]
    # Folders that match are searched, as if the shell had named them.
    assert names(collect([folder / "s*"])) == ["sub/c"]


def test_manifests(folder):
    table = folder / "list.csv"
    table.write_text(
        "patient,image\n1,sub/c.png\n2,\n3,a.png\n4,no.png\n5,../in/b.png\n"
    )
    selection = collect([table])
    assert names(selection) == ["sub/c", "a", "no", "b"]
    assert files(selection, folder)[:2] == ["sub/c.png", "a.png"]
    assert all(source.named for source in selection.sources)
    lines = folder / "list.txt"
    lines.write_text(f"a.png\n\n{folder / 'sub' / 'c.png'}\n")
    assert names(collect([lines])) == ["a", "sub/c"]
    table.write_text("file\na.png\n")
    with pytest.raises(DataError, match=r"list\.csv.*image"):
        collect([table])
    table.write_bytes(b"\xff\xfe\x00image")
    with pytest.raises(DataError, match=r"list\.csv"):
        collect([table])


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("list.csv", "\ufeffImage;patient\r\na.png;1\r\n\r\nsub/c.png;2\r\n".encode()),
        ("list.tsv", b"patient\tIMAGE\n1\ta.png\n2\tsub/c.png\n"),
        ("list.csv", "image\na.png\nsub/c.png\n".encode("utf-16")),
        ("list.txt", "a.png\r\nsub/c.png\r\n".encode("utf-16")),
        ("list.txt", "\ufeffa.png\nsub/c.png".encode()),
    ],
)
def test_manifests_as_spreadsheets_and_shells_write_them(folder, name, data):
    (folder / name).write_bytes(data)
    assert names(collect([folder / name])) == ["a", "sub/c"]


def test_a_manifest_of_other_folders_keeps_them_in_the_names(tmp_path):
    touch(tmp_path, "siteA/x.png", "siteB/x.png")
    table = tmp_path / "lists" / "list.txt"
    table.parent.mkdir()
    table.write_text("../siteA/x.png\n../siteB/x.png\n../siteB/x.png\n")
    selection = collect([table])
    assert names(selection) == ["siteA/x", "siteB/x"]
    assert selection.summary() == "1 file skipped: 1 named more than once"


def test_names_that_are_not_utf8_in_a_text_manifest(tmp_path):
    os.close(os.open(os.fsencode(tmp_path) + b"/caf\xe9.png", os.O_CREAT))
    (tmp_path / "list.txt").write_bytes(b"caf\xe9.png\n")
    (source,) = collect([tmp_path / "list.txt"]).sources
    assert source.path.exists()
    assert source.name == "caf%E9"


def test_missing_files_are_errors_only_if_nothing_exists(folder):
    assert names(collect([folder / "a.png", folder / "no.png"])) == ["a", "no"]
    with pytest.raises(MissingImageError, match=r"no\.png.*none: no such file"):
        collect([folder / "no.png", folder / "none"])


def test_folders_of_several_sites_stay_in_the_names(tmp_path):
    touch(tmp_path, "siteA/x.png", "siteB/x.png", "c/siteA/x.png", "siteA/2/y.png")
    sites = [tmp_path / "siteA", tmp_path / "siteB"]
    assert names(collect(sites)) == ["siteA/2/y", "siteA/x", "siteB/x"]
    assert names(collect(sites[:1])) == ["2/y", "x"]
    same = [tmp_path / "siteA", tmp_path / "c" / "siteA"]
    parent = tmp_path.name
    assert names(collect(same)) == [
        f"{parent}/siteA/2/y",
        f"{parent}/siteA/x",
        "c/siteA/x",
    ]
    assert names(collect([site / "x.png" for site in sites])) == ["siteA/x", "siteB/x"]
    assert names(collect([tmp_path / "site*"])) == ["siteA/2/y", "siteA/x", "siteB/x"]
    assert names(collect([tmp_path / "site*" / "*.png"])) == ["siteA/x", "siteB/x"]


def test_names_of_outputs_are_unique_and_the_same_in_any_order(tmp_path):
    touch(tmp_path, "x.png", "x.jpg", "y.png", "Z.png", "z.png", "z.jpg")
    selection = collect([tmp_path])
    by_file = {s.path.name: s.name for s in selection.sources}
    assert by_file["x.png"] == "x.png"
    assert by_file["x.jpg"] == "x.jpg"
    assert by_file["y.png"] == "y"
    folded = [name.casefold() for name in by_file.values()]
    assert len(set(folded)) == 6  # on a file system that ignores case, too
    order = [tmp_path / name for name in ("z.png", "y.png", "x.png", "x.jpg")]
    again = collect([*order, tmp_path / "Z.png", tmp_path / "z.jpg"])
    assert {s.path.name: s.name for s in again.sources} == by_file


def test_frames_and_stills_do_not_share_names(tmp_path):
    touch(tmp_path, "loop.dcm", "loop_frame0001.png", "other_frame0001.png")
    assert set(names(collect([tmp_path]))) == {
        "loop.dcm",
        "loop_frame0001.png",
        "other_frame0001",
    }


def test_folders_and_files_do_not_share_names(tmp_path):
    touch(tmp_path, "a.png", "a_mask.png/b.png")
    assert names(collect([tmp_path])) == ["a", "a_mask.png~/b"]


def test_long_names_leave_room_for_endings(tmp_path):
    long = ["ä" * 120 + ".png", "ä" * 119 + "o.png", "x" * 251 + ".png"]
    touch(tmp_path, *long)
    chosen = names(collect([tmp_path]))
    assert len(set(chosen)) == 3
    assert max(len(name.encode()) for name in chosen) <= 200


def test_a_file_is_taken_once(folder):
    selection = collect([folder, folder / "a.png", folder / "sub", folder / "*.png"])
    assert names(selection) == ["a", "b", "sub/c"]
    assert selection.skipped == {
        "folders that are read already": 1,
        "named more than once": 3,
    }


def test_what_is_skipped_is_counted_by_reason(tmp_path):
    touch(
        tmp_path,
        *("a.png", "b.webp", "c.GIF", "d.jp2", "x_masked_2.png", "e.tiff"),
        *("a_mask.png", "a_mask_1.png", "a_Mask.png"),
        *("._a.png", ".hidden/b.png", "notes.txt", "Thumbs.db"),
    )
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "gone.png").symlink_to(tmp_path / "nowhere.png")
    selection = collect([tmp_path])
    assert set(files(selection, tmp_path)) == {
        *("a.png", "b.webp", "c.GIF", "d.jp2", "e.tiff", "gone.png"),
        "x_masked_2.png",
    }
    assert selection.skipped == {
        "masks by their name": 3,
        "hidden": 2,
        "not images by their ending": 2,
        "not regular files": 1,
    }
    assert selection.summary().startswith("8 files skipped: 3 masks by their name, ")


def test_a_pattern_for_names_decides_alone(tmp_path):
    touch(tmp_path, "a_mask.png", "a.png", "b.dat")
    selection = collect([tmp_path], "*_mask.png")
    assert names(selection) == ["a_mask"]
    assert selection.skipped == {"not matching the pattern": 2}


def test_linked_folders_are_followed_once(tmp_path):
    root, other = tmp_path / "in", tmp_path / "other"
    touch(root, "a.png", "sub/b.png")
    touch(other, "c.png")
    (other / "back").symlink_to(root)
    (root / "link").symlink_to(other)
    (root / "loop").symlink_to(root)
    (root / "same").symlink_to(root / "sub")
    selection = collect([root])
    assert names(selection) == ["a", "link/c", "sub/b"]
    assert selection.skipped == {"folders that are read already": 3}


def test_a_folder_that_cannot_be_read_is_named(tmp_path, monkeypatch):
    touch(tmp_path, "a.png", "locked/b.png")
    scandir = os.scandir

    def refuse(path):
        if os.fspath(path).endswith("locked"):
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    selection = collect([tmp_path])
    assert names(selection) == ["a"]
    assert selection.unreadable == (tmp_path / "locked",)
    assert "1 folders that cannot be read" in selection.summary()
    assert "locked" in selection.summary()


def test_what_lies_in_the_output_folder_is_no_input(tmp_path):
    touch(tmp_path, "a.png", "res/overlays/a_overlay.png", "res/b.png", "c.png")
    out = tmp_path / "res"
    assert names(collect([tmp_path], output=out)) == ["a", "c"]
    # Nor is it by a link, from either side.
    (tmp_path / "link").symlink_to(out / "overlays")
    (tmp_path / "picture.png").symlink_to(out / "overlays" / "a_overlay.png")
    (tmp_path / "elsewhere").symlink_to(out)
    for output in (out, tmp_path / "elsewhere"):
        selection = collect([tmp_path], output=output)
        assert names(selection) == ["a", "c"]
        assert sum(selection.skipped.values()) >= 3
    every = collect([tmp_path / "**" / "*.png"], output=out)
    assert "res/overlays/a_overlay" not in names(every)
    assert names(collect([out / "overlays"], output=out)) == []


def test_an_input_may_lie_in_the_output_folder(tmp_path):
    touch(tmp_path, "scans/a.png", "masks/a_mask.png", "overlays/a_overlay.png")
    assert names(collect([tmp_path / "scans"], output=tmp_path)) == ["a"]
    assert names(collect([tmp_path], output=tmp_path)) == ["scans/a"]
    assert names(collect([tmp_path / "scans/a.png"], output=tmp_path)) == ["a"]


@pytest.mark.parametrize("mark", [RECORD, JOURNAL])
def test_outputs_of_an_earlier_run_are_no_input(tmp_path, mark):
    """Also of one that was stopped, which leaves its journal."""
    touch(tmp_path, "a.png", f"old/{mark}", "old/overlays/a_overlay.png")
    touch(tmp_path, "set/overlays/b.png")
    (tmp_path / "link").symlink_to(tmp_path / "old" / "overlays")
    selection = collect([tmp_path], output=tmp_path / "new")
    assert names(selection) == ["a", "set/overlays/b"]
    assert selection.skipped["outputs of an earlier run"] == 2
    selection = collect([tmp_path / "**" / "*.png"])
    assert names(selection) == ["a", "set/overlays/b"]
    named = collect([tmp_path / "old" / "overlays" / "*.png"])
    assert names(named) == ["a_overlay"]


def test_folders_of_masks_are_no_input(tmp_path):
    touch(tmp_path, "images/a.png", "masks/a.png", "p1/GT/b.png", "p1/b.png")
    touch(tmp_path, "c1/image.png", "c1/mask.png", "p1/b_mask (1).png")
    selection = collect([tmp_path])
    assert names(selection) == ["c1/image", "images/a", "p1/b"]
    assert selection.skipped == {"folders of masks": 2, "masks by their name": 2}
    # One that is named is searched, and a pattern decides alone.
    assert names(collect([tmp_path / "masks"])) == ["a"]
    assert "masks/a" in names(collect([tmp_path], "*.png"))


def test_images_that_are_called_as_masks_are(tmp_path):
    """A person's initials can be GT, and a task can be called segmentation."""
    touch(tmp_path, "scan_GT_1.png", "scan_AB_1.png", "a.jpg", "a_gt.png")
    touch(tmp_path, "segmentation/images/b.png", "segmentation/masks/b.png")
    selection = collect([tmp_path])
    expected = ["a", "scan_AB_1", "scan_GT_1", "segmentation/images/b"]
    assert names(selection) == expected
    assert selection.skipped == {"folders of masks": 1, "masks by their name": 1}


def test_dicom_is_known_by_its_mark(tmp_path):
    for name in ("IM0001", "1.2.840.55", "scan.ima", "README"):
        mark = b"" if name == "README" else b"\0" * 128 + b"DICM"
        (tmp_path / name).write_bytes(mark)
    assert set(names(collect([tmp_path]))) == {"IM0001", "1.2.840.55", "scan"}


def test_numbers_sort_by_value(tmp_path):
    touch(tmp_path, "b (10).png", "b (2).png", "B (3).png", "a.png")
    assert names(collect([tmp_path])) == ["a", "b (2)", "B (3)", "b (10)"]


def test_an_empty_path_is_not_the_working_directory(folder, monkeypatch):
    monkeypatch.chdir(folder)
    for paths in ([""], [folder, ""]):
        with pytest.raises(MissingImageError, match="a path is empty"):
            collect(paths)


def test_odd_arguments_are_clear_errors(tmp_path):
    for odd in ("\0", "x" * 5000, "*" * 300, ""):
        with pytest.raises(MissingImageError):
            collect([tmp_path / odd / "none"])


@pytest.mark.parametrize("count", [2_000, 20_000])
def test_many_files_take_time_by_their_number(tmp_path, count):
    root = tmp_path / "in"
    root.mkdir()
    for i in range(count):
        os.close(os.open(root / f"{i}.png", os.O_CREAT))
    start = time.process_time()
    assert len(collect([root]).sources) == count
    paths = [root / f"{i}.png" for i in range(count)]
    assert len(collect(paths).sources) == count
    assert time.process_time() - start < 1e-3 * count


def test_images_are_found_as_they_are_written(tmp_path):
    Image.fromarray(phantom(20, 20)[0]).save(tmp_path / "x.jp2")
    assert names(collect([tmp_path])) == ["x"]
