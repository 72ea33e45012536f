"""Temperature, operating points, abstention and lesion peak."""

import numpy as np
import pytest

from busnet.lesions import lesion_mask
from busnet.training import calibration


def test_temperature_is_found():
    generator = np.random.RandomState(0)
    logits = generator.standard_normal((4000, 3)) * 2
    shares = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    labels = np.array([generator.choice(3, p=p) for p in shares])
    for temperature in (0.5, 1.0, 2.5):
        fitted = calibration.fit_temperature(logits * temperature, labels)
        assert fitted == pytest.approx(temperature, rel=0.08)


def test_operating_points_reach_their_sensitivity():
    scores = np.random.RandomState(0).uniform(0, 1, 37)
    for sensitivity in (0.5, 0.9, 0.95, 1.0):
        point = calibration.operating_point(scores, sensitivity)
        assert (scores >= point).mean() >= sensitivity
        assert (scores > point).mean() < sensitivity


def test_abstention_keeps_what_is_mostly_right():
    top = np.linspace(0.4, 0.99, 100)
    shares = np.stack([top, 1 - top, 0 * top], 1)
    labels = np.where(top < 0.6, 1, 0)
    point = calibration.abstention(shares, labels)
    certain = top >= point
    assert (shares.argmax(1) == labels)[certain].mean() >= 0.95
    assert certain.mean() >= 0.5
    assert calibration.abstention(shares, shares.argmax(1)) == 0
    assert calibration.abstention(shares, np.full(100, 2)) == 0


def blobs(*peaks):
    """Return probabilities (20, 60) with a square of each peak, and the squares."""
    probability = np.zeros((20, 60), np.float32)
    squares = np.zeros((len(peaks), 20, 60), bool)
    for i, peak in enumerate(peaks):
        squares[i, 5:15, 20 * i + 5 : 20 * i + 15] = True
        probability[squares[i]] = 0.6
        probability[10, 20 * i + 10] = peak
    return probability, squares


def test_the_lesion_peak_parts_lesions_from_spots():
    both, squares = blobs(0.97, 0.8)
    spot, _ = blobs(0.87)
    probabilities = np.stack([both, spot])
    masks = np.stack([squares[0], np.zeros_like(squares[0])])
    assert calibration.fit_lesion_peak(probabilities, masks, 0.5) == 0.88
    # Without false spots nothing needs to be omitted.
    lesions = (squares[0] | squares[1])[None]
    assert calibration.fit_lesion_peak(both[None], lesions, 0.5) == 0


@pytest.mark.parametrize("seed", range(3))
def test_the_lesion_peak_is_the_best_of_all(seed):
    generator = np.random.RandomState(seed)
    probabilities = generator.beta(1, 4, (12, 16, 16)).astype(np.float32)
    masks = probabilities + generator.uniform(-0.2, 0.2, (12, 16, 16)) > 0.7
    masks[:4] = False

    def agreement(peak):
        dice = []
        for probability, mask in zip(probabilities, masks, strict=True):
            predicted = lesion_mask(probability, 0.5, peak)
            total = predicted.sum() + mask.sum()
            dice.append(2 * (predicted & mask).sum() / total if total else 1.0)
        return np.mean(dice)

    chosen = calibration.fit_lesion_peak(probabilities, masks, 0.5)
    others = [agreement(peak) for peak in calibration.PEAKS]
    good = max(others) - calibration.PEAK_SLACK
    assert agreement(chosen) >= good
    assert max(others[: calibration.PEAKS.index(chosen)], default=0) < good
    assert np.ptp(others) > 0


def test_sources_and_classes_count_alike():
    labels = np.array([0, 0, 0, 1, 1, 2])
    sources = np.array([0, 0, 0, 0, 1, 1])
    weights = calibration.case_weights(labels, sources)
    assert weights.sum() == pytest.approx(1)
    assert weights[:4] * 4 == pytest.approx([1 / 3, 1 / 3, 1 / 3, 1])
    assert weights[4:] == pytest.approx([0.25, 0.25])


def test_the_worst_hospital_is_heard():
    generator = np.random.RandomState(0)
    truth = generator.randint(0, 3, 600)
    logits = 4.0 * np.eye(3)[truth] + generator.standard_normal((600, 3))
    # In the second hospital a third of the answers is wrong, and as sure.
    sources = np.repeat([0, 1], [500, 100])
    wrong = (sources == 1) & (np.arange(600) % 3 == 0)
    labels = np.where(wrong, (truth + 1) % 3, truth)
    pooled = calibration.fit_temperature(logits, labels)
    apart = calibration.fit_temperature(logits, labels, sources)
    alone = calibration.fit_temperature(logits[sources == 1], labels[sources == 1])
    assert pooled < apart < alone


def test_operating_points_count_weights():
    scores = np.array([0.9, 0.8, 0.7, 0.1])
    weights = np.array([1.0, 1.0, 1.0, 7.0])
    assert calibration.operating_point(scores, 0.5) == 0.8
    assert calibration.operating_point(scores, 0.5, weights) == 0.1


def test_abstention_counts_weights():
    top = np.array([0.5, 0.6, 0.7, 0.8])
    shares = np.stack([top, 1 - top, 0 * top], 1)
    labels = np.array([1, 0, 0, 0])
    assert calibration.abstention(shares, labels) == 0.6
    light = np.array([0.001, 1.0, 1.0, 1.0])
    assert calibration.abstention(shares, labels, light) == 0.0
