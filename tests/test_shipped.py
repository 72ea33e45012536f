"""The shipped models: size, provenance, and figures as published."""

import numpy as np
import pytest
from helpers import ROOT

import busnet
from busnet.data import CLASSES, PROTOCOLS, ContentHashes, read_busi
from busnet.data.phantom import phantom
from busnet.evaluation.documents import read_evaluation
from busnet.evaluation.leakage import (
    TrainedSource,
    check_leakage,
    trained_sources,
)
from busnet.evaluation.metrics import compute_figures
from busnet.evaluation.scores import Scores
from busnet.evaluation.scoring import score_cases
from busnet.models import DEFAULT, shipped
from busnet.weights import read_info

RESULTS = ROOT / "benchmarks" / "shipped"


def test_the_default_is_there():
    assert DEFAULT in shipped()
    assert busnet.load().info == read_info(shipped()[DEFAULT])


@pytest.mark.parametrize("name", shipped())
def test_files_are_small_and_say_where_they_come_from(name):
    assert shipped()[name].stat().st_size <= 50e6
    info = read_info(shipped()[name])
    assert info.network.name == name
    assert info.classes == CLASSES
    assert info.provenance["leaks"] == 0
    assert sorted(trained_sources(info.provenance), key=str) == [
        TrainedSource("busuclm", None, None),
        TrainedSource("busbra", "busbra-patients10", 0),
        TrainedSource("busi", "busi-groups", 0),
    ]
    assert check_leakage(info, "busi-group5", 0) == ""
    assert check_leakage(info, "busbra-patient10", 0) == ""
    assert len(ContentHashes.decode(info.content_hashes)) == 2704
    assert set(info.operating_points) == {"sensitivity 0.90", "sensitivity 0.95"}


@pytest.mark.parametrize("name", shipped())
def test_the_phantoms_lesion_is_found(name):
    image, truth = phantom()
    result = busnet.load(name).predict(image)
    both = (result.mask & truth).sum()
    assert 2 * both / (result.mask.sum() + truth.sum()) > 0.8
    assert result.label != "normal"


def test_an_empty_image_has_a_result():
    result = busnet.classify(np.zeros((300, 400), "uint8"))
    assert result.label in CLASSES
    assert busnet.segment(np.zeros((300, 400), "uint8")).mask.shape == (300, 400)


@pytest.mark.parametrize("name", shipped())
def test_published_scores_are_reproduced(busi, name):
    published = read_evaluation(RESULTS / f"{name}-busi-fold0.json")
    assert published.leak == ""
    cases = [c for c in PROTOCOLS["busi-group5"].choose(read_busi(busi)) if c.fold == 0]
    assert [c.name for c in cases] == [c.name for c in published.scores]
    step = 7
    got = score_cases(busnet.load(name), cases[::step])
    for score, expected in zip(got, published.scores[::step], strict=True):
        assert score.probabilities == pytest.approx(expected.probabilities, abs=1e-3)
        assert score.dice == pytest.approx(expected.dice, abs=1e-2)


@pytest.mark.parametrize("name", shipped())
def test_eight_bits_keep_the_figures(busi, name):
    published = read_evaluation(RESULTS / f"{name}-busi-fold0.json")
    cases = [c for c in PROTOCOLS["busi-group5"].choose(read_busi(busi)) if c.fold == 0]
    narrow = busnet.load(name, precision="int8")
    figures = compute_figures(Scores(score_cases(narrow, cases)))
    assert narrow.info.provenance["calibration"]["data"] == "release without fold 0"
    # CPUs that sum 8-bit products in 16 bits have weights of 7 bits.
    bound = 0.01 if busnet._core.engine()["int8"] else 0.015
    for figure in ("malignant AUC", "Dice"):
        published_value = published.figures[figure].value
        assert abs(figures[figure][0] - published_value) <= bound, figure
