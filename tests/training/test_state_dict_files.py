"""Files of PyTorch: which state dict is read from them, and what is refused."""

import argparse
import concurrent.futures
import os
import pickle
import threading
import time
import zipfile

import numpy as np
import pytest
import torch
from torch_resnets import random_resnet

from busnet.errors import WeightsError
from busnet.state_dicts import read_state_dict


@pytest.mark.parametrize("key", ["state_dict", "model", "model_state_dict"])
def test_checkpoints_hold_a_state_dict_beside_other_things(tmp_path, key):
    state = {"bn1.weight": torch.rand(3), "bn1.num_batches_tracked": torch.tensor(5)}
    path = tmp_path / "last.pth.tar"
    others = {"epoch": 3, "best": 0.5, "args": argparse.Namespace(lr=0.1)}
    torch.save({key: state, "optimizer": {"state": {}}, **others}, path)
    arrays = read_state_dict(path)
    assert list(arrays) == ["bn1.weight"]
    np.testing.assert_array_equal(arrays["bn1.weight"], state["bn1.weight"])


@pytest.mark.parametrize(
    ("key", "others"),
    [
        # As pytorch/examples/imagenet saves them, and PyTorch's tutorial.
        ("state_dict", {"best_acc1": torch.tensor(71.5), "arch": "resnet18"}),
        ("model_state_dict", {"loss": torch.tensor(0.25), "epoch": 5}),
        ("best", {"loss": torch.tensor(0.25), "ema_decay": torch.tensor([0.9])}),
        ("model", {"class_weights": {"benign": torch.tensor(2.0)}}),
    ],
)
def test_tensors_beside_a_state_dict_are_no_part_of_it(tmp_path, key, others):
    network = random_resnet("resnet18")
    optimizer = torch.optim.SGD(network.parameters(), 0.1, momentum=0.9)
    path = tmp_path / "checkpoint.pth.tar"
    content = {key: network.state_dict(), "optimizer": optimizer.state_dict(), **others}
    torch.save(content, path)
    arrays = read_state_dict(path)
    assert arrays.keys().isdisjoint(others)
    np.testing.assert_array_equal(arrays["fc.bias"], network.fc.bias.detach().numpy())
    assert "layer4.1.conv2.weight" in arrays
    torch.save({**network.state_dict(), "config": {"lr": torch.tensor(0.1)}}, path)
    with pytest.raises(WeightsError, match="config: it is dict, not floating point"):
        read_state_dict(path)


def test_threads_that_read_at_once_leave_pytorchs_list_as_it_was(tmp_path):
    path = tmp_path / "best.pth"
    torch.save(
        {"state_dict": {"bn1.weight": torch.rand(3)}, "a": np.float64(0.5)}, path
    )
    before = set(torch.serialization.get_safe_globals())
    start = threading.Barrier(8)

    def read(_):
        start.wait()
        return [[*read_state_dict(path)] for _ in range(20)]

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        for keys in pool.map(read, range(8)):
            assert keys == [["bn1.weight"]] * 20
    assert set(torch.serialization.get_safe_globals()) == before
    with pytest.raises(pickle.UnpicklingError, match="scalar"):
        torch.load(path, weights_only=True)


def test_one_file_is_read_at_a_time(tmp_path, monkeypatch):
    """Two at once would restore each other's list of what may be read."""
    path = tmp_path / "best.pth"
    torch.save({"bn1.weight": torch.rand(3)}, path)
    load, inside, overlaps = torch.load, [], []

    def slow_load(*arguments, **options):
        inside.append(1)
        overlaps.append(len(inside))
        time.sleep(0.05)
        inside.pop()
        return load(*arguments, **options)

    monkeypatch.setattr(torch, "load", slow_load)
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        list(pool.map(read_state_dict, [path] * 4))
    assert overlaps == [1] * 4


def replace_in_pickle(path, old, new):
    """Write a file of torch.save again with other text in its pickle."""
    with zipfile.ZipFile(path) as file:
        members = {name: file.read(name) for name in file.namelist()}
    with zipfile.ZipFile(path, "w") as file:
        for name, data in members.items():
            is_pickle = name.endswith("data.pkl")
            assert not is_pickle or old in data
            file.writestr(name, data.replace(old, new) if is_pickle else data)


def test_checkpoints_may_hold_numpys_scalars(tmp_path):
    path = tmp_path / "best.pth"
    state = {"bn1.weight": torch.rand(3)}
    others = {
        "best_acc": np.float64(0.5), "epoch": np.int64(3), "done": np.bool_(True),
        "half": np.float16(1), "name": np.str_("a"), "dtype": np.dtype(np.float32),
        "history": [np.float32(0.1), np.float32(0.2)],
    }  # fmt: skip
    torch.save({"state_dict": state, **others}, path)
    expected = state["bn1.weight"].numpy()
    np.testing.assert_array_equal(read_state_dict(path)["bn1.weight"], expected)
    # As NumPy 1 names the module.
    module = np.float64(0).__reduce__()[0].__module__.encode()
    replace_in_pickle(path, b"c" + module, b"cnumpy.core.multiarray")
    np.testing.assert_array_equal(read_state_dict(path)["bn1.weight"], expected)
    torch.save({**state, "best": np.float64(0.5)}, path)
    with pytest.raises(WeightsError, match="best: it is scalar, not floating point"):
        read_state_dict(path)


def test_what_the_caller_lets_pytorch_read_stays_so(tmp_path):
    """NumPy's own classes are a known remedy; they clash with the stand-ins."""
    path = tmp_path / "best.pth"
    state = {"bn1.weight": torch.rand(3)}
    torch.save({"state_dict": state, "best_acc": np.float64(0.5)}, path)
    scalar = np.float64(0).__reduce__()[0]
    allowed = [
        argparse.Namespace, np.dtype, scalar, (scalar, "numpy.core.multiarray.scalar"),
    ]  # fmt: skip
    with torch.serialization.safe_globals(allowed):
        before = set(torch.serialization.get_safe_globals())
        assert [*read_state_dict(path)] == ["bn1.weight"]
        assert set(torch.serialization.get_safe_globals()) == before


class Hostile:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def test_files_that_execute_code_are_refused(tmp_path):
    path, trap = tmp_path / "evil.pth", tmp_path / "trap"
    state = random_resnet("resnet18").state_dict()
    torch.save({"state_dict": state, "hook": Hostile(trap)}, path)
    with pytest.raises(WeightsError, match=r"evil.pth.*execute code, \S*mkdir"):
        read_state_dict(path)
    assert not trap.exists()
    torch.save(random_resnet("resnet18"), path)
    with pytest.raises(WeightsError, match=r"execute code.*save the state dict alone"):
        read_state_dict(path)


@pytest.mark.parametrize(
    ("content", "match"),
    [
        ({"epoch": 3}, "holds no state dict, but epoch"),
        ([1, 2], "holds a list"),
        ({}, "holds no state dict, but nothing"),
        ({"model": {"a": torch.ones(1)}, "model_ema": {"a": torch.ones(1)}}, "several"),
        (
            {
                "state_dict": {"fc.weight": torch.ones(1)},
                "ema_state_dict": {"layer1.0.conv1.weight": torch.ones(1)},
            },
            "several state dicts, state_dict and ema_state_dict",
        ),
        ({"a": torch.ones(1).to_sparse()}, "a: it is no array: .* Sparse"),
        ({"a": torch.ones(1), "steps": torch.ones(1, dtype=torch.int64)}, "int64"),
    ],
)
def test_files_without_a_state_dict_are_refused(tmp_path, content, match):
    path = tmp_path / "file.pth"
    torch.save(content, path)
    with pytest.raises(WeightsError, match=match):
        read_state_dict(path)


@pytest.mark.parametrize("content", [b"", b"hello", b"PK\3\4" + bytes(50)])
def test_damaged_files_are_refused(tmp_path, content):
    path = tmp_path / "file.pth"
    path.write_bytes(content)
    with pytest.raises(WeightsError, match=r"file.pth: it is not a whole file"):
        read_state_dict(path)


def test_a_state_dict_under_a_name_of_ones_own(tmp_path):
    network = random_resnet("resnet18")
    torch.save({"best": network.state_dict(), "epoch": 3}, tmp_path / "file.pth")
    arrays = read_state_dict(tmp_path / "file.pth")
    assert (arrays["fc.bias"] == network.fc.bias.detach().numpy()).all()
