"""``busnet evaluate``, ``compare``, ``pool`` and ``robustness``, typed as users do."""

import csv
import errno
import io
import json
import os
import shutil

import pytest
from PIL import Image
from random_weights import save_random

from busnet.cli import main
from busnet.data import CLASSES
from busnet.evaluation.perturbations import PERTURBATIONS
from busnet.networks import get_network

ROW = get_network("resnet18", channels=1)


def words(text):
    """Undo the wrapping of messages."""
    return " ".join(text.split())


@pytest.fixture
def invoke(capsys, monkeypatch):
    """Run a command in this process, which has loaded its libraries already."""

    def run_here(*arguments, check=0):
        monkeypatch.setattr("sys.argv", ["busnet", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            main()
        output = capsys.readouterr()
        assert (end.value.code or 0) == check, output
        return output

    return run_here


@pytest.fixture
def common(phantom_data, weights_file):
    return (
        "--data",
        phantom_data,
        "--model",
        weights_file,
        "--bootstrap",
        "20",
    )


def test_evaluate_writes_every_form(invoke, common, tmp_path):
    out = {name: tmp_path / name for name in ("r.html", "e.json", "c.csv", "f.csv")}
    done = invoke(
        "evaluate",
        *common,
        "--report",
        out["r.html"],
        "--json",
        out["e.json"],
        "--csv",
        out["c.csv"],
        "--figures",
        out["f.csv"],
    )
    assert "malignant AUC" in done.out
    assert "resnet18 on custom" in done.out
    assert "For research use only" in words(done.out)
    assert "<html" in out["r.html"].read_text()
    cases = list(csv.DictReader(io.StringIO(out["c.csv"].read_text())))
    assert len(cases) == 9
    assert {row["label"] for row in cases} == set(CLASSES)
    figures = list(csv.DictReader(io.StringIO(out["f.csv"].read_text())))
    document = json.loads(out["e.json"].read_text())
    accuracy = next(row for row in figures if row["figure"] == "accuracy")
    assert float(accuracy["value"]) == document["figures"]["accuracy"][0]


def test_names_that_are_not_utf8_are_escaped_in_every_form(
    invoke, phantom_data, weights_file, tmp_path
):
    data = tmp_path / "data"
    shutil.copytree(phantom_data, data)
    for file in list((data / "benign").iterdir()):
        name = os.fsencode(file.name).replace(b"case", b"caf\xe9")
        os.rename(file, os.path.join(os.fsencode(file.parent), name))
    out = {name: tmp_path / name for name in ("r.html", "e.json", "c.csv", "f.csv")}
    invoke(
        *("evaluate", "--data", data, "--model", weights_file, "--bootstrap", "20"),
        *("--report", out["r.html"], "--json", out["e.json"]),
        *("--csv", out["c.csv"], "--figures", out["f.csv"]),
    )
    name = r"benign/caf\xe9 1.png"
    cases = csv.DictReader(io.StringIO(out["c.csv"].read_text(encoding="utf-8")))
    assert name in {row["name"] for row in cases}
    document = json.loads(out["e.json"].read_text(encoding="utf-8"))
    assert name in {case["name"] for case in document["cases"]}
    assert r"caf\xe9" in out["r.html"].read_text(encoding="utf-8")
    done = invoke("compare", out["e.json"], out["e.json"], "--bootstrap", "20")
    assert "accuracy" in done.out


def test_what_a_converted_model_saw_is_unknown(invoke, phantom_data, tmp_path):
    row = get_network("resnet18", heads=("class",))
    provenance = {"data": "unknown", "converted": {"file": "theirs.pth"}}
    path = tmp_path / "mine.safetensors"
    save_random(path, row, provenance=provenance, resize=72)
    out = tmp_path / "e.json"
    options = ["--data", phantom_data, "--model", path, "--bootstrap", "20"]
    done = invoke("evaluate", *options, "--json", out)
    assert "unknown whether the model was trained on these images" in words(done.out)
    assert json.loads(out.read_text())["leaky"] is None
    compared = tmp_path / "c.json"
    done = invoke("compare", out, out, "--json", compared, "--bootstrap", "20")
    assert "unknown whether one of the models was trained" in words(done.out)
    assert json.loads(compared.read_text())["leaky"] is None


def test_compare_two_evaluations(invoke, common, tmp_path):
    path = tmp_path / "e.json"
    invoke("evaluate", *common, "--json", path)
    done = invoke("evaluate", *common, "--against", path)
    assert "minus" in done.out
    assert "0.000 [0.000, 0.000]" in done.out
    out = tmp_path / "difference.json"
    done = invoke("compare", path, path, "--bootstrap", "20", "--json", out)
    assert "0.000 [0.000, 0.000]" in done.out
    assert json.loads(out.read_text())["differences"]["accuracy"] == [0, 0, 0]


@pytest.mark.parametrize(
    ("change", "fact"),
    [
        ({"provenance": []}, "provenance cannot be []"),
        ({"leak": None}, "leak cannot be None"),
        ({"model": 5}, "model cannot be 5"),
        ({"prior": {"benign": "x"}}, "could not convert string to float: 'x'"),
        ({"figures": []}, "'list' object has no attribute 'items'"),
    ],
)
def test_an_evaluation_that_was_edited_is_refused(
    invoke, common, tmp_path, change, fact
):
    file, edited = tmp_path / "e.json", tmp_path / "edited.json"
    invoke("evaluate", *common, "--json", file)
    edited.write_text(json.dumps({**json.loads(file.read_text()), **change}))
    done = invoke("compare", file, edited, check=1)
    assert done.err.strip().endswith(
        f"error: {edited}: it is not an evaluation by busnet: {fact}"
    )


def test_two_models_of_one_network_are_told_apart(invoke, common, tmp_path):
    for name in ("a", "b"):
        model = shutil.copy(common[3], tmp_path / f"{name}.safetensors")
        file = tmp_path / f"{name}.json"
        invoke("evaluate", *common, "--model", model, "--json", file)
    out = tmp_path / "c.json"
    invoke("compare", tmp_path / "a.json", tmp_path / "b.json", "--json", out)
    document = json.loads(out.read_text())
    assert [document[which] for which in ("first", "second")] == [
        "a.safetensors, resnet18 on custom",
        "b.safetensors, resnet18 on custom",
    ]


@pytest.mark.parametrize(
    "command",
    [
        ("evaluate", "--json"),
        ("evaluate", "--report"),
        ("compare", "--json"),
        ("robustness", "--json"),
        ("audit", "--groups"),
    ],
    ids=" ".join,
)
def test_files_are_written_also_where_nobody_reads_the_rest(
    invoke, common, tmp_path, monkeypatch, command
):
    """As by ``busnet evaluate ... | head -1``."""
    name, option = command
    evaluation, out = tmp_path / "e.json", tmp_path / "out"
    arguments = common
    if name == "compare":
        invoke("evaluate", *common, "--json", evaluation)
        arguments = (evaluation, evaluation)
    if name == "audit":
        arguments = (common[1],)
    elif name == "robustness":
        monkeypatch.setattr(
            "busnet.evaluation.robustness.PERTURBATIONS", PERTURBATIONS[:1]
        )
    with monkeypatch.context() as patch:
        patch.setattr("sys.stdout", ClosedPipe())
        with pytest.raises(SystemExit):
            main([name, *map(str, arguments), option, str(out)])
    assert out.stat().st_size > 0


class ClosedPipe(io.StringIO):
    """A stream whose reader has gone."""

    def write(self, text):
        raise BrokenPipeError(errno.EPIPE, "Broken pipe")


def test_one_corrupt_file_is_listed_and_the_others_are_done(
    invoke, phantom_data, weights_file, tmp_path
):
    data = tmp_path / "data"
    shutil.copytree(phantom_data, data)
    (data / "benign" / "case 4.png").write_bytes(b"no image")
    common = ("--data", data, "--model", weights_file, "--bootstrap", "10")
    out = tmp_path / "e.json"
    done = invoke("evaluate", *common, "--json", out, check=1)
    assert "case 4.png" in words(done.err)
    assert "Traceback" not in done.err
    document = json.loads(out.read_text())
    assert len(document["cases"]) == 8
    assert [f["name"] for f in document["failures"]] == ["benign/case 4.png"]
    out = tmp_path / "r.json"
    done = invoke("robustness", *common, "--json", out, check=1)
    assert "case 4.png" in words(done.err)
    assert json.loads(out.read_text())["images"] == 8


def test_leaks_are_refused_or_marked(invoke, phantoms, tmp_path):
    path = save_random(
        tmp_path / "w.safetensors",
        ROW,
        provenance={"protocol": "busi-group5", "fold": 1},
    )
    common = ("evaluate", "--data", phantoms, "--model", path, "--bootstrap", "10")
    refused = invoke(*common, "--fold", "0", check=1)
    assert "too good to be true" in words(refused.err)
    report = tmp_path / "r.html"
    allowed = invoke(*common, "--fold", "0", "--allow-leak", "--report", report)
    assert "LEAKY" in allowed.out
    assert 'class="leaky"' in report.read_text()


@pytest.mark.parametrize(
    ("options", "status", "fact"),
    [
        (("--fold", "7"), 1, "in no folds"),
        (("--protocol", "busi-group5"), 1, "a protocol for busi"),
        (("--protocol", "odd"), 1, "no protocol is called 'odd'"),
        (("--leave-out", "elsewhere"), 1, "not elsewhere"),
        (("--leave-out", "custom", "--fold", "1"), 2, "cannot be given together"),
        (
            ("--leave-out", "custom", "--protocol", "busi-group5"),
            2,
            "for the protocol hospitals",
        ),
        (("--against", "none.json"), 1, "none.json: no such file"),
        (("--data", "x=none"), 1, "none: no such file"),
    ],
)
def test_what_cannot_be_is_said_in_a_sentence(invoke, common, options, status, fact):
    done = invoke("evaluate", *common, *options, check=status)
    assert fact in words(done.err)
    assert "Traceback" not in done.err


def test_hospitals_are_left_out_and_pooled(invoke, phantom_data, tmp_path):
    """Each of two models saw one of two hospitals, and is evaluated on the other."""
    other = shutil.copytree(phantom_data, tmp_path / "other")
    data = ("--data", f"a={phantom_data}", "--data", f"b={other}")
    files = []
    for seed, (left_out, seen) in enumerate((("a", "b"), ("b", "a"))):
        model = save_random(
            tmp_path / f"{left_out}.safetensors",
            ROW,
            seed=seed,
            provenance={
                "protocol": "hospitals",
                "fold": left_out,
                "sources": {seen: {"folds": None, "fold": None}},
            },
        )
        files.append(tmp_path / f"{left_out}.json")
        done = invoke(
            "evaluate", *data, "--protocol", "hospitals", "--model", model,
            "--bootstrap", "10", "--json", files[-1],
        )  # fmt: skip
        assert f"left out {left_out}" in words(done.out)
        document = json.loads(files[-1].read_text())
        assert (document["fold"], document["sources"]) == (left_out, [left_out])
    out, report = tmp_path / "pooled.json", tmp_path / "pooled.html"
    done = invoke(
        "pool", *files, "--bootstrap", "10", "--json", out, "--report", report
    )  # fmt: skip
    assert "macro average over a, b" in words(done.out)
    values = [json.loads(f.read_text())["figures"]["accuracy"][0] for f in files]
    pooled = json.loads(out.read_text())
    assert pooled["figures"]["accuracy"][0] == pytest.approx(sum(values) / 2, abs=1e-6)
    assert "macro average" in report.read_text()
    done = invoke("compare", out, out, "--bootstrap", "10")
    assert "0.000 [0.000, 0.000]" in done.out
    refused = invoke("pool", files[0], files[0], check=1)
    assert "two evaluations are of a" in words(refused.err)


def test_robustness(invoke, common, tmp_path):
    out = tmp_path / "r.json"
    done = invoke("robustness", *common, "--json", out)
    assert "calipers" in done.out
    document = json.loads(out.read_text())
    names = [row["perturbation"] for row in document["rows"]]
    assert names == [perturbation.name for perturbation in PERTURBATIONS]
    assert document["images"] == 9
    assert document["leaky"] is False


def parse(text):
    """Parse JSON; NaN, which Python alone takes, is refused."""

    def refuse(name):
        raise ValueError(name)

    return json.loads(text, parse_constant=refuse)


def test_robustness_says_what_evaluate_does(
    invoke, phantom_data, weights_file, tmp_path, monkeypatch
):
    """Of one class alone some figures are not defined; a mask is empty."""
    monkeypatch.setattr("busnet.evaluation.robustness.PERTURBATIONS", PERTURBATIONS[:1])
    data = tmp_path / "data"
    shutil.copytree(phantom_data / "benign", data / "benign")
    mask = data / "benign" / "case 4_mask.png"
    with Image.open(mask) as image:
        Image.new("1", image.size).save(mask)
    common = ("--data", data, "--model", weights_file, "--bootstrap", "10")
    out, evaluation = tmp_path / "r.json", tmp_path / "e.json"
    invoke("robustness", *common, "--json", out)
    document = parse(out.read_text())
    assert document["rows"][0]["changes"]["malignant AUC"] == [None, None, None]
    assert any("mask of 1 lesion is empty" in note for note in document["notes"])
    invoke("evaluate", *common, "--json", evaluation)
    assert document["notes"] == parse(evaluation.read_text())["notes"]
    for path in (data / "benign").glob("*[0-9].png"):
        path.write_bytes(b"no image")
    done = invoke("robustness", *common, check=1)
    assert "cases can be read; the first: " in words(done.err)
    assert "no cases to evaluate" not in words(done.err)


def test_a_prior_is_in_every_output(invoke, common, tmp_path):
    text = "normal=0,benign=0.6,malignant=0.4"
    plain, out = tmp_path / "plain.json", tmp_path / "e.json"
    invoke("evaluate", *common, "--json", plain)
    report = tmp_path / "r.html"
    done = invoke(
        "evaluate", *common, "--prior", text, "--json", out, "--report", report
    )
    assert f"prior {text}" in words(done.out)
    assert f"prior {text}" in report.read_text()
    document = json.loads(out.read_text())
    assert document["prior"] == {"normal": 0, "benign": 0.6, "malignant": 0.4}
    before = json.loads(plain.read_text())
    assert before["prior"] is None
    assert before["figures"]["Brier score"] != document["figures"]["Brier score"]
    refused = invoke("compare", plain, out, check=1)
    assert "different priors, none and normal=0" in words(refused.err)
    refused = invoke("evaluate", *common, "--prior", "cyst=1", check=1)
    assert "no class 'cyst'" in words(refused.err)


def test_robustness_under_a_prior(invoke, common, tmp_path, monkeypatch):
    monkeypatch.setattr("busnet.evaluation.robustness.PERTURBATIONS", PERTURBATIONS[:1])
    out = tmp_path / "r.json"
    done = invoke(
        "robustness", *common, "--json", out, "--prior", "benign=0.6,malignant=0.4"
    )
    assert "prior normal=0,benign=0.6,malignant=0.4" in words(done.out)
    document = json.loads(out.read_text())
    assert document["prior"] == {"normal": 0, "benign": 0.6, "malignant": 0.4}
    assert document["rows"][0]["normals"] == 0  # none can be called normal
