"""Models of other packages, which these tests write into folders of sys.path."""

import importlib
import os
import pickle
import shutil
import subprocess
import sys

import pytest
from helpers import call

import busnet
from busnet.models import find_model, locate_model, shipped
from busnet.models.plugins import list_plugins


@pytest.fixture
def package(tmp_path, monkeypatch):
    """Return a function that installs a package with entry points and a module."""
    site = tmp_path / "site"
    site.mkdir()
    monkeypatch.syspath_prepend(str(site))
    modules = []

    def install(name, entry_points, code=""):
        info = site / f"{name}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n"
        )
        lines = [f"{key} = {value}" for key, value in entry_points.items()]
        (info / "entry_points.txt").write_text(
            "\n".join(["[busnet.models]", *lines, ""])
        )
        (site / f"{name}.py").write_text(code)
        modules.append(name)
        importlib.invalidate_caches()
        return site

    yield install
    for name in modules:
        sys.modules.pop(name, None)


def code(path):
    return (
        "import pathlib\n"
        f"FILE = {str(path)!r}\n"
        "def file():\n"
        "    return pathlib.Path(FILE)\n"
    )


def test_a_model_is_loaded_by_its_name(package, weights_file, model):
    package(
        "clinic", {"clinic18": "clinic:FILE", "same": "clinic:file"}, code(weights_file)
    )
    assert "clinic" not in sys.modules
    loaded = busnet.load("clinic18")
    assert loaded.info == model.info
    assert loaded.name == "clinic18"
    assert find_model("same") == weights_file
    copy = pickle.loads(pickle.dumps(loaded))
    assert (copy.name, copy.path) == ("clinic18", weights_file)


def test_the_name_is_pickled_not_the_path(package, weights_file, tmp_path):
    file = shutil.copy(weights_file, tmp_path / "before.safetensors")
    site = package("clinic", {"clinic18": "clinic:FILE"}, code(file))
    data = pickle.dumps(busnet.load("clinic18"))
    moved = shutil.move(file, tmp_path / "after.safetensors")
    (site / "clinic.py").write_text(code(moved))
    del sys.modules["clinic"]
    # The file's time may be the same: what was compiled of it must not be used.
    shutil.rmtree(site / "__pycache__", ignore_errors=True)
    importlib.invalidate_caches()
    assert pickle.loads(data).path == moved


def test_commands_take_the_name(package, weights_file, data_image):
    package("clinic", {"clinic18": "clinic:FILE"}, code(weights_file))
    done = call("predict", data_image, "--model", "clinic18", "--format", "json")
    assert '"network": "resnet18"' in done.stdout
    listed = call("info").stdout
    assert "model clinic18 (package clinic): normal, benign, malignant; 64 px" in listed


def test_names_and_paths_that_are_no_plugins_import_nothing(package, weights_file):
    package("clinic", {"clinic18": "clinic:FILE"}, "raise RuntimeError('imported')")
    assert find_model("resnet18") == shipped()["resnet18"]
    assert find_model(weights_file) == weights_file
    with pytest.raises(busnet.MissingWeightsError) as raised:
        busnet.load("nobody")
    assert "plug-ins have clinic18" in str(raised.value)
    assert [plugin.name for plugin in list_plugins()] == ["clinic18"]
    assert "clinic" not in sys.modules


def test_names_that_clash_are_refused(package, weights_file):
    package(
        "first", {"mine": "first:FILE", "resnet18": "first:FILE"}, code(weights_file)
    )
    package("second", {"mine": "second:FILE"}, code(weights_file))
    with pytest.raises(busnet.WeightsError, match="'mine': first, second"):
        busnet.load("mine")
    with pytest.raises(busnet.WeightsError, match="'resnet18': busnet, first"):
        busnet.load("resnet18")
    assert locate_model(shipped()["resnet18"]).name == "resnet18"
    assert find_model("mod_resnet101") == shipped()["mod_resnet101"]
    listed = call("info").stdout
    assert "model mine (package first): cannot be used: 2 packages" in listed


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("raise RuntimeError('no licence')", "RuntimeError: no licence"),
        ("FILE = '/no/such.safetensors'", "/no/such.safetensors: no such file"),
        ("FILE = 'here.safetensors'", "here.safetensors, which is not absolute"),
        ("FILE = {'a': 'b'}", "is of type dict, not the path of a file"),
        ("def FILE():\n    return 1 / 0", "ZeroDivisionError"),
        ("", "AttributeError"),
    ],
)
def test_a_broken_plugin_is_named_and_others_load(package, weights_file, text, message):
    package("broken", {"bad": "broken:FILE"}, text)
    package("clinic", {"clinic18": "clinic:FILE"}, code(weights_file))
    with pytest.raises(busnet.WeightsError) as raised:
        busnet.load("bad")
    assert "the model 'bad' of the package broken" in str(raised.value)
    assert message in str(raised.value)
    assert find_model("clinic18") == weights_file
    listed = call("info").stdout
    assert "model bad (package broken): cannot be used:" in listed
    assert "model clinic18 (package clinic): normal, benign, malignant" in listed
    failed = call("info", "--model", "bad", check=1)
    assert "of the package broken" in failed.stderr
    assert "Traceback" not in failed.stderr


def test_a_process_of_its_own_finds_the_model(package, weights_file, tmp_path):
    site = package("clinic", {"clinic18": "clinic:FILE"}, code(weights_file))
    done = subprocess.run(
        [sys.executable, "-c", "import busnet; print(busnet.load('clinic18').name)"],
        env={**os.environ, "PYTHONPATH": str(site)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "clinic18\n"


@pytest.fixture
def data_image(phantom_data):
    return phantom_data / "benign" / "case 1.png"
