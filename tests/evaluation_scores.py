"""Scores that tests of the evaluation make up."""

import numpy as np

from busnet.data import CLASSES
from busnet.evaluation.scores import CaseScore, Scores

SURE = {
    "normal": (0.8, 0.1, 0.1),
    "benign": (0.1, 0.8, 0.1),
    "malignant": (0.1, 0.1, 0.8),
}


def classified(pairs):
    """Return scores of (true class, predicted class), each a group of its own."""
    return Scores(
        CaseScore(f"{i}", f"group {i}", 0, label, SURE[guess])
        for i, (label, guess) in enumerate(pairs)
    )


def segmented(rows):
    """Return scores of (class, area, Dice, distance in pixels, distance in mm)."""
    return Scores(
        CaseScore(
            f"{i}",
            f"group {i}",
            0,
            label,
            lesion=area > 0,
            predicted=dice > 0 if area > 0 else dice < 1,
            area=area,
            dice=dice,
            iou=dice / (2 - dice),
            hd95=pixels,
            assd=pixels,
            hd95_mm=millimetres,
            assd_mm=millimetres,
        )
        for i, (label, area, dice, pixels, millimetres) in enumerate(rows)
    )


def random_scores(count=120, seed=0, shift=0.0, group=2, source="", decimals=None):
    """Return scores whose true class has more probability, the more the shift."""
    generator = np.random.RandomState(seed)
    cases = []
    for i in range(count):
        label = i % 3
        logits = generator.standard_normal(3)
        logits[label] += 1 + shift
        shares = np.exp(logits) / np.exp(logits).sum()
        if decimals is not None:
            shares = shares.round(decimals)
        lesion = label > 0
        dice = float(generator.uniform(0, 1)) if lesion else 1.0
        distances = {"hd95": 10 * (1 - dice), "assd": 4 * (1 - dice)} if lesion else {}
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
                source=source,
                **distances,
            )
        )
    return Scores(cases)
