"""Figures of parts of the cases."""

import dataclasses

import pytest
from evaluation_scores import random_scores

from busnet.evaluation.intervals import intervals
from busnet.evaluation.scores import Scores
from busnet.evaluation.strata import MAX_VALUES, compute_strata


def with_attributes(scores, **values):
    """Give case i the i-th value of each attribute, in turn."""
    return Scores(
        dataclasses.replace(
            case,
            attributes={
                name: listed[i % len(listed)]
                for name, listed in values.items()
                if listed[i % len(listed)]
            },
        )
        for i, case in enumerate(scores)
    )


def by_kind(strata):
    kinds = {}
    for stratum in strata:
        kinds.setdefault(stratum.kind, {})[stratum.name] = stratum
    return kinds


def test_lesion_sizes():
    scores = random_scores(120)
    (sizes,) = by_kind(compute_strata(scores, count=20)).values()
    assert list(sizes) == ["small", "medium", "large"]
    expected = {"small": (0, 0.04), "medium": (0.04, 0.12), "large": (0.12, 2)}
    for name, (low, high) in expected.items():
        part = Scores(c for c in scores if c.lesion and low <= c.area < high)
        assert sizes[name].images == len(part)
        got = sizes[name].figures["Dice"]
        assert got == intervals(part, count=20)["Dice"]
    assert sum(s.images for s in sizes.values()) == sum(bool(c.lesion) for c in scores)


def test_sources_and_attributes():
    scores = Scores([*random_scores(60, source="a"), *random_scores(30, 1, source="b")])
    scores = with_attributes(scores, birads=("2", "3", "4", ""), side=("left",))
    kinds = by_kind(compute_strata(scores, count=20))
    assert list(kinds) == ["source", "lesion size", "birads"]
    assert {n: s.images for n, s in kinds["source"].items()} == {"a": 60, "b": 30}
    assert kinds["source"]["a"].groups == 30
    # The cases of which nothing is stated are a stratum, so that the counts add up.
    assert list(kinds["birads"]) == ["2", "3", "4", "not stated"]
    assert sum(s.images for s in kinds["birads"].values()) == 90
    part = Scores(c for c in scores if c.attributes.get("birads") == "3")
    assert kinds["birads"]["3"].figures["accuracy"].value == pytest.approx(
        intervals(part, count=10)["accuracy"].value
    )


def test_attributes_of_very_many_values_make_no_strata():
    many = [str(i) for i in range(MAX_VALUES + 1)]
    scores = with_attributes(random_scores(90), date=many, scanner=("A", "B"))
    assert "date" not in by_kind(compute_strata(scores, count=10))
    assert "scanner" in by_kind(compute_strata(scores, count=10))


def test_small_strata_are_marked_by_their_groups():
    # 27 images of 9 patients, and 60 images of 30.
    few = with_attributes(random_scores(27, group=3, source="a"), scanner=("A",))
    many = with_attributes(random_scores(60, group=2, source="b"), scanner=("B",))
    kinds = by_kind(compute_strata(Scores([*few, *many]), count=10))
    assert {n: s.is_small for n, s in kinds["scanner"].items()} == {
        "A": True,
        "B": False,
    }


def test_figures_that_are_not_defined_are_left_out():
    scores = with_attributes(random_scores(30), histology=("none", "cyst", "carcinoma"))
    kinds = by_kind(compute_strata(scores, count=10))
    assert "AUC among lesions" not in kinds["histology"]["cyst"].figures
    assert "accuracy" in kinds["histology"]["cyst"].figures
