"""Evaluations end to end: the guard, files, reports, pictures, the commands."""

import csv
import io
import json
import re

import numpy as np
import pytest
from helpers import run
from random_weights import save_random

import busnet
from busnet.data import CLASSES, READERS
from busnet.errors import DataError, LeakError
from busnet.evaluation.evaluation import evaluate, read_evaluation
from busnet.evaluation.leakage import check_unseen, default_fold
from busnet.evaluation.report import render, worst_cases
from busnet.evaluation.scores import Scores, score_cases
from busnet.networks import get_network

ROW = get_network("resnet18", channels=1)


@pytest.fixture(scope="module")
def scored(model, phantoms_own):
    return Scores(score_cases(model, READERS["custom"](phantoms_own)))


def test_scores_are_the_predictions(model, phantoms_own, scored):
    cases = READERS["custom"](phantoms_own)
    assert [case.name for case in scored] == [case.name for case in cases]
    for case, score in zip(cases, scored, strict=True):
        result = model.predict(case.image)
        assert score.probabilities == pytest.approx(
            tuple(result.probabilities.values())
        )
        truth = case.read_mask()
        both, total = (truth & result.mask).sum(), truth.sum() + result.mask.sum()
        assert score.dice == pytest.approx(2 * both / total if total else 1.0)
        assert score.area == pytest.approx(truth.mean())
        assert score.lesion == (case.label != "normal")


def test_changes_reach_the_network(model, phantoms_own, scored):
    cases = READERS["custom"](phantoms_own)
    changed = Scores(
        score_cases(model, cases, change=lambda pixels, mask, i: (1 - pixels, mask))
    )
    assert not np.allclose(changed.probabilities, scored.probabilities)


def test_an_evaluation_survives_its_file(model, scored, tmp_path):
    made = evaluate(
        model.info, scored, model="random", name="custom", fold=None, bootstrap=20
    )
    path = tmp_path / "e.json"
    path.write_text(made.to_json())
    read = read_evaluation(path)
    assert list(read.scores) == list(made.scores)
    for name, interval in made.figures.items():
        got = read.figures[name]
        assert got.value == pytest.approx(interval.value, abs=1e-6, nan_ok=True)
    assert json.loads(path.read_text())["leaky"] is False
    for text in ("{", "[]", "{}", '{"cases": 1}'):
        path.write_text(text)
        with pytest.raises(DataError, match=r"e\.json"):
            read_evaluation(path)
    with pytest.raises(DataError, match="none"):
        read_evaluation(tmp_path / "none.json")


def test_the_report_is_whole_and_needs_nothing_beside_it(model, phantoms_own, scored):
    made = evaluate(
        model.info, scored, model="<b>x</b>", name="custom", fold=None, bootstrap=20
    )
    text = render(made, model, READERS["custom"](phantoms_own))
    assert text.count("<img") == 5 + 9
    assert len(re.findall(r"src='(?!data:)", text)) == 0
    assert "http" not in text
    assert "<b>x</b>" not in text
    assert "For research use only" in text
    assert "LEAKY" not in text
    for name in made.figures:
        assert f"<td>{name}</td>" in text
    assert len(worst_cases(made)) == 9


def info(**provenance):
    from random_weights import random_info

    return random_info(ROW, provenance=provenance)


def test_the_guard_refuses_what_was_trained_on():
    held = info(
        protocol="busi-group5",
        fold=2,
        start={"protocol": "busbra-patient5", "fold": None, "start": "ImageNet"},
    )
    assert default_fold(held, "busi-group5") == 2
    assert default_fold(held, "busi-clean") == 2
    assert check_unseen(held, "busi-group5", 2) == ""
    assert check_unseen(held, "busi-clean", 2) == ""
    assert check_unseen(held, "custom", None) == ""
    for protocol, fold in (
        ("busi-group5", 1),
        ("busi-group5", None),
        ("busi-random5", 2),
        ("busbra-patient5", 0),
    ):
        with pytest.raises(LeakError, match="too good to be true"):
            check_unseen(held, protocol, fold)
        assert check_unseen(held, protocol, fold, allow_leak=True)
    assert check_unseen(info(data="elsewhere"), "busi-group5", None) == ""
    with pytest.raises(LeakError, match="LEAKY"):
        check_unseen(info(data="elsewhere"), "busi-random5", 0)


def test_evaluate_command(phantoms_own, tmp_path, weights_file):
    out = {form: tmp_path / f"out.{form}" for form in ("html", "json", "csv")}
    common = (
        "evaluate",
        "--data",
        phantoms_own,
        "--protocol",
        "custom",
        "--model",
        weights_file,
        "--bootstrap",
        "20",
    )
    done = run(
        *common, "--report", out["html"], "--json", out["json"], "--csv", out["csv"]
    )
    assert "malignant AUC" in done.stdout
    assert "For research use only" in " ".join(done.stdout.split())
    assert "<html" in out["html"].read_text()
    table = list(csv.DictReader(io.StringIO(out["csv"].read_text())))
    assert len(table) == 9
    assert {row["label"] for row in table} == set(CLASSES)
    done = run(*common, "--against", out["json"])
    assert "less" in done.stdout
    done = run("compare", out["json"], out["json"], "--bootstrap", "20")
    assert "0.000 [0.000, 0.000]" in done.stdout


def test_evaluate_command_marks_leaks(busi, tmp_path):
    path = save_random(
        tmp_path / "w.safetensors",
        ROW,
        provenance={"protocol": "busi-group5", "fold": 1},
    )
    common = ("evaluate", "--data", busi, "--model", path, "--bootstrap", "10")
    refused = run(*common, "--fold", "0", check=1)
    assert "too good to be true" in " ".join(refused.stderr.split())
    report = tmp_path / "r.html"
    allowed = run(*common, "--fold", "0", "--allow-leak", "--report", report)
    assert "LEAKY" in allowed.stdout
    assert "class='leaky'" in report.read_text()


def test_own_tables(phantoms_own, tmp_path):
    table = phantoms_own / "table.csv"
    table.write_text(
        "image,label,mask,group,fold\n"
        "normal/case 0.png,normal,,p1,0\n"
        "benign/case 1.png,benign,benign/case 1_mask.png,p2,1\n"
    )
    first, second = READERS["custom"](table)
    assert (first.masks, first.group, first.fold) == ((), "p1", 0)
    assert (len(second.masks), second.group, second.fold) == (1, "p2", 1)
    for text, fact in (
        ("image\nx.png\n", "'label'"),
        ("image,label\nnormal/case 0.png,odd\n", "line 2.*'odd'"),
        ("image,label\nnone.png,normal\n", r"line 2.*none\.png"),
        ("image,label,fold\nnormal/case 0.png,normal,x\n", "line 2.*'x'"),
        ("image,label\n", "no images"),
    ):
        table.write_text(text)
        with pytest.raises(DataError, match=fact):
            READERS["custom"](table)
    table.unlink()
    with pytest.raises(DataError, match="no such file"):
        READERS["custom"](tmp_path / "none.csv")
    with pytest.raises(DataError, match="no images"):
        READERS["custom"](tmp_path)


def test_cases_without_masks_are_classified(model, phantoms_own, tmp_path):
    table = phantoms_own / "bare.csv"
    table.write_text(
        "image,label\nmalignant/case 2.png,malignant\nbenign/case 1.png,benign\n"
    )
    scores = Scores(score_cases(model, READERS["custom"](table)))
    table.unlink()
    assert scores.classifies
    assert not scores.segments
    made = evaluate(
        model.info, scores, model="m", name="custom", fold=None, bootstrap=10
    )
    assert "Dice" not in made.figures
    assert "accuracy" in made.figures


@pytest.mark.parametrize("head", ["class", "mask"])
def test_models_of_one_task(phantoms_own, tmp_path, head):
    row = get_network("resnet18", channels=1, heads=(head,))
    model = busnet.load(save_random(tmp_path / "w.safetensors", row))
    scores = Scores(score_cases(model, READERS["custom"](phantoms_own)))
    made = evaluate(
        model.info, scores, model="m", name="custom", fold=None, bootstrap=10
    )
    assert ("accuracy" in made.figures) == (head == "class")
    assert ("Dice" in made.figures) == (head == "mask")
    assert "<img" in render(made, model, READERS["custom"](phantoms_own))
