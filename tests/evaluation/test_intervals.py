"""Intervals by bootstrap over groups, and paired comparisons."""

import dataclasses

import numpy as np
import pytest
from evaluation_scores import classified, random_scores

from busnet.errors import DataError
from busnet.evaluation import intervals as module
from busnet.evaluation.intervals import compare, draw_weights, intervals
from busnet.evaluation.metrics import compute_figures
from busnet.evaluation.scores import CaseScore, Scores


def grouped(groups, sources=None):
    sources = sources or [""] * len(groups)
    return Scores(
        CaseScore(f"{i}", str(group), 0, "benign", (0.1, 0.8, 0.1), source=source)
        for i, (group, source) in enumerate(zip(groups, sources, strict=True))
    )


def test_whole_groups_are_drawn():
    for weights in draw_weights(grouped([0, 0, 1, 2, 2, 2]), 50, 0):
        assert weights.shape == (50, 6)
        assert (weights[:, 0] == weights[:, 1]).all()
        assert (weights[:, 3] == weights[:, 4]).all()
        assert (weights[:, 3] == weights[:, 5]).all()
        assert (weights[:, 0] + weights[:, 2] + weights[:, 3] == 3).all()
        assert len(np.unique(weights, axis=0)) > 5


def test_every_source_keeps_its_number_of_groups():
    # Group 0 of the one hospital is not group 0 of the other.
    scores = grouped([0, 1, 0, 1, 2], ["b", "b", "a", "a", "a"])
    (weights,) = draw_weights(scores, 200, 0)
    assert (weights[:, :2].sum(1) == 2).all()
    assert (weights[:, 2:].sum(1) == 3).all()
    assert (weights[:, 0] != weights[:, 2]).any()


def test_blocks_do_not_change_the_draws(monkeypatch):
    scores = random_scores(30)
    whole = np.concatenate(list(draw_weights(scores, 40, 3)))
    monkeypatch.setattr(module, "BLOCK", 100)
    blocks = list(draw_weights(scores, 40, 3))
    assert [len(block) for block in blocks] == [3] * 13 + [1]
    np.testing.assert_array_equal(np.concatenate(blocks), whole)


def test_a_negative_seed_is_refused():
    with pytest.raises(DataError, match="the seed -1 is negative"):
        intervals(random_scores(9), seed=-1)


def test_intervals_are_percentiles_of_the_draws():
    scores = random_scores(60)
    (weights,) = draw_weights(scores, 200, 5)
    drawn = compute_figures(scores, weights)
    got = intervals(scores, count=200, seed=5)
    for name in ("accuracy", "malignant AUC", "Dice", "HD95"):
        low, high = np.percentile(drawn[name], [2.5, 97.5])
        assert (got[name].low, got[name].high) == pytest.approx((low, high))
        assert got[name].value == pytest.approx(compute_figures(scores)[name][0])


def test_intervals_cover_what_they_should():
    """Of many samples' intervals about 95 % hold the true accuracy."""
    generator = np.random.RandomState(0)
    covered = 0
    for _ in range(60):
        right = generator.uniform(0, 1, 80) < 0.7
        scores = classified([("benign", "benign" if r else "normal") for r in right])
        interval = intervals(scores, count=150)["accuracy"]
        assert interval.low <= interval.value <= interval.high
        covered += interval.low <= 0.7 <= interval.high
    assert 50 <= covered <= 60


def test_intervals_are_wider_over_groups_than_over_images():
    cases = [
        CaseScore(
            f"{i}",
            f"{i // 10}",
            0,
            "benign",
            lesion=True,
            predicted=True,
            area=0.1,
            dice=0.9 if i // 10 % 2 else 0.3,
            iou=0.5,
            hd95=1.0,
            assd=1.0,
        )
        for i in range(150)
    ]
    over_groups = intervals(Scores(cases), count=300)["Dice"]
    over_images = intervals(
        Scores([dataclasses.replace(c, group=c.name) for c in cases]), count=300
    )["Dice"]
    width = over_images.high - over_images.low
    assert over_groups.high - over_groups.low > 2 * width


def test_macro_figures_count_each_source_alike():
    large, small = random_scores(90, source="a"), random_scores(30, 1, source="b")
    scores = Scores([*large, *small])
    got = intervals(scores, macro=True, count=100)
    for name in ("accuracy", "malignant AUC", "Dice"):
        parts = [compute_figures(part)[name][0] for part in (large, small)]
        assert got[name].value == pytest.approx(np.mean(parts)), name
        assert got[name].low < got[name].value < got[name].high
    assert got["accuracy"].value != pytest.approx(
        intervals(scores, count=10)["accuracy"].value
    )


def test_macro_figures_are_over_the_sources_that_have_them():
    """One source has no normal images: its false lesions are not counted as none."""
    full = random_scores(60, source="a")
    lesions = Scores(c for c in random_scores(60, 1, source="b") if c.label != "normal")
    name = "normals with a false lesion"
    both = Scores([*full, *lesions])
    got = intervals(both, macro=True, count=50)
    assert got[name].value == compute_figures(full)[name][0]
    assert got["lesion AUC"].value == pytest.approx(
        compute_figures(full)["lesion AUC"][0]
    )


def test_a_model_does_not_differ_from_itself():
    scores = random_scores(90)
    same = compare(scores, scores, count=100)
    assert set(same) == set(compute_figures(scores))
    for name, interval in same.items():
        assert (interval.value, interval.low, interval.high) == (0, 0, 0), name


def test_comparison_is_paired():
    first, better = random_scores(90), random_scores(90, shift=1.5)
    got = compare(first, better, count=300)
    one, other = compute_figures(first), compute_figures(better)
    for name, interval in got.items():
        assert interval.value == pytest.approx(other[name][0] - one[name][0]), name
    assert 0 < got["accuracy"].low < got["accuracy"].value < got["accuracy"].high
    # Half of the images gain nothing: draws of each alone would vary much more.
    half = Scores([*better[:45], *first[45:]])
    single, paired = intervals(half, count=300), compare(first, half, count=300)
    width = {n: i["Brier score"].high - i["Brier score"].low for n, i in (
        ("single", single), ("paired", paired)
    )}  # fmt: skip
    assert width["paired"] < 0.8 * width["single"]


def test_comparisons_need_the_same_cases():
    first = random_scores(90)
    with pytest.raises(DataError, match="30 only in the first, such as 60"):
        compare(first, random_scores(60))
    with pytest.raises(DataError, match="only in the second, such as x/0"):
        compare(first, random_scores(90, source="x"))
