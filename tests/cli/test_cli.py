"""Commands that tell about the engine, and help."""

import pytest
from helpers import call

from busnet.networks import NETWORKS


def test_info(weights_file):
    text = call("info").stdout
    for word in ("oneDNN 3.", "instruction set", "threads", "For research use only"):
        assert word in text
    for name in NETWORKS:
        assert name in text
    text = call("info", "--network", "resnet18").stdout
    assert "layer1.0.conv1" in text
    assert "1000 classes" in text
    assert "11,689,512 parameters" in text
    text = call("info", "--plan", "--model", weights_file).stdout
    assert "layer4.1.conv2" in text
    assert "arena" in text
    text = call("info", "--model", weights_file).stdout
    assert "image size" in text
    assert "nothing, a random network" in text


def test_benchmark(weights_file):
    text = call("benchmark", "--model", weights_file, "--seconds", "0.2").stdout
    for word in ("predict", "classify", "segment", "images a second"):
        assert word in text


def test_help_carries_the_notice():
    text = " ".join(call("--help").stdout.split())
    assert "research use only" in text


@pytest.mark.parametrize(
    ("arguments", "fact"),
    [
        (["predict", ""], "an argument after predict is empty"),
        (["predict", "a.png", "--out", ""], "an argument after --out is empty"),
        (["predict", "a.png", "--out="], "--out is empty"),
        (["check", ""], "an argument after check is empty"),
        (["evaluate", "--data", "", "--protocol", "own"], "after --data is empty"),
    ],
)
def test_arguments_of_variables_that_are_not_set(
    tmp_path, monkeypatch, arguments, fact
):
    monkeypatch.chdir(tmp_path)
    done = call(*arguments, check=2)
    assert fact in done.stderr
    assert list(tmp_path.iterdir()) == []
