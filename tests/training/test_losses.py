"""The losses: their known values, and what does not count."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from busnet.training.losses import class_loss, class_weights, mask_loss, silence_loss

ALL = torch.ones(2)


def test_class_weights_balance():
    weights = class_weights([1, 3, 2])
    assert weights.tolist() == pytest.approx([18 / 11, 6 / 11, 9 / 11])
    assert class_weights([0, 2, 1])[0] == 0


def test_the_two_questions_are_the_three_classes():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(30, 3, generator=generator)
    labels = torch.randint(0, 3, (30,), generator=generator)
    weights = torch.tensor([0.5, 1.0, 1.5])
    expected = functional.cross_entropy(logits, labels, weight=weights)
    assert class_loss(logits, labels, weights, 0.0).item() == pytest.approx(
        expected.item(), rel=1e-6
    )


def test_smoothing_leaves_something_to_the_other_side():
    logits = torch.tensor([[0.0, 0.0, 30.0]])
    sure = class_loss(logits, torch.tensor([2]), torch.ones(3), 0.1)
    # Two questions, each answered with a log-odds of 30: 5 % of 30 each.
    assert sure.item() == pytest.approx(2 * 0.05 * 30, rel=1e-4)


def test_unknown_classes_do_not_count():
    logits = torch.randn(4, 3, generator=torch.Generator().manual_seed(0))
    weights = torch.ones(3)
    some = class_loss(logits, torch.tensor([2, -1, 0, -1]), weights, 0.05)
    those = class_loss(logits[[0, 2]], torch.tensor([2, 0]), weights, 0.05)
    assert some.item() == pytest.approx(those.item(), rel=1e-6)
    none = class_loss(logits, torch.full((4,), -1), weights, 0.05)
    assert none.item() == 0


def test_a_source_without_normals_tells_of_its_lesions_alone():
    labels, weights = torch.tensor([1, 2]), torch.ones(3)
    logits = torch.zeros(2, 3, requires_grad=True)
    detects = torch.zeros(2)
    class_loss(logits, labels, weights, 0.0, detects).backward()
    assert not logits.grad[:, 0].any()
    assert torch.equal(logits.grad[:, 1], -logits.grad[:, 2])
    assert logits.grad[:, 1].all()


def test_the_mask_loss_has_its_known_values():
    masks = torch.zeros(2, 1, 4, 4)
    sure = torch.full((2, 1, 4, 4), -50.0)
    assert mask_loss(sure, masks, ALL).item() == pytest.approx(0, abs=1e-6)
    masks[0, 0, :2] = 1
    half = torch.zeros(2, 1, 4, 4)
    # p = 1/2 everywhere: cross-entropy ln 2, Dice 2 * 4 / (8 + 8) on the one lesion.
    expected = np.log(2) + 0.5
    assert mask_loss(half, masks, ALL).item() == pytest.approx(expected, rel=1e-5)
    right = torch.where(masks > 0, 50.0, -50.0)
    assert mask_loss(right, masks, ALL).item() == pytest.approx(0, abs=1e-5)


def test_unknown_masks_do_not_count():
    masks = torch.zeros(2, 1, 4, 4)
    masks[0, 0, :2] = 1
    logits = torch.randn(2, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    known = torch.tensor([1.0, 0.0])
    one = mask_loss(logits, masks, known)
    assert one.item() == pytest.approx(
        mask_loss(logits[:1], masks[:1], ALL[:1]).item(), rel=1e-6
    )
    assert mask_loss(logits, masks, torch.zeros(2)).item() == 0
    assert silence_loss(logits, masks, known).item() == 0


def test_small_false_lesions_are_heard():
    masks = torch.zeros(1, 1, 64, 64)
    quiet = torch.full((1, 1, 64, 64), -8.0)
    spot = quiet.clone()
    spot[..., :6, :6] = 3.0
    known = torch.ones(1)
    heard = silence_loss(spot, masks, known) - silence_loss(quiet, masks, known)
    barely = mask_loss(spot, masks, known) - mask_loss(quiet, masks, known)
    assert silence_loss(quiet, masks, known).item() < 1e-4
    assert heard.item() > 2.0
    assert barely.item() < 0.1
    lesion = torch.ones(1, 1, 64, 64)
    assert silence_loss(spot, lesion, known).item() == 0
