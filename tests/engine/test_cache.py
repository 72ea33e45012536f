"""The cache of packed weights: the same bits, never stale, safe to delete."""

import contextlib
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
from busnet.engine import cache
from busnet.networks import get_network
from busnet.quantization import quantize

IMAGES = random_images((1, 64, 64, 1))


@pytest.fixture
def folder(tmp_path, monkeypatch):
    folder = tmp_path / "cache"
    monkeypatch.setenv(cache.VARIABLE, str(folder))
    return folder


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
def arrays_spoiled(path):
    """Make NaN of a file's arrays, so that who reads them fails; its date stays."""
    data, before = path.read_bytes(), path.stat()
    header = 8 + int.from_bytes(data[:8], "little")

    def overwrite(arrays):
        with path.open("r+b") as file:
            file.seek(header)
            file.write(arrays)
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))

    overwrite(b"\xff" * (len(data) - header))
    try:
        yield
    finally:
        overwrite(data[header:])


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
    with arrays_spoiled(source):
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
        assert cache.model_folder(source, "f32") is None
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
        (folder / name).mkdir(parents=True)
        for part, later in (("a", 0), ("b", 10)):
            (folder / name / part).write_bytes(bytes(50))
            stamp = 10**18 - 100 * age + later
            os.utime(folder / name / part, ns=(stamp, stamp))
    assert cache.size() == 300
    cache.prune(250)
    assert {path.name for path in folder.iterdir()} == {"new", "middle"}
    cache.prune(0)
    assert cache.size() == 0


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
