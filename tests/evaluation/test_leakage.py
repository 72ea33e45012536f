"""A model is not evaluated on what it was trained on, unless that is asked for."""

import pytest
from random_weights import random_info

from busnet.errors import LeakError
from busnet.evaluation.leakage import (
    TrainedSource,
    check_leakage,
    default_fold,
    is_leaky,
    is_training_known,
    trained_sources,
)
from busnet.inference import EnsembleInfo
from busnet.networks import get_network

ROW = get_network("resnet18", channels=1)
DIVISIONS = {"busi": "busi-groups", "busbra": "busbra-patients10"}


def info(**provenance):
    return random_info(ROW, provenance=provenance)


#: As the files of the first models say it.
FORMER = info(
    protocol="busi-group5",
    fold=2,
    start={"protocol": "busbra-patient5", "fold": None, "start": "ImageNet"},
)
RELEASE = info(
    protocol="release",
    fold=0,
    sources={
        "busi": {"folds": "busi-groups", "fold": 0},
        "busbra": {"folds": "busbra-patients10", "fold": 0},
        "busuclm": {"folds": None, "fold": None},
    },
)
WITHOUT_BUSUCLM = info(
    protocol="hospitals",
    fold="busuclm",
    sources={
        "busi": {"folds": None, "fold": None},
        "busbra": {"folds": None, "fold": None},
    },
)
HOSPITALS = {"busi", "busbra", "busuclm"}


def refuses(model, protocol, fold, **options):
    with pytest.raises(LeakError, match="too good to be true"):
        check_leakage(model, protocol, fold, **options)
    return check_leakage(model, protocol, fold, allow_leak=True, **options)


def test_former_files_say_what_was_seen():
    assert trained_sources(FORMER.provenance) == [
        TrainedSource("busi", "busi-groups", 2),
        TrainedSource("busbra", None, None),
    ]
    assert default_fold(FORMER, "busi-group5") == 2
    assert default_fold(FORMER, "busi-clean") == 2
    assert default_fold(FORMER, "busi-random5") is None
    assert check_leakage(FORMER, "busi-group5", 2) == ""
    assert check_leakage(FORMER, "busi-clean", 2) == ""
    assert check_leakage(FORMER, "custom", None) == ""


@pytest.mark.parametrize(
    ("protocol", "fold"),
    [
        ("busi-group5", 1),
        ("busi-group5", None),
        ("busi-random5", 2),
        ("busbra-patient5", 0),
        ("busbra-patient10", 0),
    ],
)
def test_former_models_are_refused_what_they_saw(protocol, fold):
    assert refuses(FORMER, protocol, fold)


def test_leaky_protocols_are_refused_to_every_model():
    other = info(data="elsewhere")
    assert check_leakage(other, "busi-group5", None) == ""
    assert "LEAKY" in refuses(other, "busi-random5", 0)


def test_released_models_have_a_fold_of_two_sources():
    assert default_fold(RELEASE, "busi-group5") == 0
    assert default_fold(RELEASE, "busbra-patient10") == 0
    assert default_fold(RELEASE, "busbra-patient5") is None
    assert default_fold(RELEASE, "release") == 0
    for protocol in ("busi-group5", "busi-clean", "busbra-patient10", "release"):
        assert check_leakage(RELEASE, protocol, 0) == ""
    assert check_leakage(RELEASE, "custom", None, sources={"clinic"}) == ""
    assert check_leakage(RELEASE, "hospitals", "brest", sources={"brest"}) == ""


@pytest.mark.parametrize(
    ("protocol", "fold", "sources"),
    [
        ("busi-group5", 1, None),
        ("busbra-patient10", 3, None),
        ("busbra-patient5", 0, None),
        ("hospitals", "busuclm", {"busuclm"}),
        ("hospitals", "busi", {"busi"}),
        ("custom", None, {"busuclm"}),
    ],
)
def test_released_models_are_refused_the_rest(protocol, fold, sources):
    reason = refuses(RELEASE, protocol, fold, sources=sources)
    assert "the model was trained on" in reason


def test_hospitals():
    assert default_fold(WITHOUT_BUSUCLM, "hospitals", HOSPITALS) == "busuclm"
    assert default_fold(RELEASE, "hospitals", HOSPITALS) is None
    assert (
        check_leakage(WITHOUT_BUSUCLM, "hospitals", "busuclm", sources={"busuclm"})
        == ""
    )
    reason = refuses(WITHOUT_BUSUCLM, "hospitals", "busi", sources={"busi"})
    assert "all of busi" in reason
    reason = refuses(WITHOUT_BUSUCLM, "hospitals", None, sources=HOSPITALS)
    assert "busi" in reason
    assert "busbra" in reason


def test_what_a_model_started_from_counts():
    started = info(
        sources={"busuclm": {"folds": None, "fold": None}}, start=RELEASE.provenance
    )
    assert len(trained_sources(started.provenance)) == 4
    assert check_leakage(started, "busi-group5", 0) == ""
    assert refuses(started, "busi-group5", 1)
    assert refuses(started, "hospitals", "busuclm", sources={"busuclm"})


def test_one_member_of_an_ensemble_suffices_to_leak():
    other_fold = info(sources={"busi": {"folds": "busi-groups", "fold": 3}})
    clean = EnsembleInfo({"a": RELEASE, "b": info(sources={})})
    assert default_fold(clean, "busi-group5") == 0
    assert check_leakage(clean, "busi-group5", 0) == ""
    leaky = EnsembleInfo({"a": RELEASE, "b": other_fold})
    assert refuses(leaky, "busi-group5", 0).startswith(
        "the member b was trained on busi without fold 3 of busi-groups"
    )
    assert refuses(leaky, "busi-group5", 3).startswith("the member a was trained on")
    assert check_leakage(leaky, "busbra-patient10", 0) == ""
    assert default_fold(leaky, "busbra-patient10") == 0
    assert len(trained_sources(leaky.provenance)) == 4
    hospitals = EnsembleInfo({"a": WITHOUT_BUSUCLM, "b": other_fold})
    assert default_fold(hospitals, "hospitals", HOSPITALS) == "busuclm"


def test_provenance_of_another_kind_says_nothing():
    for provenance in ({}, {"protocol": "theirs"}, {"protocol": 3, "start": "x"}):
        assert trained_sources(provenance) == []


def test_of_converted_models_it_is_unknown():
    converted = {"converted": {"file": "theirs.pth"}}
    for provenance in (converted, {"protocol": "busi-group5", "start": converted}):
        assert not is_training_known(provenance)
        assert is_leaky("", provenance) is None
        assert is_leaky("trained on it", provenance) is True
    assert is_training_known(RELEASE.provenance)
    assert is_leaky("", RELEASE.provenance) is False
