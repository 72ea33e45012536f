"""Augmentation, losses, initial weights and the training loop."""

import copy
import dataclasses

import numpy as np
import pytest
import torch
from random_weights import random_arrays, save_random

import busnet
from busnet import errors
from busnet.data import CLASSES, read_busi, split
from busnet.lesions import lesion_mask
from busnet.networks import get_network
from busnet.training import calibration
from busnet.training import export as exporting
from busnet.training.augment import Augmentation
from busnet.training.graph import module
from busnet.training.losses import class_loss, class_weights, mask_loss
from busnet.training.pretrained import initialise, load_weights, re_estimate_norms
from busnet.training.recipe import RECIPES, Phase, Recipe
from busnet.training.trainer import Trainer

ROW = get_network("resnet18", channels=1)
SHORT = Recipe((Phase(32, 2, batch=4), Phase(48, 1, batch=4)))


@pytest.fixture(scope="module")
def made(phantoms):
    return split(read_busi(phantoms), "busi-group5", 0, validation=0.2)


def weights_of(trainer):
    return {k: v.clone() for k, v in trainer.average.state_dict().items()}


def assert_same(first, second):
    assert first.keys() == second.keys()
    for name, value in first.items():
        assert torch.equal(value, second[name]), name


def test_augmentation_moves_image_and_mask_together():
    masks = torch.zeros(16, 1, 64, 64)
    masks[:, :, 20:40, 15:45] = 1
    quiet = Augmentation(gain=1.0, contrast=1.0, speckle=0.0)
    generator = torch.Generator().manual_seed(0)
    images, moved = quiet(masks.clone(), masks, generator)
    both = ((images > 0.5) & (moved > 0.5)).sum()
    assert 2 * both / ((images > 0.5).sum() + moved.sum()) > 0.98
    assert not torch.equal(moved, masks)
    assert set(moved.unique().tolist()) == {0.0, 1.0}


def test_augmentation_is_a_matter_of_its_generator():
    images, masks = torch.rand(4, 1, 32, 32), torch.ones(4, 1, 32, 32)
    a = Augmentation()(images, masks, torch.Generator().manual_seed(1))
    b = Augmentation()(images, masks, torch.Generator().manual_seed(1))
    c = Augmentation()(images, masks, torch.Generator().manual_seed(2))
    assert torch.equal(a[0], b[0])
    assert not torch.equal(a[0], c[0])
    assert a[0].min() >= 0
    assert a[0].max() <= 1


def test_augmentation_never_turns_images_over():
    images = torch.zeros(64, 1, 32, 32)
    images[:, :, :8] = 1
    moved, _ = Augmentation()(images, images, torch.Generator().manual_seed(0))
    assert (moved[:, :, :16].mean((1, 2, 3)) > moved[:, :, 16:].mean((1, 2, 3))).all()


def test_class_weights_balance():
    weights = class_weights([0, 1, 1, 1, 2, 2], 3)
    assert weights.tolist() == pytest.approx([18 / 11, 6 / 11, 9 / 11])
    assert class_weights([1, 1, 2], 3)[0] == 0


def test_losses_have_their_known_values():
    logits = torch.tensor([[0.0, 0.0, 0.0]])
    loss = class_loss(logits, torch.tensor([1]), torch.ones(3), 0.0)
    assert loss.item() == pytest.approx(np.log(3), rel=1e-6)
    masks = torch.zeros(2, 1, 4, 4)
    sure = torch.full((2, 1, 4, 4), -50.0)
    assert mask_loss(sure, masks).item() == pytest.approx(0, abs=1e-6)
    masks[0, 0, :2] = 1
    half = torch.zeros(2, 1, 4, 4)
    # p = 1/2 everywhere: cross-entropy ln 2, Dice 2 * 4 / (8 + 8) on the one lesion.
    assert mask_loss(half, masks).item() == pytest.approx(np.log(2) + 0.5, rel=1e-5)
    right = torch.where(masks > 0, 50.0, -50.0)
    assert mask_loss(right, masks).item() == pytest.approx(0, abs=1e-5)


def test_stage_shortcuts_change_nothing_at_the_start():
    from busnet.training.pretrained import zero_last_norms

    torch.manual_seed(0)
    plain_row = get_network("resnet18")
    row = get_network("resnet18", stage_shortcuts=True)
    plain, modified = module(plain_row).eval(), module(row).eval()
    zero_last_norms(modified, row, stages="0")
    modified.load_state_dict(plain.state_dict(), strict=False)
    images = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        a, b = plain(images), modified(images)
    for head in row.heads:
        assert torch.equal(a[head], b[head])


def test_a_copy_computes_with_its_own_weights():
    torch.manual_seed(0)
    graph = module(ROW)
    twin = copy.deepcopy(graph).eval()
    images = torch.rand(2, 1, 64, 64)
    with torch.no_grad():
        before = twin(images)["class"].clone()
        for parameter in graph.parameters():
            parameter.add_(1)
        assert torch.equal(twin(images)["class"], before)
    assert graph.bn1.num_batches_tracked == 0


def test_norm_statistics_are_measured_and_the_function_kept():
    torch.manual_seed(0)
    graph = module(ROW).eval()
    batches = [torch.rand(8, 1, 64, 64) for _ in range(3)]
    with torch.no_grad():
        before = graph(batches[0])["class"].clone()
        re_estimate_norms(graph, batches, keep_function=True)
        graph.eval()
        after = graph(batches[0])["class"]
    torch.testing.assert_close(before, after, rtol=1e-3, atol=1e-4)
    assert not torch.equal(graph.bn1.running_mean, torch.zeros(64))
    assert graph.bn1.momentum == 0.1


@pytest.mark.parametrize("name", ["resnet18", "resnet34", "resnet50", "mod_resnet101"])
def test_imagenet_weights_are_loaded(data_folder, name):
    row = get_network(name, channels=1)
    graph = module(row)
    fresh = {k: v.clone() for k, v in graph.state_dict().items()}
    loaded = initialise(graph, row, data_folder / "weights")
    arrays = graph.state_dict()
    assert "conv1.weight" in loaded
    assert "layer3.0.conv1.weight" in loaded
    assert "fc.weight" not in loaded
    for key in loaded:
        if key.endswith("conv1.weight"):
            assert not torch.equal(arrays[key], fresh[key])
    # Blocks that are missing in the file start as identities.
    last = "bn3" if row.block == "bottleneck" else "bn2"
    assert not arrays[f"layer4.1.{last}.weight"].any()
    if row.stage_shortcuts:
        assert not arrays["layer1.shortcut.1.weight"].any()


def test_a_missing_imagenet_file_is_named(tmp_path):
    with pytest.raises(errors.WeightsError, match="resnet18_imagenet"):
        initialise(module(ROW), ROW, tmp_path)


def test_weights_files_are_loaded(tmp_path):
    path = save_random(tmp_path / "w.safetensors", ROW)
    graph = module(ROW)
    load_weights(graph, ROW, path)
    for name, array in random_arrays(ROW).items():
        np.testing.assert_array_equal(graph.state_dict()[name].numpy(), array)
    with pytest.raises(errors.WeightsError, match="resnet34"):
        load_weights(graph, get_network("resnet34", channels=1), path)


def test_training_learns(made):
    recipe = Recipe((Phase(48, 30, batch=8),), learning_rate=5e-4, ema=0.9)
    measured = []
    Trainer(ROW, made, recipe).run(
        lambda p: measured.append(p.validation) if p.validation else None
    )
    assert len(measured) == 30
    assert measured[-1]["dice"] > measured[0]["dice"] + 0.2
    assert measured[-1]["accuracy"] >= 0.8


def test_training_is_a_matter_of_its_seed(made):
    a, b = (Trainer(ROW, made, SHORT, bfloat16=False) for _ in range(2))
    a.run()
    b.run()
    assert_same(weights_of(a), weights_of(b))
    other = Trainer(ROW, made, dataclasses.replace(SHORT, seed=1), bfloat16=False)
    other.run()
    assert not torch.equal(other.average.fc.weight, a.average.fc.weight)


class KilledError(Exception):
    pass


@pytest.mark.parametrize("stop", [1, 5, 11, 14])
def test_a_killed_training_resumes_to_the_same_weights(made, tmp_path, stop):
    def kill(progress):
        if progress.step == stop:
            raise KilledError

    whole = Trainer(ROW, made, SHORT, bfloat16=False)
    whole.run()
    path = tmp_path / "state.ckpt"
    first = Trainer(ROW, made, SHORT, bfloat16=False, checkpoint=path)
    with pytest.raises(KilledError):
        first.run(kill, checkpoint_seconds=0)
    steps = []
    second = Trainer(ROW, made, SHORT, bfloat16=False, checkpoint=path)
    second.run(lambda progress: steps.append(progress.step))
    assert steps[0] == stop + 1
    assert_same(weights_of(whole), weights_of(second))


def test_a_checkpoint_of_another_training_is_refused(made, tmp_path):
    path = tmp_path / "state.ckpt"
    Trainer(ROW, made, SHORT, checkpoint=path).run()
    with pytest.raises(errors.DataError, match=r"state\.ckpt"):
        Trainer(ROW, made, dataclasses.replace(SHORT, seed=1), checkpoint=path).run()


@pytest.mark.parametrize("frozen", [1, 3])
def test_frozen_stages_stay_as_they_start(made, tmp_path, frozen):
    start = save_random(tmp_path / "start.safetensors", ROW)
    recipe = dataclasses.replace(SHORT, frozen=frozen)
    trainer = Trainer(ROW, made, recipe, start=start)
    whole = Trainer(ROW, made, SHORT, start=start)
    load_weights(whole.graph, ROW, start)
    before = {k: v.clone() for k, v in whole.graph.state_dict().items()}
    trainer.run()
    still = {"conv1", "bn1", *(f"layer{i + 1}" for i in range(frozen))}
    for name, value in trainer.graph.state_dict().items():
        same = torch.equal(value, before[name])
        if name.split(".")[0] in still:
            assert same, name
        elif value.is_floating_point():
            assert not same, name
    with pytest.raises(errors.DataError, match="cannot be frozen"):
        Trainer(ROW, made, recipe)


@pytest.mark.parametrize("name", ["abacus", "cuda:99", "cpu:x"])
def test_a_device_that_is_not_there_is_named(made, name):
    with pytest.raises(errors.DataError, match=f"no device '{name}'"):
        Trainer(ROW, made, SHORT, device=name)


def test_a_device_is_chosen_by_what_there_is(made):
    expected = "cuda" if torch.cuda.is_available() else "cpu"
    assert Trainer(ROW, made, SHORT, device="auto").device.type == expected


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA GPU")
def test_a_gpu_computes_what_the_cpu_does(made, tmp_path):
    start = save_random(tmp_path / "start.safetensors", ROW)
    first = dataclasses.replace(SHORT, phases=(Phase(48, 1, batch=8),))
    losses = {}
    for device in ("cpu", "cuda"):
        seen = losses.setdefault(device, [])
        Trainer(ROW, made, first, start=start, device=device, bfloat16=False).run(
            lambda progress, seen=seen: seen.append(progress.loss)
        )
    # Rounded products (TF32) and the rates of AdamW let them diverge slowly.
    np.testing.assert_allclose(losses["cuda"][0], losses["cpu"][0], rtol=2e-3)
    np.testing.assert_allclose(losses["cuda"], losses["cpu"], rtol=0.1)


def test_recipes_are_shortened_to_any_length():
    for recipe in RECIPES.values():
        for epochs in range(1, 60):
            short = recipe.shortened(epochs)
            assert sum(phase.epochs for phase in short.phases) == epochs
            assert short.size == recipe.size


def test_temperature_is_found():
    generator = np.random.RandomState(0)
    logits = generator.standard_normal((4000, 3)) * 2
    shares = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    labels = np.array([generator.choice(3, p=p) for p in shares])
    for temperature in (0.5, 1.0, 2.5):
        found = calibration.fit_temperature(logits * temperature, labels)
        assert found == pytest.approx(temperature, rel=0.08)


def test_operating_points_reach_their_sensitivity():
    scores = np.random.RandomState(0).uniform(0, 1, 37)
    for wanted in (0.5, 0.9, 0.95, 1.0):
        point = calibration.operating_point(scores, wanted)
        assert (scores >= point).mean() >= wanted
        assert (scores > point).mean() < wanted


def test_abstention_keeps_what_is_mostly_right():
    top = np.linspace(0.4, 0.99, 100)
    shares = np.stack([top, 1 - top, 0 * top], 1)
    labels = np.where(top < 0.6, 1, 0)
    point = calibration.abstention(shares, labels)
    kept = top >= point
    assert (shares.argmax(1) == labels)[kept].mean() >= 0.95
    assert kept.mean() >= 0.5
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
            found = lesion_mask(probability, 0.5, peak)
            total = found.sum() + mask.sum()
            dice.append(2 * (found & mask).sum() / total if total else 1.0)
        return np.mean(dice)

    chosen = calibration.fit_lesion_peak(probabilities, masks, 0.5)
    others = [agreement(peak) for peak in calibration.PEAKS]
    good = max(others) - calibration.PEAK_SLACK
    assert agreement(chosen) >= good
    assert max(others[: calibration.PEAKS.index(chosen)], default=0) < good
    assert np.ptp(others) > 0


@pytest.mark.parametrize("eight_bit", [False, True])
def test_exported_weights_compute_what_the_module_does(made, tmp_path, eight_bit):
    trainer = Trainer(ROW, made, SHORT)
    trainer.run()
    path = tmp_path / "w.safetensors"
    info = exporting.export(path, trainer, {"data": "phantoms"}, eight_bit=eight_bit)
    model = busnet.load(path)
    assert model.info == info
    assert info.classes == CLASSES
    assert info.image_size == 48
    assert info.provenance["train_images"] == len(made.train)
    assert info.provenance["recipe"]["seed"] == 0
    assert info.provenance["device"] == "cpu"
    assert info.lesion_peak in calibration.PEAKS
    images = np.random.RandomState(0).uniform(0, 1, (2, 48, 48)).astype(np.float32)
    with torch.no_grad():
        expected = trainer.average.eval()(torch.from_numpy(images[:, None]))
    got = model.run(images)
    slack = 0.05 if eight_bit else 1e-4
    for head in ROW.heads:
        e = expected[head].numpy().reshape(got[head].shape)
        assert np.abs(got[head] - e).max() <= slack * max(1, np.abs(e).max())
