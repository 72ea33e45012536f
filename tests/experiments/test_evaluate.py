"""``busnet.evaluate`` and ``busnet.compare``: the same as the commands."""

import json
import re

import pytest
from helpers import call
from random_weights import save_random

import busnet
from busnet.networks import get_network

ROW = get_network("resnet18", channels=1)


@pytest.fixture(scope="module")
def evaluation(model, phantom_data):
    return busnet.evaluate(model, phantom_data, bootstrap=20, progress=False)


@pytest.fixture(scope="module")
def other(phantom_data, tmp_path_factory):
    path = tmp_path_factory.mktemp("other") / "other.safetensors"
    save_random(path, ROW, seed=1)
    return busnet.evaluate(path, phantom_data, bootstrap=20, progress=False)


def test_figures_are_those_of_the_command(
    evaluation, phantom_data, weights_file, tmp_path
):
    path = tmp_path / "e.json"
    call(
        *("evaluate", "--data", phantom_data, "--model", weights_file),
        *("--bootstrap", 20, "--json", path),
    )
    figures = json.loads(path.read_text())["figures"]
    assert set(figures) == set(evaluation.figures)
    for name, (value, low, high) in figures.items():
        interval = evaluation.figures[name]
        if value is not None:
            expected = pytest.approx((value, low, high), abs=1e-6)
            assert (interval.value, interval.low, interval.high) == expected
    again = busnet.compare(path, evaluation, bootstrap=20)
    assert str(again.differences["accuracy"]) == "0.000 [0.000, 0.000]"


def test_an_evaluation_shows_itself_and_reports(evaluation, tmp_path):
    html = evaluation._repr_html_()
    assert f"<td>accuracy</td><td>{evaluation.figures['accuracy']}</td>" in html
    assert "9 images in 9 groups" in html
    assert "For research use only" in html
    assert "not defined" not in html
    evaluation.report(tmp_path / "report.html")
    report = (tmp_path / "report.html").read_text()
    assert report.count("data:image/png;base64,") == 5 + 9  # plots and worst cases
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]


def test_a_comparison_shows_itself(evaluation, other):
    comparison = busnet.compare(evaluation, other, bootstrap=20)
    html = comparison._repr_html_()
    for name, interval in comparison.differences.items():
        if interval.excludes_zero:
            assert f"<td>{name}</td><td><b>{interval}</b></td>" in html
        elif interval.is_defined:
            assert f"<td>{name}</td><td>{interval}</td>" in html
    accuracy = [e.figures["accuracy"].value for e in (evaluation, other)]
    assert comparison.differences["accuracy"].value == pytest.approx(
        accuracy[1] - accuracy[0]
    )


def test_a_leak_is_refused_or_marked(phantom_data, tmp_path):
    """A model that says that it saw all of BUSI is asked for BUSI."""
    path = tmp_path / "m.safetensors"
    save_random(path, ROW, provenance={"protocol": "busi-group5", "fold": None})
    cases = [
        busnet.data.Case(
            f"{i}",
            p,
            label="benign",
            group=f"{i}",
            fold=0,
            source="busi",
            divisions={"busi-groups": 0},
        )
        for i, p in enumerate(phantom_data.glob("benign/*[0-9].png"))
    ]
    with pytest.raises(busnet.LeakError, match="was trained on all of busi"):
        busnet.evaluate(path, cases, progress=False)
    marked = busnet.evaluate(path, cases, allow_leak=True, bootstrap=20, progress=False)
    assert re.search(
        "LEAKY: the model was trained on all of busi", marked._repr_html_()
    )


def test_what_cannot_be_is_an_error(evaluation, model, phantom_data, tmp_path):
    with pytest.raises(busnet.MissingWeightsError, match=r"none.safetensors"):
        busnet.evaluate("none.safetensors", phantom_data)
    with pytest.raises(busnet.DataError, match="no such file"):
        busnet.evaluate(model, tmp_path / "none.csv")
    with pytest.raises(busnet.DataError, match="no protocol is called 'x'"):
        busnet.evaluate(model, phantom_data, protocol="x")
    with pytest.raises(busnet.DataError, match=r"none.json: no such file"):
        busnet.compare(evaluation, tmp_path / "none.json")
    fewer = busnet.evaluate(model, evaluation.cases[:8], bootstrap=20, progress=False)
    with pytest.raises(busnet.DataError, match="not of the same cases: 1 only in the"):
        busnet.compare(evaluation, fewer)
