"""The search for near-duplicates: copies are found, other images are not."""

import csv
import io
import re

import numpy as np
import pytest
from helpers import call
from PIL import Image

from busnet.data import read_busi
from busnet.data.duplicates import Pair, groups, near_duplicates
from busnet.data.phantom import phantom


def scene(seed):
    """Shuffle a phantom in blocks, so that scenes share no layout."""
    image = phantom(160, 200, seed=seed)[0].astype(np.float32) / 255
    blocks = [
        image[i : i + 40, j : j + 40]
        for i in range(0, 160, 40)
        for j in range(0, 200, 40)
    ]
    np.random.RandomState(seed).shuffle(blocks)
    return np.vstack([np.hstack(blocks[i : i + 5]) for i in range(0, 20, 5)])


def resized(image, height, width):
    return np.asarray(Image.fromarray(image).resize((width, height)))


def test_copies_are_found():
    first, second, third = scene(1), scene(2), scene(3)
    images = [
        first,
        second,
        resized(first, 90, 140),
        third,
        second[13:, :],
        np.clip(third * 0.7 + 0.1, 0, 1),
        scene(4),
    ]
    pairs = near_duplicates(images)
    assert {(p.first, p.second) for p in pairs} == {(0, 2), (1, 4), (3, 5)}
    assert all(0.93 <= p.correlation <= 1.0001 for p in pairs)
    assert pairs == sorted(pairs, key=lambda p: -p.correlation)
    assert groups(pairs, 7) == [0, 1, 0, 2, 1, 2, 3]


def test_groups_join_chains():
    pairs = [Pair(3, 4, 1), Pair(0, 3, 1), Pair(1, 2, 1)]
    assert groups(pairs, 6) == [0, 1, 1, 0, 0, 2]
    assert groups([], 3) == [0, 1, 2]


def test_flat_images_are_nobodys_copies():
    assert near_duplicates([np.zeros((9, 9)), np.ones((9, 9)), scene(1)]) == []


def test_what_the_docstring_says_of_busi_is_true(busi, busi_report):
    """The check of the data set reports the pairs that the search finds."""
    cases = read_busi(busi)
    numbers = {case.name: i for i, case in enumerate(cases)}
    pair = re.compile(r"busi: (.+) and busi: (.+) \([01]\.\d{3}\)")
    pairs = [
        pair.fullmatch(subject)
        for finding in busi_report.findings
        if "pair" in finding.message
        for subject in finding.subjects
    ]
    reported = {(numbers[p[1]], numbers[p[2]]) for p in pairs}
    truth = {
        (i, j)
        for i in range(len(cases))
        for j in range(i + 1, len(cases))
        if cases[i].group == cases[j].group
    }
    assert len(truth) == 264
    assert len(truth & reported) == pytest.approx(244, abs=2)
    assert len(truth & reported) / len(reported) == pytest.approx(0.97, abs=0.01)


def test_audit_command(tmp_path):
    for name, image in (("a", scene(1)), ("b", scene(2)), ("c", scene(1)[:, 16:])):
        Image.fromarray(np.rint(image * 255).astype(np.uint8)).save(
            tmp_path / f"{name}.png"
        )
    table = tmp_path / "groups.csv"
    done = call("audit", tmp_path, "--groups", table)
    (pair,) = csv.DictReader(io.StringIO(done.stdout))
    assert (pair["first"][-5:], pair["second"][-5:]) == ("a.png", "c.png")
    assert "2 scenes" in done.stderr
    rows = csv.DictReader(io.StringIO(table.read_text()))
    assert [row["group"] for row in rows] == ["0", "1", "0"]
    (tmp_path / "empty").mkdir()
    call("audit", tmp_path / "empty", check=2)
