"""The option --model: one model, or several with commas between them."""

import json
import shutil

import pytest
from helpers import call, pixels, rows
from PIL import Image
from random_weights import save_random

import busnet
from busnet.cli.models import split_models
from busnet.data.phantom import phantom
from busnet.networks import get_network


@pytest.fixture(scope="module")
def other_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "other.safetensors"
    return save_random(path, get_network("resnet18", channels=3), 96, seed=5)


@pytest.fixture
def image(tmp_path):
    path = tmp_path / "scan.png"
    Image.fromarray(phantom(60, 80)[0]).save(path)
    return path


def test_predict_takes_an_ensemble(weights_file, other_file, image, tmp_path):
    out = tmp_path / "out"
    both = f"{weights_file},{other_file}"
    call("predict", image, "--model", both, "--out", out, "--gallery")
    (row,) = rows((out / "predictions.csv").read_text())
    result = busnet.load([weights_file, other_file]).predict(image)
    assert float(row["uncertainty"]) == pytest.approx(result.uncertainty, abs=1e-5)
    for name, probability in result.probabilities.items():
        assert float(row[f"p_{name}"]) == pytest.approx(probability, abs=1e-5)
    assert ((pixels(out / row["mask"]) != 0) != result.mask).mean() < 1e-3
    assert "resnet18 + resnet18" in (out / "gallery.html").read_text()
    record = json.loads((out / "busnet-run.json").read_text())["settings"]
    assert record["model"] == "random.safetensors + other.safetensors"
    assert len(set(record["weights_sha256"].split())) == 2


def test_tables_of_one_model_have_no_uncertainty(weights_file, image):
    (row,) = rows(call("predict", image, "--model", weights_file).stdout)
    assert "uncertainty" not in row
    done = call("predict", image, "--model", weights_file, "--format", "jsonl")
    assert "uncertainty" not in json.loads(done.stdout)


def test_json_has_the_members_and_the_uncertainty(weights_file, other_file, image):
    both = f"{weights_file}, {other_file}"
    done = call("predict", image, "--model", both, "--format", "json")
    document = json.loads(done.stdout)
    assert document["network"] == "resnet18 + resnet18"
    assert list(document["provenance"]["members"]) == [
        "random.safetensors",
        "other.safetensors",
    ]
    assert 0 < document["results"][0]["uncertainty"] < 0.7


def test_a_file_whose_name_has_a_comma_is_one_model(weights_file, tmp_path, image):
    path = shutil.copy(weights_file, tmp_path / "a,b.safetensors")
    assert split_models(str(path)) == [str(path)]
    assert "benign" in call("predict", image, "--model", path).stdout


def test_evaluate_names_the_members(weights_file, other_file, phantom_data, tmp_path):
    both = f"{weights_file},{other_file}"
    files = [tmp_path / "e.json", tmp_path / "cases.csv", tmp_path / "e.html"]
    options = ("--json", files[0], "--csv", files[1], "--report", files[2])
    done = call(
        *("evaluate", "--data", phantom_data, "--model", both, "--bootstrap", 10),
        *options,
    )
    assert "resnet18 + resnet18 on" in done.stdout
    document = json.loads(files[0].read_text())
    assert document["model"] == "random.safetensors + other.safetensors"
    assert list(document["provenance"]["members"]) == [
        "random.safetensors",
        "other.safetensors",
    ]
    listed = rows(files[1].read_text())
    assert len(listed) == len(document["cases"]) == 9
    for row, case in zip(listed, document["cases"], strict=True):
        assert float(row["uncertainty"]) == pytest.approx(case["uncertainty"])
        assert case["uncertainty"] > 0
    assert "members.other.safetensors" in files[2].read_text()
    compared = call("compare", files[0], files[0], "--bootstrap", 10)
    assert "resnet18 + resnet18" in compared.stdout


def test_info_and_benchmark_take_several(weights_file, other_file):
    both = f"{weights_file},{other_file}"
    shown = call("info", "--model", both).stdout
    assert shown.count("image size") == 2
    done = call("benchmark", "--model", both, "--seconds", 0.1)
    assert "resnet18 + resnet18, 96 px" in " ".join(done.stdout.split())


def test_commands_that_take_one_model_refuse_several(image, tmp_path):
    out = tmp_path / "q.safetensors"
    both = "mod_resnet101,resnet18"
    done = call("quantize", image, "--model", both, "--out", out, check=2)
    assert "busnet quantize takes one model, not an ensemble of 2" in done.stderr
    assert not out.exists()


@pytest.mark.parametrize("text", [",", "resnet18,", ",resnet18", "resnet18,,x"])
def test_a_comma_without_a_model_is_refused(image, text):
    done = call("predict", image, "--model", text, check=2)
    assert "has a comma without a model" in " ".join(done.stderr.split())


def test_the_same_model_twice_is_refused(image):
    done = call("predict", image, "--model", "resnet18,resnet18", check=1)
    assert "is the same model twice" in " ".join(done.stderr.split())
