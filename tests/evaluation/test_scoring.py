"""Scores of cases are the model's predictions, compared with the truth."""

import dataclasses
import shutil

import numpy as np
import pytest
from PIL import Image
from random_weights import save_random

import busnet
from busnet.data import read_custom
from busnet.errors import BusnetError, DataError
from busnet.evaluation.scores import CaseScore, Scores
from busnet.evaluation.scoring import score_cases
from busnet.networks import get_network


@pytest.fixture
def cases(phantom_data):
    return read_custom(phantom_data)


@pytest.fixture
def spoiled(phantom_data, tmp_path):
    """Copy the phantoms, one image cut off and one mask of another size."""
    root = tmp_path / "spoiled"
    shutil.copytree(phantom_data, root)
    image = root / "benign" / "case 4.png"
    image.write_bytes(image.read_bytes()[:300])
    Image.new("1", (9, 9), 1).save(root / "malignant" / "case 5_mask.png")
    return read_custom(root)


def test_scores_are_the_predictions(model, cases):
    scores = Scores(score_cases(model, cases))
    assert [case.name for case in scores] == [case.name for case in cases]
    for case, score in zip(cases, scores, strict=True):
        result = model.predict(case.image)
        assert score.probabilities == pytest.approx(
            tuple(result.probabilities.values())
        )
        truth = case.read_mask()
        both, total = (truth & result.mask).sum(), truth.sum() + result.mask.sum()
        assert score.dice == pytest.approx(2 * both / total if total else 1.0)
        assert score.area == pytest.approx(truth.mean())
        assert score.lesion == (case.label != "normal")
        assert score.predicted == result.mask.any()
        assert (score.group, score.source) == (case.group, case.source)


def test_changes_reach_the_network_and_the_mask(model, cases):
    plain = Scores(score_cases(model, cases))
    inverted = Scores(
        score_cases(model, cases, change=lambda pixels, mask, i: (1 - pixels, mask))
    )
    assert not np.allclose(inverted.probabilities, plain.probabilities)

    def fill_every_other(pixels, mask, index):
        return pixels, mask if index % 2 else np.ones_like(mask)

    filled = Scores(score_cases(model, cases, change=fill_every_other))
    assert [case.area == 1 for case in filled] == [i % 2 == 0 for i in range(9)]


def test_partial_labels(model, cases):
    lesion = next(case for case in cases if case.label == "benign")
    normal = next(case for case in cases if case.label == "normal")
    bare, unknown, bare_normal = score_cases(
        model,
        [
            dataclasses.replace(lesion, masks=()),
            dataclasses.replace(lesion, label=None),
            dataclasses.replace(normal, masks=()),
        ],
    )
    assert (bare.lesion, bare.dice, bare.label) == (None, None, "benign")
    assert bare.predicted is not None
    assert (unknown.label, unknown.lesion) == (None, True)
    assert unknown.dice is not None
    # A normal image without a file of a mask has an empty one.
    assert (bare_normal.lesion, bare_normal.dice) == (False, 1 - bare_normal.predicted)


def test_the_empty_mask_of_a_lesion_is_no_truth(model, cases, tmp_path):
    """A mask that nobody drew would count a right outline as a false lesion."""
    lesion = next(case for case in cases if case.label == "malignant")
    empty = tmp_path / "empty.png"
    Image.new("L", lesion.read_image().shape[::-1]).save(empty)
    (score,) = score_cases(model, [dataclasses.replace(lesion, masks=(empty,))])
    assert (score.lesion, score.dice) == (None, None)
    assert score.probabilities


def test_distances_are_in_mm_where_the_spacing_is_known(model, cases):
    lesion = next(case for case in cases if case.label == "malignant")
    plain, spaced = score_cases(
        model, [lesion, dataclasses.replace(lesion, spacing=(0.1, 0.1))]
    )
    assert plain.hd95 == spaced.hd95
    assert plain.hd95_mm is None
    if spaced.predicted:
        assert spaced.hd95_mm == pytest.approx(0.1 * spaced.hd95)
        assert spaced.assd_mm == pytest.approx(0.1 * spaced.assd)


def test_failures_concern_their_case_alone(model, spoiled):
    failures = []
    scores = list(score_cases(model, spoiled, on_failure=failures.append))
    assert len(scores) == 7
    assert {f.name for f in failures} == {"benign/case 4.png", "malignant/case 5.png"}
    for failure in failures:
        assert failure.name.split("/")[1] in failure.message
    by_name = {score.name: score for score in scores}
    for case in spoiled:
        if case.name in by_name:
            expected = model.predict(case.image).probabilities
            got = by_name[case.name].probabilities
            assert got == pytest.approx(tuple(expected.values()))


def test_a_normal_image_with_a_lesion_is_a_failure(model, cases):
    normal = next(case for case in cases if case.label == "normal")
    lesion = next(case for case in cases if case.label == "benign")
    odd = dataclasses.replace(normal, image=lesion.image, masks=lesion.masks)
    failures = []
    assert list(score_cases(model, [odd], on_failure=failures.append)) == []
    assert "is normal, but its mask has a lesion" in failures[0].message


@pytest.mark.parametrize("kind", ["inverted", "outline"])
def test_a_mask_that_cannot_be_a_lesions_is_a_failure(model, cases, tmp_path, kind):
    lesion = next(case for case in cases if case.label == "benign")
    mask = lesion.read_mask()
    inner = mask[1:-1, 1:-1] & mask[2:, 1:-1] & mask[:-2, 1:-1]
    outline = mask.copy()
    outline[1:-1, 1:-1] &= ~(inner & mask[1:-1, 2:] & mask[1:-1, :-2])
    odd = tmp_path / "m.png"
    Image.fromarray(~mask if kind == "inverted" else outline).save(odd)
    failures = []
    odd_case = dataclasses.replace(lesion, masks=(odd,))
    assert list(score_cases(model, [odd_case], on_failure=failures.append)) == []
    assert f"its mask cannot be a lesion's: it is {kind[:7]}" in (
        failures[0].message.replace("an outline", "outline")
    )


def test_without_anyone_to_take_it_a_failure_is_raised(model, spoiled):
    with pytest.raises(BusnetError, match=r"case 4\.png"):
        list(score_cases(model, spoiled))


def test_other_classes_are_refused(model, cases):
    classes = ("a", "b", "c")
    info = dataclasses.replace(model.info, classes=classes, class_shares={})
    other = type("Other", (), {"info": info})()
    with pytest.raises(DataError, match="a, b, c, not normal, benign, malignant"):
        list(score_cases(other, cases))


@pytest.mark.parametrize("head", ["class", "mask"])
def test_models_of_one_task(cases, tmp_path, head):
    row = get_network("resnet18", channels=1, heads=(head,))
    model = busnet.load(save_random(tmp_path / "w.safetensors", row))
    scores = Scores(score_cases(model, cases))
    assert scores.classifies == (head == "class")
    assert scores.segments == (head == "mask")


@pytest.mark.parametrize(
    ("change", "fact"),
    [
        ({"probabilities": (0.25,) * 4}, "4 probabilities"),
        ({"label": "odd"}, "unknown label 'odd'"),
        ({"surplus": 1}, "surplus"),
        ({"probabilities": None}, "not as expected"),
        ({"probabilities": (0.5, 0.5, 0.5)}, "a: probabilities do not add up to 1"),
        ({"probabilities": (None, 1.0, 0.0)}, "a: probabilities are not in 0..1"),
        ({"probabilities": (np.nan, 1.0, 0.0)}, "a: probabilities are not in 0..1"),
        ({"fold": "0"}, "a: the fold is a whole number, not '0'"),
        ({"group": 5}, "a: the group is no text"),
        ({"dice": "0.3"}, "a: dice cannot be '0.3'"),
        ({"dice": 7.0}, "a: dice cannot be 7.0"),
        ({"area": -3}, "a: area cannot be -3"),
        ({"hd95": float("inf")}, "a: hd95 cannot be inf"),
    ],
)
def test_scores_of_another_form_are_refused(change, fact):
    document = dataclasses.asdict(CaseScore("a", "g", 0, "normal", (1.0, 0.0, 0.0)))
    assert CaseScore.from_json(document).probabilities == (1, 0, 0)
    with pytest.raises(DataError, match=fact):
        CaseScore.from_json({**document, **change})
    with pytest.raises(DataError, match="not as expected"):
        CaseScore.from_json([1])
