"""A converted model of benign and malignant alone, in every command that takes it."""

import json
import shutil

import pytest
from helpers import call, rows
from PIL import Image, ImageOps
from random_weights import random_arrays, save_random
from safetensors.numpy import save_file

from busnet.networks import get_network

NOTE = (
    "the model classifies benign and malignant alone, so its class figures are among "
    "lesions, and 3 normal images are left out of them"
)


def words(text):
    """Undo the wrapping of messages."""
    return " ".join(text.split())


@pytest.fixture(scope="module")
def converted(tmp_path_factory):
    """Convert a state dict of PyTorch's with two outputs."""
    root = tmp_path_factory.mktemp("two")
    row = get_network("resnet18", heads=("class",))
    save_file(random_arrays(row, classes=2), root / "theirs.safetensors")
    out = root / "two.safetensors"
    call(
        *("convert", root / "theirs.safetensors", "--classes", "malignant,benign"),
        *("--network", "resnet18", "--image-size", 64, "--out", out),
    )
    return out


@pytest.fixture(scope="module")
def evaluated(converted, phantom_data):
    path = converted.with_suffix(".json")
    done = call(
        *("evaluate", "--model", converted, "--data", phantom_data),
        *("--bootstrap", 20, "--json", path, "--csv", converted.with_suffix(".csv")),
        *("--figures", converted.with_name("figures.csv")),
        *("--report", converted.with_suffix(".html")),
    )
    return path, done


def test_evaluate_says_what_is_left_out(evaluated):
    path, done = evaluated
    document = json.loads(path.read_text())
    assert NOTE in words(done.stdout)
    assert NOTE in document["notes"]
    assert NOTE in path.with_suffix(".html").read_text()
    assert document["counts"]["scored by class"] == 6
    cases = rows(path.with_suffix(".csv").read_text())
    assert len(cases) == 9
    lesions = [case for case in cases if case["label"] != "normal"]
    right = [
        (float(case["p_malignant"]) > 0.5) == (case["label"] == "malignant")
        for case in lesions
    ]
    accuracy = document["figures"]["accuracy among lesions"][0]
    assert accuracy == pytest.approx(sum(right) / 6, abs=1e-6)
    figures = rows(path.with_name("figures.csv").read_text())
    assert {row["figure"] for row in figures} >= {*document["figures"]}
    assert not [name for name in document["figures"] if "normal" in name]


def test_compare_with_a_model_of_three_classes(
    evaluated, weights_file, phantom_data, tmp_path
):
    path, _ = evaluated
    three, out = tmp_path / "three.json", tmp_path / "difference.json"
    done = call(
        *("evaluate", "--model", weights_file, "--data", phantom_data),
        *("--bootstrap", 20, "--json", three, "--against", path),
    )
    assert "renormalised over benign and malignant" in words(done.stdout)
    done = call("compare", three, path, "--bootstrap", 20, "--json", out)
    assert "3 normal images are left out of them" in words(done.stdout)
    document = json.loads(out.read_text())
    assert "renormalised" in document["notes"][-1]
    cases = json.loads(three.read_text())["cases"]
    lesions = [case for case in cases if case["label"] != "normal"]
    right = [
        (case["probabilities"][2] > case["probabilities"][1])
        == (case["label"] == "malignant")
        for case in lesions
    ]
    two = json.loads(path.read_text())["figures"]["accuracy among lesions"][0]
    difference = document["differences"]["accuracy among lesions"][0]
    assert difference == pytest.approx(two - sum(right) / 6, abs=1e-6)
    assert "accuracy" not in document["differences"]


def test_pool_averages_hospitals_and_refuses_a_mix(
    converted, weights_file, phantom_data, tmp_path
):
    for path in phantom_data.glob("*/*.png"):
        mirrored = tmp_path / "b" / path.relative_to(phantom_data)
        mirrored.parent.mkdir(parents=True, exist_ok=True)
        with Image.open(path) as image:
            ImageOps.mirror(image).save(mirrored)

    def evaluate(model, source):
        out = tmp_path / f"{model.stem}-{source}.json"
        call(
            *("evaluate", "--model", model, "--protocol", "hospitals"),
            *("--data", f"a={phantom_data}", "--data", f"b={tmp_path / 'b'}"),
            *("--leave-out", source, "--bootstrap", 10, "--json", out),
        )
        return out

    files = [evaluate(converted, source) for source in ("a", "b")]
    out = tmp_path / "pooled.json"
    done = call("pool", *files, "--bootstrap", 10, "--json", out)
    assert NOTE.replace("3 normal", "6 normal") in words(done.stdout)
    pooled, first, second = (
        json.loads(file.read_text())["figures"]["accuracy among lesions"][0]
        for file in (out, *files)
    )
    assert pooled == pytest.approx((first + second) / 2, abs=2e-6)
    odd = evaluate(weights_file, "b")
    done = call("pool", files[0], odd, check=1)
    assert "figures cannot be put together" in words(done.stderr)


def test_quantize_and_evaluate_in_int8(converted, phantom_data, tmp_path):
    out, evaluation = tmp_path / "int8.safetensors", tmp_path / "e.json"
    call("quantize", phantom_data / "benign", "--model", converted, "--out", out)
    call(
        *("evaluate", "--model", out, "--precision", "int8", "--data", phantom_data),
        *("--bootstrap", 10, "--json", evaluation),
    )
    document = json.loads(evaluation.read_text())
    assert document["classes"] == ["benign", "malignant"]


def test_a_prior_of_a_class_that_it_lacks_is_refused(converted, phantom_data):
    common = ("evaluate", "--model", converted, "--data", phantom_data)
    done = call(*common, "--bootstrap", 10, "--prior", "benign=0.7,malignant=0.3")
    assert "prior malignant=0.3,benign=0.7" in words(done.stdout)
    done = call(*common, "--prior", "normal=0.5,benign=0.5", check=1)
    assert "the model has no class 'normal'" in words(done.stderr)


def test_robustness_says_what_is_left_out(
    converted, phantom_data, tmp_path, monkeypatch
):
    from busnet.evaluation.perturbations import PERTURBATIONS

    monkeypatch.setattr("busnet.evaluation.robustness.PERTURBATIONS", PERTURBATIONS[:1])
    out = tmp_path / "r.json"
    done = call(
        *("robustness", "--model", converted, "--data", phantom_data),
        *("--bootstrap", 10, "--json", out),
    )
    assert NOTE in words(done.stdout)
    document = json.loads(out.read_text())
    assert NOTE in document["notes"]
    assert {*document["rows"][0]["changes"]} == {
        "accuracy among lesions",
        "AUC among lesions",
    }


def test_robustness_needs_a_class_that_the_model_knows(
    converted, phantom_data, tmp_path
):
    data = tmp_path / "data"
    shutil.copytree(phantom_data / "normal", data / "normal")
    common = ("--model", converted, "--data", data, "--bootstrap", 10)
    for command in ("evaluate", "robustness"):
        done = call(command, *common, check=1)
        assert "images is of these classes" in words(done.stderr)


def test_other_classes_are_refused(phantom_data, tmp_path):
    row = get_network("resnet18", channels=1)
    path = save_random(
        tmp_path / "odd.safetensors", row, classes=("cyst", "fibroadenoma", "cancer")
    )
    done = call("evaluate", "--model", path, "--data", phantom_data, check=1)
    assert "the model's classes are cyst, fibroadenoma, cancer, not normal" in words(
        done.stderr
    )
