"""Evaluations as a whole: figures, counts, notes, files, reports, comparisons."""

import csv
import dataclasses
import io
import json
import math
import re
import shutil

import pytest
from evaluation_scores import random_scores
from helpers import ROOT
from PIL import Image
from random_weights import save_random

import busnet
from busnet.data import CLASSES, read_custom
from busnet.errors import DataError, LeakError, ModelError
from busnet.evaluation.comparison import compare_evaluations, pool_hospitals
from busnet.evaluation.documents import (
    cases_to_csv,
    comparison_to_json,
    evaluation_to_json,
    figures_to_csv,
    read_evaluation,
)
from busnet.evaluation.evaluation import Evaluation, evaluate
from busnet.evaluation.intervals import intervals
from busnet.evaluation.report import render_report, worst_cases
from busnet.evaluation.scores import Scores
from busnet.evaluation.scoring import score_cases
from busnet.evaluation.strata import compute_strata
from busnet.networks import get_network

ROW = get_network("resnet18", channels=1)


@pytest.fixture(scope="module")
def evaluation(model, phantom_data):
    return evaluate(model, phantom_data, bootstrap=20, name="<b>x</b>")


def made_up(scores, **fields):
    """Return an evaluation of scores that no model made."""
    facts = {
        "model": "m.safetensors",
        "network": "resnet18",
        "provenance": {"start": {"data": "ImageNet"}},
        "protocol": "hospitals",
        "fold": scores[0].source,
        "leak": "",
        "scores": scores,
        "figures": intervals(scores, count=20),
        "strata": compute_strata(scores, count=20),
    }
    return Evaluation(**{**facts, **fields})


def rows_of(text):
    return list(csv.DictReader(io.StringIO(text)))


def test_the_figures_are_those_of_the_scores(model, phantom_data, evaluation):
    scores = Scores(score_cases(model, read_custom(phantom_data)))
    assert list(evaluation.scores) == list(scores)
    assert evaluation.protocol == "custom"
    assert evaluation.network == "resnet18"
    expected = intervals(scores, count=20)
    for name, interval in evaluation.figures.items():
        assert str(interval) == str(expected[name]), name
    again = evaluate(model.path, read_custom(phantom_data), bootstrap=20)
    assert again.model == model.path.name
    assert str(again.figures) == str(evaluation.figures)


def test_progress_sees_every_score(model, phantom_data):
    seen = []

    def track(scores, total, what):
        seen.append((total, what))
        yield from scores

    evaluate(model, phantom_data, bootstrap=10, track=track)
    assert seen == [(9, "evaluating")]


def test_counts_tell_what_was_scored_by_what(model, phantom_data):
    cases = read_custom(phantom_data)
    changed = [
        dataclasses.replace(case, label=None)
        if case.name == "benign/case 1.png"
        else dataclasses.replace(case, masks=())
        if case.name == "malignant/case 2.png"
        else case
        for case in cases
    ]
    got = evaluate(model, changed, bootstrap=10)
    assert got.counts == {
        "images": 9,
        "groups": 9,
        "normal": 3,
        "benign": 2,
        "malignant": 3,
        "without a class": 1,
        "scored by class": 8,
        "scored by mask": 8,
        "scored by class alone": 1,
        "scored by mask alone": 1,
        "not of the model's classes": 0,
        "could not be read": 0,
    }
    assert all("hashes" in note for note in got.notes)


def test_what_readers_do_not_use_is_noted(model, phantom_data, tmp_path):
    data = tmp_path / "data"
    shutil.copytree(phantom_data, data)
    (data / "cyst").mkdir()
    shutil.copy(data / "benign" / "case 1.png", data / "cyst" / "x.png")
    notes = " ".join(evaluate(model, data, bootstrap=10).notes)
    assert "1 file not used" in notes
    assert "cyst/x.png" in notes


def test_odd_masks_are_noted(model, phantom_data, tmp_path):
    cases = read_custom(phantom_data)
    empty = tmp_path / "empty.png"
    Image.new("L", cases[3].read_image().shape[::-1]).save(empty)
    full = tmp_path / "full.png"
    Image.new("L", cases[4].read_image().shape[::-1], 255).save(full)
    cases[3] = dataclasses.replace(cases[3], masks=(empty,))
    cases[4] = dataclasses.replace(cases[4], masks=(full,))
    notes = evaluate(model, cases, bootstrap=10).notes
    assert [note for note in notes if cases[3].name in note and "is empty" in note]
    assert [note for note in notes if cases[4].name in note and "covers" in note]


def test_unreadable_cases_are_left_out_and_listed(model, phantom_data, tmp_path):
    cases = read_custom(phantom_data)
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"\x89PNG")
    cases[4] = dataclasses.replace(cases[4], image=bad)
    got = evaluate(model, cases, bootstrap=10)
    assert [failure.name for failure in got.failures] == [cases[4].name]
    assert "bad.png" in got.failures[0].message
    assert (len(got.scores), got.counts["could not be read"]) == (8, 1)
    text = render_report(got, model, cases)
    assert "Could not be read" in text
    assert "bad.png" in text
    with pytest.raises(DataError, match=r"none of the 1 cases.*bad\.png"):
        evaluate(model, [cases[4]], bootstrap=10)


def test_an_evaluation_survives_its_file(evaluation, tmp_path):
    path = tmp_path / "e.json"
    path.write_text(evaluation_to_json(evaluation))
    read = read_evaluation(path)
    assert list(read.scores) == list(evaluation.scores)
    assert [s.name for s in read.strata] == [s.name for s in evaluation.strata]
    for ours, theirs in zip(
        (read, *read.strata), (evaluation, *evaluation.strata), strict=True
    ):
        assert set(ours.figures) == set(theirs.figures)
        for name, interval in theirs.figures.items():
            for field in ("value", "low", "high"):
                assert getattr(ours.figures[name], field) == pytest.approx(
                    getattr(interval, field), abs=1e-6, nan_ok=True
                )
    for field in ("model", "protocol", "fold", "leak", "notes", "macro", "counts"):
        assert getattr(read, field) == getattr(evaluation, field), field
    document = json.loads(path.read_text())
    assert document["leaky"] is False
    assert document["counts"]["images"] == 9
    assert evaluation_to_json(read) == path.read_text()


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"cases": 1}', "\xff", "3"])
def test_files_of_another_kind_are_refused(text, tmp_path):
    path = tmp_path / "e.json"
    path.write_text(text, encoding="latin-1")
    with pytest.raises(DataError, match=r"e\.json"):
        read_evaluation(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(DataError, match=r"none\.json: no such file"):
        read_evaluation(tmp_path / "none.json")


def test_published_evaluations_are_read():
    """Files of earlier forms know no sources, strata or notes."""
    path = ROOT / "benchmarks" / "results" / "resnet18-fold0-seed0.json"
    published = read_evaluation(path)
    assert published.sources == ("busi",)
    assert len(published.scores) == 154
    got = intervals(published.scores)
    for name in ("accuracy", "malignant AUC", "Dice", "HD95", "calibration error"):
        stored = published.figures[name]
        for field in ("value", "low", "high"):
            assert getattr(got[name], field) == pytest.approx(
                getattr(stored, field), abs=1e-6
            ), name


def test_tables(evaluation):
    cases = rows_of(cases_to_csv(evaluation))
    assert len(cases) == 9
    assert {row["label"] for row in cases} == set(CLASSES)
    for row, case in zip(cases, evaluation.scores, strict=True):
        assert float(row["p_benign"]) == case.probabilities[1]
        assert float(row["dice"]) == case.dice
        assert row["leak"] == ""
    figures = rows_of(figures_to_csv(evaluation))
    whole = {row["figure"]: row for row in figures if row["kind"] == "all"}
    assert set(whole) == set(evaluation.figures)
    accuracy = evaluation.figures["accuracy"]
    assert float(whole["accuracy"]["low"]) == pytest.approx(accuracy.low, abs=1e-6)
    small = [row for row in figures if row["stratum"] == "small"]
    assert {row["kind"] for row in figures} == {"all", "lesion size"}
    assert all(row["small"] == "True" for row in small)


def test_attributes_are_columns_of_the_table():
    scores = Scores(
        dataclasses.replace(case, attributes={"birads": f"{i % 4}"})
        for i, case in enumerate(random_scores(30))
    )
    rows = rows_of(cases_to_csv(made_up(scores, fold=None)))
    assert [row["birads"] for row in rows[:5]] == ["0", "1", "2", "3", "0"]


def test_leaks_are_in_every_output(tmp_path, phantom_data, model):
    busi = [
        dataclasses.replace(case, source="busi", fold=0, divisions={"busi-groups": 0})
        for case in read_custom(phantom_data)
    ]
    path = save_random(
        tmp_path / "w.safetensors",
        ROW,
        provenance={"protocol": "busi-group5", "fold": 1},
    )
    with pytest.raises(LeakError, match="too good to be true"):
        evaluate(path, busi, fold=0, bootstrap=10)
    got = evaluate(path, busi, fold=0, allow_leak=True, bootstrap=10)
    fact = "trained on busi without fold 1"
    assert fact in got.leak
    assert json.loads(evaluation_to_json(got))["leaky"] is True
    assert fact in json.loads(evaluation_to_json(got))["leak"]
    assert all(fact in row["leak"] for row in rows_of(cases_to_csv(got)))
    assert all(fact in row["leak"] for row in rows_of(figures_to_csv(got)))
    assert f'class="leaky">LEAKY: the model was {fact}' in render_report(got)
    clean = dataclasses.replace(got, leak="")
    for pair in ((clean, got), (got, clean)):
        comparison = compare_evaluations(*pair, bootstrap=10)
        assert fact in comparison.leak
        assert json.loads(comparison_to_json(comparison))["leaky"] is True


def test_the_report_is_whole_and_needs_nothing_beside_it(
    model, phantom_data, evaluation
):
    text = render_report(evaluation, model, read_custom(phantom_data))
    assert text.count("<img") == 5 + 9
    assert re.findall(r"""src=(?!["']data:)""", text) == []
    assert "http" not in text
    assert "<b>x</b>" not in text
    assert "&lt;b&gt;x&lt;/b&gt;" in text
    assert "For research use only" in text
    assert "LEAKY" not in text
    for name, interval in evaluation.figures.items():
        assert f'<td>{name}</td><td class="n">{interval}</td>' in text
    for stratum in evaluation.strata:
        assert f"<td>{stratum.name} *</td>" in text
    assert "<td>nothing, a random network</td>" in text


def test_the_worst_cases_come_first(evaluation):
    order = worst_cases(evaluation)
    assert len(order) == 9

    def quality(index):
        case = evaluation.scores[index]
        truth = case.probabilities[CLASSES.index(case.label)]
        return (truth + case.dice) / 2

    assert [quality(i) for i in order] == sorted(map(quality, range(9)))
    assert worst_cases(evaluation, 2) == order[:2]


def test_worst_cases_of_partial_labels(evaluation):
    cases = list(evaluation.scores)
    cases[0] = dataclasses.replace(cases[0], label=None, dice=None, lesion=None)
    cases[1] = dataclasses.replace(cases[1], label=None, dice=0.0)
    changed = dataclasses.replace(evaluation, scores=Scores(cases))
    order = worst_cases(changed)
    assert order[0] == 1
    assert 0 not in order


@pytest.mark.parametrize("head", ["class", "mask"])
def test_models_of_one_task(phantom_data, tmp_path, head):
    row = get_network("resnet18", channels=1, heads=(head,))
    model = busnet.load(save_random(tmp_path / "w.safetensors", row))
    got = evaluate(model, phantom_data, bootstrap=10)
    assert ("accuracy" in got.figures) == (head == "class")
    assert ("Dice" in got.figures) == (head == "mask")
    assert "class and mask agree" not in got.figures
    assert "<img" in render_report(got, model, read_custom(phantom_data))
    assert evaluation_to_json(got)


def test_comparison_of_evaluations(evaluation):
    comparison = compare_evaluations(evaluation, evaluation, bootstrap=10)
    assert comparison.title == f"{evaluation.title}, minus {evaluation.title}"
    document = json.loads(comparison_to_json(comparison))
    assert document["differences"]["accuracy"] == [0, 0, 0]
    assert document["leaky"] is False


@pytest.fixture(scope="module")
def hospitals():
    return [
        made_up(random_scores(60, seed, source=source), model=f"without {source}")
        for seed, source in enumerate(("a", "b", "c"))
    ]


def test_hospitals_are_pooled_each_alike(hospitals):
    pooled = pool_hospitals(hospitals, bootstrap=50)
    assert pooled.macro
    assert pooled.sources == ("a", "b", "c")
    assert pooled.title == "resnet18 on hospitals, macro average over a, b, c"
    assert len(pooled.scores) == 180
    for name, interval in pooled.figures.items():
        values = [hospital.figures[name].value for hospital in hospitals]
        assert interval.value == pytest.approx(sum(values) / 3), name
        assert interval.low <= interval.value <= interval.high
    by_source = {s.name: s for s in pooled.strata if s.kind == "source"}
    for hospital in hospitals:
        got = by_source[hospital.fold].figures["accuracy"].value
        assert got == pytest.approx(hospital.figures["accuracy"].value)
    assert set(pooled.provenance["members"]) == {"a", "b", "c"}


def test_pooled_evaluations_are_files_reports_and_compared(hospitals, tmp_path):
    pooled = pool_hospitals(hospitals, bootstrap=20)
    path = tmp_path / "pooled.json"
    path.write_text(evaluation_to_json(pooled))
    read = read_evaluation(path)
    assert read.macro
    assert read.title == pooled.title
    text = render_report(read)
    assert "means over the sources" in text
    assert "<td>b</td>" in text
    assert "<td>members.a.start.data</td><td>ImageNet</td>" in text
    better = pool_hospitals(
        [
            made_up(random_scores(60, seed, 1.0, source=source))
            for seed, source in enumerate(("a", "b", "c"))
        ],
        bootstrap=20,
    )
    difference = compare_evaluations(read, better, bootstrap=20).differences
    assert difference["accuracy"].value == pytest.approx(
        better.figures["accuracy"].value - pooled.figures["accuracy"].value, abs=1e-6
    )
    assert not math.isnan(difference["AUC among lesions"].low)
    with pytest.raises(DataError, match="macro average"):
        compare_evaluations(hospitals[0], pooled)


def test_a_leak_of_one_hospital_is_the_averages(hospitals):
    leaky = dataclasses.replace(hospitals[1], leak="it was seen")
    pooled = pool_hospitals([hospitals[0], leaky, hospitals[2]], bootstrap=10)
    assert pooled.leak == "it was seen"


def test_what_cannot_be_pooled_is_refused(hospitals):
    first, second, _ = hospitals
    with pytest.raises(DataError, match="two evaluations or more"):
        pool_hospitals([first])
    with pytest.raises(DataError, match="two evaluations are of a"):
        pool_hospitals([first, first])
    with pytest.raises(DataError, match="are of resnet18 and resnet50"):
        pool_hospitals([first, dataclasses.replace(second, network="resnet50")])
    for change in ({"protocol": "busi-group5"}, {"fold": None}):
        with pytest.raises(DataError, match="by the protocol hospitals"):
            pool_hospitals([first, dataclasses.replace(second, **change)])


PRIOR = {"normal": 0.0, "benign": 0.75, "malignant": 0.25}


def test_a_prior_weighs_every_figure_and_is_in_every_output(
    model, phantom_data, evaluation, tmp_path
):
    got = evaluate(
        model, phantom_data, bootstrap=20, prior={"malignant": 0.25, "benign": 0.75}
    )
    assert got.prior == PRIOR
    assumed = model.info.class_shares
    for plain, weighed in zip(evaluation.scores, got.scores, strict=True):
        ratios = [PRIOR[name] / assumed.get(name, 1 / 3) for name in CLASSES]
        products = [p * r for p, r in zip(plain.probabilities, ratios, strict=True)]
        expected = [product / sum(products) for product in products]
        assert weighed.probabilities == pytest.approx(expected)
        assert (weighed.dice, weighed.hd95) == (plain.dice, plain.hd95)
    expected = intervals(got.scores, count=20)
    assert str(got.figures) == str(expected)
    brier = got.figures["Brier score"].value
    assert brier != pytest.approx(evaluation.figures["Brier score"].value)
    assert got.figures["normal recall"].value == 0
    assert "3 normal images can never be classified rightly" in " ".join(got.notes)

    text = "normal=0,benign=0.75,malignant=0.25"
    assert got.title == f"{evaluation.title}, prior {text}"
    assert json.loads(evaluation_to_json(got))["prior"] == PRIOR
    assert f"<h1>{got.title}</h1>" in render_report(got)
    for table in (cases_to_csv, figures_to_csv):
        assert {row["prior"] for row in rows_of(table(got))} == {text}
        assert {row["prior"] for row in rows_of(table(evaluation))} == {""}
    path = tmp_path / "e.json"
    path.write_text(evaluation_to_json(got))
    comparison = compare_evaluations(read_evaluation(path), got, bootstrap=10)
    assert text in comparison.title
    assert json.loads(comparison_to_json(comparison))["prior"] == PRIOR


def test_what_is_no_prior_of_the_model_is_refused(model, phantom_data, tmp_path):
    with pytest.raises(ModelError, match="no class 'cyst'"):
        evaluate(model, phantom_data, prior={"cyst": 1.0})
    with pytest.raises(ModelError, match=r"add up to 0\.5"):
        evaluate(model, phantom_data, prior={"benign": 0.5})
    row = get_network("resnet18", channels=1, heads=("mask",))
    path = save_random(tmp_path / "w.safetensors", row)
    with pytest.raises(ModelError, match="does not classify"):
        evaluate(path, phantom_data, prior={"benign": 1.0})


def test_evaluations_of_different_priors_do_not_mix(hospitals):
    first, second, third = hospitals
    weighed = dataclasses.replace(third, prior=PRIOR)
    pattern = r"different priors, none and normal=0,benign=0.75,malignant=0.25"
    with pytest.raises(DataError, match=pattern):
        pool_hospitals([first, second, weighed])
    with pytest.raises(DataError, match=pattern):
        compare_evaluations(third, weighed)
    pooled = pool_hospitals(
        [dataclasses.replace(h, prior=PRIOR) for h in hospitals], bootstrap=10
    )
    assert pooled.prior == PRIOR
    assert "prior normal=0" in pooled.title
