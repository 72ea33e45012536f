"""Pooled evaluations of models of which nobody knows what they were trained on."""

import dataclasses
import json

import pytest
from evaluation_scores import random_scores
from helpers import call

from busnet.evaluation.comparison import compare_evaluations, pool_hospitals
from busnet.evaluation.documents import evaluation_to_json, read_evaluation
from busnet.evaluation.evaluation import Evaluation
from busnet.evaluation.intervals import intervals
from busnet.evaluation.selection import UNKNOWN_TRAINING


@pytest.fixture(scope="module")
def hospitals():
    """Return evaluations on two sources, each by a model that left it out."""
    evaluations = []
    for source in ("a", "b"):
        scores = random_scores(30, source=source)
        evaluations.append(
            Evaluation(
                model=f"without {source}", network="resnet18",
                provenance={"protocol": "hospitals", "fold": source},
                protocol="hospitals", fold=source, leak="", scores=scores,
                figures=intervals(scores, count=10),
            )
        )  # fmt: skip
    return evaluations


CONVERTED = {"converted": {"file": "theirs.pth"}}


@pytest.mark.parametrize(
    "provenance", [CONVERTED, {"protocol": "hospitals", "start": CONVERTED}]
)
def test_of_an_unknown_training_it_is_unknown(hospitals, provenance, tmp_path):
    unknown = dataclasses.replace(
        hospitals[1], provenance=provenance, notes=(UNKNOWN_TRAINING,)
    )
    paths = [tmp_path / "a.json", tmp_path / "b.json"]
    for path, evaluation in zip(paths, (hospitals[0], unknown), strict=True):
        path.write_text(evaluation_to_json(evaluation))
    out = tmp_path / "pooled.json"
    done = call("pool", *paths, "--bootstrap", 10, "--json", out)
    assert UNKNOWN_TRAINING in " ".join(done.stdout.split())
    document = json.loads(out.read_text())
    assert document["leaky"] is None
    assert document["notes"] == [UNKNOWN_TRAINING]
    pooled, known = read_evaluation(out), pool_hospitals(hospitals, bootstrap=10)
    assert compare_evaluations(known, pooled, bootstrap=10).leaky is None
    assert json.loads(evaluation_to_json(known))["leaky"] is False


def test_a_leak_is_one_whatever_is_unknown(hospitals):
    leaky = dataclasses.replace(hospitals[0], leak="it was seen")
    unknown = dataclasses.replace(hospitals[1], provenance=CONVERTED)
    pooled = pool_hospitals([leaky, unknown], bootstrap=10)
    assert json.loads(evaluation_to_json(pooled))["leaky"] is True
