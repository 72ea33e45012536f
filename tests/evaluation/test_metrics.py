"""Figures, against scikit-learn and answers worked out by hand."""

import math

import numpy as np
import pytest
from evaluation_scores import classified, random_scores, segmented
from sklearn import metrics as sk

from busnet.data import CLASSES
from busnet.errors import DataError
from busnet.evaluation.metrics import (
    calibration_bins,
    compute_figures,
    confusion,
)
from busnet.evaluation.scores import CaseScore, Scores

PAIRS = (
    [("normal", "normal")] * 3
    + [("normal", "benign")]
    + [("benign", "benign")] * 4
    + [("benign", "malignant")] * 2
    + [("malignant", "malignant")] * 5
    + [("malignant", "normal")]
)


def figures(scores):
    return {name: float(value[0]) for name, value in compute_figures(scores).items()}


def test_confusion_and_counts_by_hand():
    scores = classified(PAIRS)
    assert confusion(scores).tolist() == [[3, 1, 0], [0, 4, 2], [1, 0, 5]]
    got = figures(scores)
    assert got["accuracy"] == pytest.approx(12 / 16)
    assert got["balanced accuracy"] == pytest.approx((3 / 4 + 4 / 6 + 5 / 6) / 3)
    assert got["benign precision"] == pytest.approx(4 / 5)
    assert got["benign recall"] == pytest.approx(4 / 6)
    assert got["benign F1"] == pytest.approx(8 / 11)
    assert got["macro F1"] == pytest.approx((6 / 8 + 8 / 11 + 10 / 13) / 3)
    assert got["lesions called normal"] == pytest.approx(1 / 12)
    # Right: 2 * 0.1^2 + 0.2^2; wrong: 0.9^2 + 0.8^2 + 0.1^2.
    assert got["Brier score"] == pytest.approx((12 * 0.06 + 4 * 1.46) / 16)
    assert got["negative log-likelihood"] == pytest.approx(
        -(12 * math.log(0.8) + 4 * math.log(0.1)) / 16
    )
    assert got["calibration error"] == pytest.approx(0.8 - 12 / 16)


def test_class_figures_are_scikit_learns():
    scores = random_scores()
    got = figures(scores)
    guesses = scores.probabilities.argmax(1)
    values = sk.precision_recall_fscore_support(scores.labels, guesses)
    for i, name in enumerate(CLASSES):
        for figure, value in zip(("precision", "recall", "F1"), values, strict=False):
            assert got[f"{name} {figure}"] == pytest.approx(value[i])
    assert got["accuracy"] == pytest.approx(sk.accuracy_score(scores.labels, guesses))
    assert got["balanced accuracy"] == pytest.approx(
        sk.balanced_accuracy_score(scores.labels, guesses)
    )
    assert got["negative log-likelihood"] == pytest.approx(
        sk.log_loss(scores.labels, scores.probabilities)
    )


def test_rank_figures_are_scikit_learns():
    scores = random_scores(decimals=2)
    got = figures(scores)
    truth, score = scores.labels == 2, scores.probabilities[:, 2]
    assert len(set(score.tolist())) < len(score)
    assert got["malignant AUC"] == pytest.approx(sk.roc_auc_score(truth, score))
    assert got["malignant AUPRC"] == pytest.approx(
        sk.average_precision_score(truth, score)
    )
    lesion = scores.labels > 0
    assert got["lesion AUC"] == pytest.approx(
        sk.roc_auc_score(lesion, 1 - scores.probabilities[:, 0])
    )
    given = score[lesion] / scores.probabilities[lesion, 1:].sum(1)
    assert got["AUC among lesions"] == pytest.approx(
        sk.roc_auc_score(truth[lesion], given)
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


def test_normals_do_not_move_the_auc_among_lesions():
    """The network calls lesions normal, but ranks them well among themselves."""
    cases = [
        CaseScore("a", "a", 0, "benign", (0.90, 0.08, 0.02)),
        CaseScore("b", "b", 0, "benign", (0.10, 0.80, 0.10)),
        CaseScore("c", "c", 0, "malignant", (0.94, 0.02, 0.04)),
        CaseScore("d", "d", 0, "malignant", (0.0, 0.0, 1.0)),
        CaseScore("e", "e", 0, "normal", (0.30, 0.00, 0.70)),
    ]
    got = figures(Scores(cases))
    assert got["AUC among lesions"] == 1
    assert got["malignant AUC"] == pytest.approx(4 / 6)
    assert got["lesions called normal"] == pytest.approx(2 / 4)


def test_a_case_that_is_surely_normal_counts_half_among_lesions():
    cases = [
        CaseScore("a", "a", 0, "benign", (1.0, 0.0, 0.0)),
        CaseScore("b", "b", 0, "malignant", (1.0, 0.0, 0.0)),
    ]
    assert figures(Scores(cases))["AUC among lesions"] == 0.5


def test_perfect_and_useless_scores():
    got = figures(classified([(label, label) for label in CLASSES * 5]))
    assert got["malignant AUC"] == got["accuracy"] == got["macro F1"] == 1
    flat = Scores(
        CaseScore(f"{i}", f"{i}", 0, CLASSES[i % 3], (1 / 3,) * 3) for i in range(30)
    )
    got = figures(flat)
    assert got["malignant AUC"] == pytest.approx(0.5)
    assert got["sensitivity at specificity 0.90"] == 0


def test_what_is_not_defined_is_nan():
    got = figures(classified([("benign", "benign")] * 4))
    for name in ("malignant AUC", "malignant AUPRC", "AUC among lesions", "lesion AUC"):
        assert math.isnan(got[name]), name
    assert math.isnan(got["sensitivity at specificity 0.90"])
    assert "malignant F1" not in got
    assert got["accuracy"] == got["macro F1"] == 1
    normal = figures(classified([("normal", "normal")] * 4))
    assert math.isnan(normal["lesions called normal"])


def test_weights_count_cases():
    scores = random_scores(30)
    draws = np.random.RandomState(1).randint(0, 4, (5, 30)).astype(float)
    weighted = compute_figures(scores, draws)
    for row, weights in enumerate(draws):
        repeated = Scores(
            case for case, w in zip(scores, weights, strict=True) for _ in range(int(w))
        )
        expected = figures(repeated)
        assert set(expected) <= set(weighted)
        for name, value in expected.items():
            assert weighted[name][row] == pytest.approx(value, nan_ok=True), name


def test_a_draw_without_any_case_has_no_figures():
    empty = compute_figures(random_scores(30), np.zeros((1, 30)))
    for name, value in empty.items():
        assert np.isnan(value).all(), name


def test_calibration_bins():
    labels = np.array([0, 0, 1, 1])
    shares = np.array(
        [[0.95, 0.05, 0], [0.95, 0.05, 0], [0.95, 0.05, 0], [0.3, 0.7, 0]]
    )
    share, accuracy, confidence = calibration_bins(labels, shares, np.ones((1, 4)))
    assert share.shape == (1, 15)
    used = share[0] > 0
    assert share[0, used] == pytest.approx([0.25, 0.75])
    assert accuracy[0, used] == pytest.approx([1, 2 / 3])
    assert confidence[0, used] == pytest.approx([0.7, 0.95])


def test_mask_figures_by_hand():
    scores = segmented(
        [
            ("benign", 0.01, 0.6, 4.0, 0.8),
            ("benign", 0.05, 0.8, 2.0, None),
            ("malignant", 0.2, 0.0, None, None),
            ("malignant", 0.3, 0.1, 30.0, 6.0),
            ("normal", 0.0, 1.0, None, None),
            ("normal", 0.0, 0.0, None, None),
        ]
    )
    got = figures(scores)
    assert got["Dice"] == pytest.approx(1.5 / 4)
    assert got["Dice benign"] == pytest.approx(0.7)
    assert got["Dice malignant"] == pytest.approx(0.05)
    assert (got["Dice small"], got["Dice medium"]) == pytest.approx((0.6, 0.8))
    assert got["Dice large"] == pytest.approx(0.05)
    assert got["HD95"] == got["ASSD"] == pytest.approx(12)
    assert got["HD95 in mm"] == got["ASSD in mm"] == pytest.approx(3.4)
    assert got["lesions not outlined"] == pytest.approx(1 / 4)
    assert got["lesions detected"] == pytest.approx(2 / 4)
    assert got["normals with a false lesion"] == pytest.approx(1 / 2)


def test_millimetres_are_figures_only_where_they_are_known():
    got = figures(segmented([("benign", 0.1, 0.5, 4.0, None)]))
    assert "HD95" in got
    assert "HD95 in mm" not in got


def test_partial_labels_count_where_they_can():
    sure = (0.1, 0.1, 0.8)
    scores = Scores(
        [
            CaseScore("both", "1", 0, "malignant", sure, True, True, 0.1, 0.8, 0.7),
            CaseScore("class alone", "2", 0, "benign", sure, None, True),
            CaseScore("mask alone", "3", 0, None, sure, True, False, 0.1, 0.0, 0.0),
        ]
    )
    got = figures(scores)
    assert got["accuracy"] == 0.5
    assert got["Dice"] == pytest.approx(0.4)
    assert got["lesions not outlined"] == 0.5
    assert got["Dice malignant"] == pytest.approx(0.8)
    # The predictions of all three have a class and a mask.
    assert got["class and mask agree"] == pytest.approx(2 / 3)
    assert confusion(scores).sum() == 2


def test_scores_of_masks_without_any_class_have_no_class_figures():
    scores = Scores([CaseScore("a", "a", 0, None, (0.2, 0.3, 0.5), True, True, 0.1, 1)])
    assert not scores.classifies
    got = figures(scores)
    assert "accuracy" not in got
    assert got["Dice"] == 1


def test_no_cases_are_an_error():
    with pytest.raises(DataError, match="no cases"):
        Scores([])


def test_cases_with_and_without_probabilities_do_not_mix():
    with pytest.raises(DataError, match="others none"):
        Scores(
            [
                CaseScore("a", "a", 0, "normal"),
                CaseScore("b", "b", 0, "normal", (1.0, 0.0, 0.0)),
            ]
        )
