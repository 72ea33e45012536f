"""Figures and intervals, against scikit-learn and values calculated by hand."""

import math

import numpy as np
import pytest
from sklearn import metrics as sk

from busnet.data import CLASSES
from busnet.errors import DataError
from busnet.evaluation.intervals import compare, intervals, replicates
from busnet.evaluation.metrics import (
    class_metrics,
    confusion,
    figures_of,
    mask_metrics,
    reliability,
)
from busnet.evaluation.scores import CaseScore, Scores

SURE = {
    "normal": (0.8, 0.1, 0.1),
    "benign": (0.1, 0.8, 0.1),
    "malignant": (0.1, 0.1, 0.8),
}


def classified(pairs):
    """Return scores of (true class, predicted class) pairs, each in its own group."""
    return Scores(
        CaseScore(f"{i}", f"group {i}", 0, label, SURE[guess])
        for i, (label, guess) in enumerate(pairs)
    )


PAIRS = (
    [("normal", "normal")] * 3
    + [("normal", "benign")]
    + [("benign", "benign")] * 4
    + [("benign", "malignant")] * 2
    + [("malignant", "malignant")] * 5
    + [("malignant", "normal")]
)


def random_scores(count=120, seed=0, shift=0.0, group=2):
    generator = np.random.RandomState(seed)
    cases = []
    for i in range(count):
        label = i % 3
        logits = generator.standard_normal(3)
        logits[label] += 1 + shift
        shares = np.exp(logits) / np.exp(logits).sum()
        lesion = label > 0
        dice = float(generator.uniform(0, 1)) if lesion else 1.0
        found = {"hd95": 10 * (1 - dice), "assd": 4 * (1 - dice)} if lesion else {}
        cases.append(
            CaseScore(
                f"{i}",
                f"g{i // group}",
                0,
                CLASSES[label],
                tuple(shares.tolist()),
                lesion=lesion,
                predicted=lesion,
                area=0.01 * (i % 20) if lesion else 0.0,
                dice=dice,
                iou=dice / (2 - dice),
                **found,
            )
        )
    return Scores(cases)


def test_confusion_and_counts_by_hand():
    scores = classified(PAIRS)
    assert confusion(scores).tolist() == [[3, 1, 0], [0, 4, 2], [1, 0, 5]]
    got = class_metrics(scores.labels, scores.probabilities)
    assert got["accuracy"] == pytest.approx(12 / 16)
    assert got["balanced accuracy"] == pytest.approx((3 / 4 + 4 / 6 + 5 / 6) / 3)
    assert got["benign precision"] == pytest.approx(4 / 5)
    assert got["benign recall"] == pytest.approx(4 / 6)
    assert got["benign F1"] == pytest.approx(8 / 11)
    assert got["macro F1"] == pytest.approx((6 / 8 + 8 / 11 + 10 / 13) / 3)
    # Right: 2 * 0.1^2 + 0.2^2; wrong: 0.9^2 + 0.8^2 + 0.1^2.
    assert got["Brier score"] == pytest.approx((12 * 0.06 + 4 * 1.46) / 16)
    assert got["negative log-likelihood"] == pytest.approx(
        -(12 * math.log(0.8) + 4 * math.log(0.1)) / 16
    )
    assert got["calibration error"] == pytest.approx(0.8 - 12 / 16)


def test_malignant_figures_are_scikit_learns():
    scores = random_scores()
    got = class_metrics(scores.labels, scores.probabilities)
    truth, score = scores.labels == 2, scores.probabilities[:, 2]
    assert got["malignant AUC"] == pytest.approx(sk.roc_auc_score(truth, score))
    assert got["malignant AUPRC"] == pytest.approx(
        sk.average_precision_score(truth, score)
    )
    for point in (0.90, 0.95):
        best = max(
            (score[truth] >= t).mean()
            for t in [*score, 2.0]
            if (score[~truth] < t).mean() >= point
        )
        assert got[f"sensitivity at specificity {point:.2f}"] == pytest.approx(best)
        best = max(
            (score[~truth] < t).mean()
            for t in score
            if (score[truth] >= t).mean() >= point
        )
        assert got[f"specificity at sensitivity {point:.2f}"] == pytest.approx(best)


def test_perfect_and_useless_scores():
    perfect = classified([(label, label) for label in CLASSES * 5])
    got = class_metrics(perfect.labels, perfect.probabilities)
    assert got["malignant AUC"] == got["accuracy"] == got["macro F1"] == 1
    flat = Scores(
        CaseScore(f"{i}", f"{i}", 0, CLASSES[i % 3], (1 / 3,) * 3) for i in range(30)
    )
    got = class_metrics(flat.labels, flat.probabilities)
    assert got["malignant AUC"] == pytest.approx(0.5)
    assert got["sensitivity at specificity 0.90"] == 0


def test_what_is_not_defined_is_nan():
    scores = classified([("benign", "benign")] * 4)
    got = class_metrics(scores.labels, scores.probabilities)
    assert math.isnan(got["malignant AUC"])
    assert "malignant F1" not in got
    assert got["accuracy"] == 1


def test_weights_count_cases():
    scores = random_scores(30)
    weights = np.random.RandomState(1).randint(0, 4, 30).astype(float)
    repeated = Scores(
        case for case, w in zip(scores, weights, strict=True) for _ in range(int(w))
    )
    weighted = figures_of(scores, weights)
    for name, value in figures_of(repeated).items():
        assert weighted[name] == pytest.approx(value, nan_ok=True), name


def test_reliability_bins():
    labels = np.array([0, 0, 1, 1])
    shares = np.array(
        [[0.95, 0.05, 0], [0.95, 0.05, 0], [0.95, 0.05, 0], [0.3, 0.7, 0]]
    )
    low, high = reliability(labels, shares)
    assert low == pytest.approx((0.25, 1, 0.7))
    assert high == pytest.approx((0.75, 2 / 3, 0.95))


def test_mask_figures_by_hand():
    def case(label, area, dice, hd95=None, predicted=True):
        return CaseScore(
            "x",
            "g",
            0,
            label,
            lesion=area > 0,
            predicted=predicted,
            area=area,
            dice=dice,
            iou=dice / (2 - dice),
            hd95=hd95,
            assd=hd95,
        )

    got = mask_metrics(
        [
            case("benign", 0.01, 0.6, 4.0),
            case("benign", 0.05, 0.8, 2.0),
            case("malignant", 0.2, 0.0, predicted=False),
            case("malignant", 0.3, 0.1, 30.0),
            case("normal", 0.0, 1.0, predicted=False),
            case("normal", 0.0, 0.0, predicted=True),
        ]
    )
    assert got["Dice"] == pytest.approx(1.5 / 4)
    assert got["Dice benign"] == pytest.approx(0.7)
    assert got["Dice malignant"] == pytest.approx(0.05)
    assert (got["Dice small"], got["Dice middle"]) == pytest.approx((0.6, 0.8))
    assert got["Dice large"] == pytest.approx(0.05)
    assert got["HD95"] == pytest.approx(12)
    assert got["no distance"] == pytest.approx(1 / 4)
    assert got["lesions found"] == pytest.approx(2 / 4)
    assert got["false positives"] == pytest.approx(1 / 2)


def test_replicates_draw_whole_groups():
    groups = np.array([0, 0, 1, 2, 2, 2])
    for weights in replicates(groups, 50, 0):
        assert weights[0] == weights[1]
        assert weights[3] == weights[4] == weights[5]
        assert weights[0] + weights[2] + weights[3] == 3


def test_intervals_cover_what_they_should():
    """About 95 % of the intervals of many samples contain the true accuracy."""
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
    images = intervals(random_scores(150, group=1), count=300)["Dice"]
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
    grouped = intervals(Scores(cases), count=300)["Dice"]
    single = intervals(
        Scores([CaseScore(**{**vars(c), "group": c.name}) for c in cases]), count=300
    )["Dice"]
    assert grouped.high - grouped.low > 2 * (single.high - single.low)
    assert images.low < images.value < images.high


def test_comparison_is_paired():
    first = random_scores(90)
    same = compare(first, first, count=100)
    assert all(i.value == i.low == i.high == 0 for i in same.values() if i.value == 0)
    better = random_scores(90, shift=1.5)
    got = compare(first, better, count=300)["accuracy"]
    assert 0 < got.low < got.value < got.high
    with pytest.raises(DataError, match="same cases"):
        compare(first, random_scores(60))


def test_no_cases_are_an_error():
    with pytest.raises(DataError, match="no cases"):
        Scores([])
