"""Models of benign and malignant alone: figures, comparisons, what is refused."""

import dataclasses
import json

import numpy as np
import pytest
from evaluation_scores import random_scores
from random_weights import random_arrays, random_info, save_random
from sklearn import metrics as sk

import busnet
from busnet.data import CLASSES, LESION_CLASSES, read_custom
from busnet.errors import DataError, ModelError
from busnet.evaluation.comparison import (
    compare_evaluations,
    pool_folds,
    pool_hospitals,
)
from busnet.evaluation.documents import (
    cases_to_csv,
    comparison_to_json,
    evaluation_to_json,
    read_evaluation,
)
from busnet.evaluation.evaluation import Evaluation, evaluate
from busnet.evaluation.intervals import intervals
from busnet.evaluation.metrics import compute_figures, confusion
from busnet.evaluation.scores import CaseScore, Scores
from busnet.networks import get_network
from busnet.weights import save

#: True class, and P(benign).
ROWS = (
    ("normal", 0.9),
    ("benign", 0.8),
    ("benign", 0.35),
    ("malignant", 0.25),
    ("malignant", 0.55),
)


def two_classes(**fields):
    return Scores(
        CaseScore(f"{i}", f"g{i}", 0, label, (p, 1 - p), **fields)
        for i, (label, p) in enumerate(ROWS)
    )


def three_classes(normal=0.5):
    """Return the same cases under a model that also knows normal images."""
    rest = 1 - normal
    return Scores(
        CaseScore(f"{i}", f"g{i}", 0, label, (normal, rest * p, rest * (1 - p)))
        for i, (label, p) in enumerate(ROWS)
    )


def made_up(scores, model="two.safetensors", **fields):
    facts = {
        "model": model,
        "network": "resnet50",
        "provenance": {},
        "protocol": "custom",
        "fold": None,
        "leak": "",
        "scores": scores,
        "figures": intervals(scores, count=20),
    }
    return Evaluation(**{**facts, **fields})


def test_figures_are_of_lesions_alone():
    figures = {name: v.item() for name, v in compute_figures(two_classes()).items()}
    nll = -np.log([0.8, 0.35, 0.75, 0.45]).mean()
    expected = {
        "accuracy": 0.5,
        "balanced accuracy": 0.5,
        "macro F1": 0.5,
        "benign precision": 0.5,
        "malignant recall": 0.5,
        "AUC": 0.75,
        "Brier score": 2 * (0.2**2 + 0.65**2 + 0.25**2 + 0.55**2) / 4,
        "negative log-likelihood": nll,
        "calibration error": (0.2 + 0.65 + 0.25 + 0.55) / 4,
    }
    for name, value in expected.items():
        assert figures[f"{name} among lesions"] == pytest.approx(value), name
    assert all(name.endswith(" among lesions") for name in figures)
    assert not [name for name in figures if "normal" in name]
    assert confusion(two_classes()).tolist() == [[1, 1], [1, 1]]


def test_figures_are_those_of_scikit_learn():
    scores = random_scores(150, seed=3).among_lesions()
    figures = compute_figures(scores)
    lesions = [case for case in scores if case.label != "normal"]
    truth = np.array([case.label == "malignant" for case in lesions])
    malignancy = np.array([case.probabilities[1] for case in lesions])
    guess = malignancy > 0.5
    assert len(lesions) == 100
    for name, value in {
        "accuracy": sk.accuracy_score(truth, guess),
        "balanced accuracy": sk.balanced_accuracy_score(truth, guess),
        "macro F1": sk.f1_score(truth, guess, average="macro"),
        "malignant precision": sk.precision_score(truth, guess),
        "AUC": sk.roc_auc_score(truth, malignancy),
        "malignant AUPRC": sk.average_precision_score(truth, malignancy),
        "Brier score": 2 * sk.brier_score_loss(truth, malignancy),
        "negative log-likelihood": sk.log_loss(truth, malignancy),
    }.items():
        assert figures[f"{name} among lesions"].item() == pytest.approx(value), name


def test_masks_are_scored_on_all_images():
    masked = two_classes(lesion=False, predicted=True, dice=0.0, iou=0.0)
    figures = compute_figures(masked)
    assert figures["normals with a false lesion"].item() == 1
    assert "class and mask agree" not in figures
    counts = made_up(masked).counts
    assert counts["scored by class"] == 4
    assert counts["scored by mask"] == 5
    assert counts["not of the model's classes"] == 1


@pytest.mark.parametrize("swapped", [False, True])
def test_a_model_of_three_classes_is_renormalised(swapped):
    """Of probabilities in the same proportions the differences are zero."""
    two = made_up(two_classes())
    three = made_up(three_classes(), "three.safetensors")
    first, second = (three, two) if swapped else (two, three)
    comparison = compare_evaluations(first, second, bootstrap=20)
    assert comparison.differences.keys() == two.figures.keys()
    for interval in comparison.differences.values():
        assert interval.value == pytest.approx(0, abs=1e-12)
    assert comparison.notes == (
        "two.safetensors classifies benign and malignant alone, so the probabilities "
        "of three.safetensors are renormalised over benign and malignant; class "
        "figures are among lesions, and 1 normal image is left out of them",
    )
    assert comparison.notes[0] in comparison._repr_html_()
    assert json.loads(comparison_to_json(comparison))["notes"] == [*comparison.notes]


def test_differences_are_those_of_the_figures():
    three = made_up(random_scores(60, seed=1), "three")
    two = made_up(random_scores(60, seed=2).among_lesions())
    comparison = compare_evaluations(three, two, bootstrap=20)
    renormalised = compute_figures(three.scores.among_lesions())
    for name in ("accuracy among lesions", "AUC among lesions", "Dice"):
        assert comparison.differences[name].value == pytest.approx(
            two.figures[name].value - renormalised[name].item()
        )
    assert three.figures["AUC among lesions"].value == pytest.approx(
        renormalised["AUC among lesions"].item()
    )


def test_models_of_three_classes_may_be_compared_among_lesions_too():
    first, second = (random_scores(seed=seed) for seed in (1, 2))
    options = {"bootstrap": 10, "with_lesion_figures": True}
    differences = compare_evaluations(
        made_up(first), made_up(second), **options
    ).differences
    among = [
        compute_figures(scores.among_lesions())["accuracy among lesions"][0]
        for scores in (first, second)
    ]
    difference = differences["accuracy among lesions"].value
    assert difference == pytest.approx(among[1] - among[0])
    assert difference != differences["accuracy"].value


def test_two_models_of_lesions_alone_are_compared():
    comparison = compare_evaluations(
        made_up(two_classes()), made_up(two_classes()), bootstrap=20
    )
    assert comparison.notes == (
        "both models classify benign and malignant alone; class figures are among "
        "lesions, and 1 normal image is left out of them",
    )


def test_no_probability_of_a_lesion_is_an_even_chance():
    case = CaseScore("a", "a", 0, "benign", (1.0, 0.0, 0.0))
    (score,) = Scores([case]).among_lesions()
    assert score.probabilities == (0.5, 0.5)


def test_priors_are_compared_as_far_as_they_concern_lesions():
    three = made_up(
        three_classes(), prior={"normal": 0.5, "benign": 0.3, "malignant": 0.2}
    )
    same = made_up(two_classes(), prior={"malignant": 0.4, "benign": 0.6})
    compare_evaluations(three, same, bootstrap=10)
    for prior in (None, {"benign": 0.5, "malignant": 0.5}):
        with pytest.raises(DataError, match="have different priors"):
            compare_evaluations(three, made_up(two_classes(), prior=prior))


def test_pools_are_of_the_same_classes():
    two, three = made_up(two_classes()), made_up(three_classes(), "three.safetensors")
    fact = (
        "two.safetensors classifies benign and malignant alone, three.safetensors "
        "normal, benign, malignant: their figures cannot be put together"
    )
    for pool, protocol, folds in (
        (pool_folds, "custom", (0, 1)),
        (pool_hospitals, "hospitals", ("a", "b")),
    ):
        parts = [
            dataclasses.replace(e, protocol=protocol, fold=fold)
            for e, fold in zip((two, three), folds, strict=True)
        ]
        with pytest.raises(DataError, match=fact):
            pool(parts, bootstrap=10)


def test_hospitals_are_averaged_and_their_normal_images_counted():
    def part(source):
        scores = Scores(dataclasses.replace(c, source=source) for c in two_classes())
        note = "unknown whether the model was trained on these images"
        return made_up(
            scores, protocol="hospitals", fold=source, notes=(note, count_note(1))
        )

    pooled = pool_hospitals([part("a"), part("b")], bootstrap=20)
    assert pooled.notes[1:] == (count_note(2),)
    assert pooled.figures["AUC among lesions"].value == pytest.approx(0.75)
    assert pooled.counts["not of the model's classes"] == 2


def count_note(count):
    text = "1 normal image is" if count == 1 else f"{count} normal images are"
    return (
        f"the model classifies benign and malignant alone, so its class figures are "
        f"among lesions, and {text} left out of them"
    )


@pytest.fixture(scope="module", params=[LESION_CLASSES, LESION_CLASSES[::-1]])
def path(request, tmp_path_factory):
    """Write one model of two classes and a mask, in either order of its classes."""
    row = get_network("resnet18", channels=1)
    arrays = random_arrays(row, classes=2)
    if request.param != LESION_CLASSES:
        for name in ("fc.weight", "fc.bias"):
            arrays[name] = arrays[name][::-1].copy()
    path = tmp_path_factory.mktemp("two") / "two.safetensors"
    save(path, arrays, random_info(row, classes=request.param))
    return path


def test_the_order_of_the_classes_does_not_matter(path, phantom_data, tmp_path):
    """Probabilities are found by their names, figures are those of predictions."""
    result = busnet.evaluate(path, phantom_data, bootstrap=20, progress=False)
    assert count_note(3) in result.notes
    model = busnet.load(path)
    right = []
    for case, score in zip(result.cases, result.scores, strict=True):
        got = model.classify(case.image)
        assert score.probabilities == pytest.approx(
            (got.probabilities["benign"], got.probabilities["malignant"]), abs=1e-6
        )
        if case.label != "normal":
            right.append(got.label == case.label)
    assert len(right) == 6
    assert result.figures["accuracy among lesions"].value == np.mean(right)
    assert result.counts["scored by mask"] == 9
    # A file holds what is needed to go on.
    file = tmp_path / "e.json"
    file.write_text(evaluation_to_json(result))
    document = json.loads(file.read_text())
    assert document["classes"] == ["benign", "malignant"]
    assert np.array(document["confusion"]).shape == (2, 2)
    assert document["counts"]["not of the model's classes"] == 3
    assert compute_figures(read_evaluation(file).scores).keys() == (
        result.figures.keys()
    )
    assert "p_benign,p_malignant" in cases_to_csv(result)
    assert "p_normal" not in cases_to_csv(result)
    report = tmp_path / "report.html"
    result.report(report)
    assert f"Note: {count_note(3)}." in report.read_text()


def test_a_prior_re_weighs_or_is_refused(path, phantom_data):
    cases = read_custom(phantom_data)
    prior = {"malignant": 0.2, "benign": 0.8}
    plain = evaluate(path, cases, bootstrap=10)
    weighed = evaluate(path, cases, bootstrap=10, prior=prior)
    for before, after in zip(plain.scores, weighed.scores, strict=True):
        benign, malignant = before.probabilities
        total = 0.8 * benign + 0.2 * malignant
        assert after.probabilities == pytest.approx(
            (0.8 * benign / total, 0.2 * malignant / total)
        )
    with pytest.raises(ModelError, match="the model has no class 'normal'"):
        evaluate(path, cases, prior={"normal": 0.5, "benign": 0.5})


def test_normal_images_alone_are_refused(phantom_data, tmp_path):
    row = get_network("resnet18", channels=1, heads=("class",))
    path = tmp_path / "two.safetensors"
    save(path, random_arrays(row, 2), random_info(row, classes=LESION_CLASSES))
    normal = [case for case in read_custom(phantom_data) if case.label == "normal"]
    with pytest.raises(DataError, match="none of the 3 images is of these classes"):
        evaluate(path, normal, bootstrap=10)


@pytest.mark.parametrize("classes", [("cyst", "fibroadenoma"), ("normal", "benign")])
def test_other_classes_are_refused(classes, phantom_data, tmp_path):
    row = get_network("resnet18", channels=1, heads=("class",))
    path = tmp_path / "odd.safetensors"
    save(path, random_arrays(row, 2), random_info(row, classes=classes))
    fact = (
        f"the model's classes are {', '.join(classes)}, not {', '.join(CLASSES)}, nor "
        f"benign and malignant alone"
    )
    with pytest.raises(DataError, match=fact):
        evaluate(path, phantom_data, bootstrap=10)


def test_a_model_that_does_not_classify_is_compared_by_its_masks(
    path, phantom_data, tmp_path
):
    row = get_network("resnet18", channels=1, heads=("mask",))
    masks = save_random(tmp_path / "masks.safetensors", row)
    first, second = (
        evaluate(file, phantom_data, bootstrap=10) for file in (masks, path)
    )
    comparison = compare_evaluations(first, second, bootstrap=10)
    assert "Dice" in comparison.differences
    assert not [n for n in comparison.differences if n.endswith("lesions")]
