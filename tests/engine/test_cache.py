"""The cache of packed weights: the same bits, never stale, safe to delete."""

import contextlib
import functools
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from random_weights import random_images, save_random

import busnet
from busnet import _core
from busnet.engine import cache, session
from busnet.engine.file_state import FileState
from busnet.networks import get_network
from busnet.quantization import quantize

IMAGES = random_images((1, 64, 64, 1))


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Let the cache lie in a folder of its own, and return it."""
    monkeypatch.setenv(cache.VARIABLE, str(tmp_path / "cache"))
    return tmp_path / "cache" / "busnet"


@pytest.fixture
def source(weights_file, tmp_path):
    path = tmp_path / "model.safetensors"
    shutil.copyfile(weights_file, path)
    return path


def models(folder):
    return list(folder.iterdir())


def files(folder):
    return {path: path.stat().st_size for path in folder.glob("*/*")}


@contextlib.contextmanager
def arrays_unread(monkeypatch):
    """Let who reads arrays of a file fail."""
    with monkeypatch.context() as patch:
        patch.setattr(session, "read_stored", lambda *_, **__: pytest.fail("read"))
        yield


def fake_model(folder, name, sizes=(50,), age=0):
    """Write a model's folder as the cache would, last used some nanoseconds ago."""
    path = folder / f"{name}-{0:032x}"
    path.mkdir(parents=True)
    for number, size in enumerate(sizes):
        file = path / f"{number}-{number:016x}"
        file.write_bytes(b"busnet packed 1\0".ljust(size, b"\0")[:size])
        stamp = 10**18 - age - 10 * number
        os.utime(file, ns=(stamp, stamp))
    return path


def compute(path, images=IMAGES, **options):
    return busnet.load(path, **options).run(images)


def assert_same(got, expected):
    assert got.keys() == expected.keys()
    for name, array in expected.items():
        np.testing.assert_array_equal(got[name], array)


@pytest.mark.parametrize("precision", ["f32", "exact", "bf16", "int8"])
def test_a_second_load_needs_no_arrays(source, folder, precision, monkeypatch):
    if precision == "bf16" and not _core.engine()["bf16"]:
        pytest.skip("the CPU has no bfloat16")
    quantize(source, [IMAGES[0, ..., 0]], source)
    shutil.rmtree(folder)
    first = compute(source, precision=precision)
    assert len(models(folder)) == 1
    with arrays_unread(monkeypatch):
        second = busnet.load(source, precision=precision)
        for _ in range(12):  # until its memory is copied to huge pages
            assert_same(second.run(IMAGES), first)
        third = busnet.load(source, precision=precision)
        alone = third.run(IMAGES, outputs=["class"])
    np.testing.assert_array_equal(alone["class"], first["class"])
    # Another shape may need other layouts, which are packed then.
    shape = random_images((5, 96, 160, 1))
    monkeypatch.setenv(cache.VARIABLE, "off")
    expected = compute(source, shape, precision=precision)
    assert_same(third.run(shape), expected)
    assert_same(second.run(shape), expected)
    assert_same(second.run(IMAGES), first)


def test_other_weights_in_the_same_place_are_not_mixed_up(source, folder):
    before = compute(source)
    save_random(source, get_network("resnet18", channels=1), seed=5)
    after = compute(source)
    assert np.abs(after["class"] - before["class"]).max() > 1e-3
    assert len(models(folder)) == 2
    os.utime(source, ns=(1, 1))
    assert_same(compute(source), after)
    assert len(models(folder)) == 3


def test_a_copy_with_the_same_size_and_date_is_another_file(source, folder):
    other = save_random(
        source.with_name("b.safetensors"), get_network("resnet18", channels=1), seed=5
    )
    assert other.stat().st_size == source.stat().st_size
    expected = compute(other)
    before, first = source.stat(), compute(source)
    shutil.copyfile(other, source)
    os.utime(source, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert source.stat().st_mtime_ns == before.st_mtime_ns
    assert source.stat().st_ino == before.st_ino
    got = compute(source)
    assert_same(got, expected)
    assert np.abs(got["class"] - first["class"]).max() > 1e-3


def test_the_sample_of_the_content_tells_models_apart(source, tmp_path):
    other = tmp_path / "other.safetensors"
    assert cache.content_sample(source) == cache.content_sample(Path(source))
    data = bytearray(source.read_bytes())
    for place in (20, len(data) - 1, len(data) - 4000):  # header, last page
        changed = bytearray(data)
        changed[place] ^= 1
        other.write_bytes(changed)
        assert cache.content_sample(other) != cache.content_sample(source)
    save_random(other, get_network("resnet18", channels=1), seed=5)
    assert cache.content_sample(other) != cache.content_sample(source)
    other.write_bytes(b"\xff" * 100)  # no weights file: an error elsewhere
    assert len(cache.content_sample(other)) == 64


@pytest.mark.parametrize("place", ["file", "cache"])
def test_names_need_not_be_utf8(source, folder, place, monkeypatch):
    name = os.fsdecode(b"m\xff\xfe")
    expected = compute(source)
    if place == "file":
        source = source.rename(source.with_name(name + ".safetensors"))
    else:
        folder = folder.with_name(name) / "busnet"
        monkeypatch.setenv(cache.VARIABLE, str(folder.parent))
    assert_same(compute(source), expected)
    assert len(files(folder)) > 20
    with arrays_unread(monkeypatch):
        assert_same(compute(source), expected)


@pytest.mark.parametrize("harm", ["cut", "empty", "other"])
def test_damaged_files_are_made_anew(source, folder, harm):
    expected = compute(source)
    sizes = files(folder)
    assert len(sizes) > 20
    for path, size in sizes.items():
        if harm == "cut":
            os.truncate(path, size - 1)
        elif harm == "empty":
            path.write_bytes(b"")
        else:
            path.write_bytes(b"x" * size)
    assert_same(compute(source), expected)
    assert files(folder) == sizes
    assert_same(compute(source), expected)


def test_missing_blocks_are_made_anew(source, folder):
    expected = compute(source)
    blocks = [path for path in files(folder) if path.name != "vectors"]
    for block in blocks[::3]:
        block.unlink()
    assert_same(compute(source), expected)
    assert all(block.exists() for block in blocks)


def test_where_it_is_and_that_it_can_be_off(source, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv(cache.VARIABLE, raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert cache.folder() == tmp_path / ".cache" / "busnet"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")  # not valid, by its specification
    assert cache.folder() in (None, tmp_path / ".cache" / "busnet")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache.folder() == tmp_path / "xdg" / "busnet"
    for value in ("off", "OFF", "0"):
        monkeypatch.setenv(cache.VARIABLE, value)
        assert cache.folder() is None
        assert cache.model_folder(source, FileState.of(source), "f32") is None
        assert cache.size() == 0
        cache.prune()
    compute(source)
    assert not (tmp_path / "xdg").exists()


def test_what_cannot_be_written_is_not_kept(source, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("a file, no folder")
    expected = compute(source)
    monkeypatch.setenv(cache.VARIABLE, str(tmp_path / "file"))
    assert_same(compute(source), expected)
    monkeypatch.setenv(cache.VARIABLE, "/proc/nowhere")
    assert_same(compute(source), expected)


def test_the_oldest_go_first(folder):
    for age, name in enumerate(("new", "middle", "old")):
        fake_model(folder, name, (50, 50), age=100 * age)
    assert cache.size() == 300
    cache.prune(250)
    assert {path.name[:-33] for path in folder.iterdir()} == {"new", "middle"}
    cache.prune(0)
    assert cache.size() == 0
    assert list(folder.iterdir()) == []


def test_the_limit_holds_after_a_model_is_added(source, folder, monkeypatch):
    compute(source)
    (model,) = models(folder)
    size = cache.size()
    shutil.rmtree(model)
    old = fake_model(folder, "old", age=10**9)
    limited = functools.partial(cache.prune, size + 40)
    monkeypatch.setattr(cache, "prune", limited)
    compute(source)
    assert not old.exists()
    assert models(folder) == [model]
    assert cache.size() == size


def thesis(folder):
    """Write a folder of the user's with a name of its own."""
    path = folder / "thesis"
    path.mkdir(parents=True)
    (path / "scans.tar").write_bytes(bytes(5000))


def other_file(folder):
    (fake_model(folder, "a") / "scans.tar").write_bytes(b"busnet packed 1\0")


def other_content(folder):
    (fake_model(folder, "a") / "vectors").write_bytes(b"tar")


def folder_inside(folder):
    (fake_model(folder, "a") / f"1-{0:016x}").mkdir()


def link_inside(folder):
    target = folder.parent / "scans.tar"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(b"busnet packed 1\0")
    (fake_model(folder, "a") / "vectors").symlink_to(target)


def link_to_folder(folder):
    target = fake_model(folder.parent / "mine", "b")
    folder.mkdir(parents=True)
    (folder / target.name).symlink_to(target)


def file_like_a_model(folder):
    folder.mkdir(parents=True)
    (folder / f"a-{0:032x}").write_bytes(b"busnet packed 1\0")


def beside_the_cache(folder):
    fake_model(folder.parent, "a")


@pytest.mark.parametrize(
    "write",
    [
        thesis, other_file, other_content, folder_inside, link_inside, link_to_folder,
        file_like_a_model, beside_the_cache,
    ],
)  # fmt: skip
def test_what_is_not_the_caches_is_never_removed(folder, write):
    write(folder)
    before = {
        path: path.lstat().st_mtime_ns for path in sorted(folder.parent.rglob("*"))
    }
    own = fake_model(folder, "own", age=10**9)
    cache.prune(0)
    assert not own.exists()
    for path, stamp in before.items():
        assert path.is_dir() or path.lstat().st_mtime_ns == stamp


def test_files_that_were_cut_while_written_are_removed(folder):
    path = fake_model(folder, "own")
    (path / "vectors.aB3xY9").write_bytes(b"busnet")
    (path / f"12-{7:016x}.000000").write_bytes(b"")
    cache.prune(0)
    assert not path.exists()


def test_processes_at_the_same_time(source, folder):
    code = (
        "import sys, numpy as np, busnet; "
        "y = busnet.load(sys.argv[1]).run(np.full((1, 64, 64, 1), .5, np.float32)); "
        "print(y['class'].tobytes().hex())"
    )
    command = [sys.executable, "-c", code, str(source)]
    for _ in range(2):
        started = [
            subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
            for _ in range(4)
        ]
        answers = {process.communicate(timeout=120)[0] for process in started}
        assert all(process.returncode == 0 for process in started)
        assert len(answers) == 1
        assert len(models(folder)) == 1
        assert not [path for path in files(folder) if path.suffix]


def test_a_changed_model_is_reported(source, folder):
    compute(source)
    model = busnet.load(source)
    for path in files(folder):
        path.unlink()
    save_random(source, get_network("resnet18", channels=1), 96)
    with pytest.raises(busnet.WeightsError, match="changed meanwhile"):
        model.run(IMAGES)
    assert Path(source).exists()
