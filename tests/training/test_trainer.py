"""The training loop, its checkpoints, its figures and the weights file."""

import copy
import dataclasses

import numpy as np
import pytest
import torch
from random_weights import save_random

import busnet
from busnet import errors
from busnet.data import CLASSES, ContentHashes, read_busi, read_sources, split
from busnet.networks import get_network
from busnet.training import calibration
from busnet.training import export as exporting
from busnet.training import step as steps
from busnet.training.examples import UNKNOWN, Examples
from busnet.training.graph import load_arrays, module
from busnet.training.measures import Outputs, average_sources, measure
from busnet.training.recipe import RECIPES, Phase, Recipe
from busnet.training.sampling import Sampling
from busnet.training.trainer import Trainer
from busnet.weights import read_arrays

ROW = get_network("resnet18", channels=1)
PLAIN = Sampling(balanced=False)
SHORT = Recipe((Phase(32, 2, batch=4), Phase(48, 1, batch=4)), sampling=PLAIN)
#: All changes at once.
FULL = dataclasses.replace(
    RECIPES["standard"], phases=(Phase(32, 2, batch=8),), learning_rate=1e-4
)


@pytest.fixture(scope="module")
def parts(phantoms):
    return split(read_busi(phantoms), "busi-group5", 0, validation=0.2)


@pytest.fixture(scope="module")
def hospitals(two_hospitals):
    return split(read_sources({"custom": two_hospitals}), "hospitals", None)


def weights_of(trainer):
    return {k: v.clone() for k, v in trainer.average.state_dict().items()}


def assert_same(first, second):
    assert first.keys() == second.keys()
    for name, value in first.items():
        assert torch.equal(value, second[name]), name


def test_training_learns(parts):
    recipe = Recipe(
        (Phase(32, 10, batch=8),), learning_rate=5e-4, ema=0.9, sampling=PLAIN
    )
    measured = []
    Trainer(ROW, parts, recipe).run(
        lambda p: measured.append(p.validation) if p.validation else None
    )
    assert len(measured) == 10
    assert measured[-1]["Dice"] > measured[0]["Dice"] + 0.2
    assert measured[-1]["accuracy"] >= 0.8


@pytest.fixture(scope="module")
def whole(parts):
    """Train without a break, and return the weights."""
    trainer = Trainer(ROW, parts, SHORT, bfloat16=False)
    trainer.run()
    return weights_of(trainer)


def test_training_is_a_matter_of_its_seed(parts, whole):
    again = Trainer(ROW, parts, SHORT, bfloat16=False)
    again.run()
    assert_same(whole, weights_of(again))
    other = Trainer(ROW, parts, dataclasses.replace(SHORT, seed=1), bfloat16=False)
    other.run()
    assert not torch.equal(other.average.fc.weight, whole["fc.weight"])


class KilledError(Exception):
    pass


@pytest.mark.parametrize("stop", [1, 5, 11, 14])
def test_a_killed_training_resumes_to_the_same_weights(parts, whole, tmp_path, stop):
    def kill(progress):
        if progress.step == stop:
            raise KilledError

    path = tmp_path / "state.ckpt"
    first = Trainer(ROW, parts, SHORT, bfloat16=False, checkpoint=path)
    with pytest.raises(KilledError):
        first.run(kill, checkpoint_seconds=0)
    steps = []
    second = Trainer(ROW, parts, SHORT, bfloat16=False, checkpoint=path)
    second.run(lambda progress: steps.append(progress.step))
    assert steps[0] == stop + 1
    assert_same(whole, weights_of(second))


def test_a_checkpoint_of_another_training_is_refused(parts, tmp_path):
    def kill(progress):
        raise KilledError

    path = tmp_path / "state.ckpt"
    with pytest.raises(KilledError):
        Trainer(ROW, parts, SHORT, checkpoint=path).run(kill, checkpoint_seconds=0)
    with pytest.raises(errors.DataError, match=r"state\.ckpt"):
        Trainer(ROW, parts, dataclasses.replace(SHORT, seed=1), checkpoint=path).run()


@pytest.mark.parametrize("frozen", [1, 3])
def test_frozen_stages_stay_as_they_start(parts, tmp_path, frozen):
    start = save_random(
        tmp_path / "start.safetensors",
        ROW,
        mean=ROW.statistics[0],
        std=ROW.statistics[1],
    )
    recipe = dataclasses.replace(SHORT, phases=SHORT.phases[:1], frozen=frozen)
    trainer = Trainer(ROW, parts, recipe, start=start)
    whole = Trainer(ROW, parts, SHORT, start=start)
    load_arrays(whole.graph, read_arrays(start))
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
        Trainer(ROW, parts, recipe)


@pytest.mark.parametrize("name", ["abacus", "cuda:99", "cpu:x"])
def test_a_device_that_is_not_there_is_named(parts, name):
    with pytest.raises(errors.DataError, match=f"no device '{name}'"):
        Trainer(ROW, parts, SHORT, device=name)


def test_a_device_is_chosen_by_what_there_is(parts):
    expected = "cuda" if torch.cuda.is_available() else "cpu"
    assert Trainer(ROW, parts, SHORT, device="auto").device.type == expected


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA GPU")
def test_a_gpu_computes_what_the_cpu_does(parts, tmp_path):
    start = save_random(tmp_path / "start.safetensors", ROW)
    first = dataclasses.replace(SHORT, phases=(Phase(48, 1, batch=8),))
    losses = {}
    for device in ("cpu", "cuda"):
        seen = losses.setdefault(device, [])
        Trainer(ROW, parts, first, start=start, device=device, bfloat16=False).run(
            lambda progress, seen=seen: seen.append(progress.loss)
        )
    # Rounded products (TF32) and the rates of AdamW let them diverge slowly.
    np.testing.assert_allclose(losses["cuda"][0], losses["cpu"][0], rtol=2e-3)
    np.testing.assert_allclose(losses["cuda"][-1], losses["cpu"][-1], rtol=0.1)


def test_recipes_are_shortened_to_any_length():
    for recipe in RECIPES.values():
        for epochs in range(1, 60):
            short = recipe.shortened(epochs)
            assert sum(phase.epochs for phase in short.phases) == epochs
            assert short.size == recipe.size


def test_all_changes_train_on_two_hospitals(hospitals):
    row = dataclasses.replace(ROW, pooling="lesion")
    lines, seen = [], []
    trainer = Trainer(row, hospitals, FULL, log=lines.append)
    trainer.run(lambda progress: seen.append(progress))
    assert all(np.isfinite(progress.loss) for progress in seen)
    assert seen[-1].step == seen[-1].steps == trainer.steps
    assert {"accuracy", "Dice", "score"} <= seen[-1].validation.keys()
    assert any("north: lesion-free crops" in line for line in lines)
    assert [f"draws: {line}" for line in trainer.sampling] == lines
    assert all(torch.isfinite(v).all() for v in weights_of(trainer).values())


def test_a_killed_training_with_all_changes_resumes(hospitals, tmp_path):
    def kill(progress):
        if progress.step == 3:
            raise KilledError

    path = tmp_path / "state.ckpt"
    whole = Trainer(ROW, hospitals, FULL, bfloat16=False)
    whole.run()
    with pytest.raises(KilledError):
        Trainer(ROW, hospitals, FULL, bfloat16=False, checkpoint=path).run(
            kill, checkpoint_seconds=0
        )
    second = Trainer(ROW, hospitals, FULL, bfloat16=False, checkpoint=path)
    second.run()
    assert_same(weights_of(whole), weights_of(second))


def test_partial_labels_train_what_they_have(hospitals):
    """A class without a mask trains the class, a mask without a class the mask."""
    fields = {"masks": (), "label": "malignant"}
    unmasked = [dataclasses.replace(c, **fields) for c in hospitals.train[:8]]
    outlined = [c for c in hospitals.train if c.label != "normal"][:8]
    unlabelled = [dataclasses.replace(c, label=None) for c in outlined]
    recipe = Recipe((Phase(32, 1, batch=8),), sampling=Sampling(), silence=0.5)

    def gradients(cases):
        parts = dataclasses.replace(hospitals, train=tuple(cases), validation=())
        trainer = Trainer(ROW, parts, recipe, bfloat16=False)
        trainer.run()
        return {n: p.grad for n, p in trainer.graph.named_parameters()}

    of_class, of_mask = gradients(unmasked), gradients(unlabelled)
    assert of_class["fc.weight"].any()
    assert not of_class["decoder.logit.weight"].any()
    assert of_mask["decoder.logit.weight"].any()
    assert not of_mask["fc.weight"].any()


def test_a_file_that_is_no_checkpoint_is_named(parts, tmp_path):
    path = tmp_path / "state.ckpt"
    for content in (b"", b"nonsense", b"PK" + bytes(100)):
        path.write_bytes(content)
        with pytest.raises(errors.DataError, match=r"state\.ckpt"):
            Trainer(ROW, parts, SHORT, checkpoint=path).run()
    torch.save({"something": 1}, path)
    with pytest.raises(errors.DataError, match="no checkpoint"):
        Trainer(ROW, parts, SHORT, checkpoint=path).run()


def test_a_mask_of_another_size_is_named(parts, tmp_path):
    case, other = parts.train[0], next(c for c in parts.train if c.label == "benign")
    small = tmp_path / "small.png"
    from PIL import Image

    Image.fromarray(np.full((9, 9), 255, np.uint8)).save(small)
    wrong = dataclasses.replace(other, masks=(small,))
    with pytest.raises(errors.DataError, match=r"\(9, 9\)"):
        Examples.load([case, wrong], 32, 1)


def test_a_step_does_not_look_at_what_it_computes(hospitals, monkeypatch):
    """On the meta device there are no numbers to look at."""
    seen = Examples.load(hospitals.train, 48, 1)
    meta = seen.to(torch.device("meta"))
    recipe = dataclasses.replace(FULL, hierarchical=True)
    row = dataclasses.replace(ROW, pooling="lesion")
    graph = module(row).to("meta")
    monkeypatch.setattr(steps, "forward", lambda g, images, bfloat16: g(images))
    sampler = steps.Sampler(seen, recipe.sampling, batch=8)
    step = steps.Step(
        graph,
        copy.deepcopy(graph),
        torch.optim.SGD(graph.parameters(), lr=0.1),
        recipe,
        meta,
        sampler,
        size=48,
        batch=8,
        class_weights=torch.ones(3),
        bfloat16=False,
    )
    course = steps.Course.draw(sampler, recipe, 0, torch.device("meta"))
    step(course, 0, 0.1)
    assert step.loss.is_meta


def test_figures_are_measured_by_source():
    names = ("north", "south")
    labels = [0, 1, 2, 2, 1, 2, UNKNOWN]
    masks = np.zeros((7, 1, 8, 8), np.uint8)
    masks[1:, :, 2:6, 2:6] = 1
    table = Examples.make(
        np.zeros((7, 1, 8, 8), np.uint8),
        masks,
        np.tile(np.array([[0, 0, 1, 1]], np.float32), (7, 1)),
        labels=labels,
        masked=[True] * 6 + [False],
        sources=[0, 0, 0, 0, 1, 1, 1],
        groups=list(range(7)),
        names=names,
    )
    logits = np.log(
        [
            [0.7, 0.2, 0.1],
            [0.1, 0.6, 0.3],
            [0.1, 0.5, 0.4],
            [0.6, 0.1, 0.3],
            [0.1, 0.2, 0.7],
            [0.1, 0.6, 0.3],
            [0.0001, 0.0001, 0.9998],
        ]
    )
    lesion = torch.where(torch.from_numpy(masks[:, 0]) > 0, 5.0, -5.0)
    lesion[0, 0, 0] = 5.0  # a false lesion on the normal image
    lesion[1] = -5.0  # a lesion that is missed
    figures = measure(Outputs(logits, lesion), table)
    north, south = figures["north"], figures["south"]
    assert north["accuracy"] == 0.5
    assert north["balanced accuracy"] == pytest.approx(2 / 3)
    assert north["AUC among lesions"] == 1.0
    assert north["AUC of lesions"] == 1.0
    assert north["called normal"] == pytest.approx(1 / 3)
    assert north["Dice"] == pytest.approx(2 / 3)
    assert north["false positives"] == 1.0
    assert south["accuracy"] == 0.0
    assert south["AUC among lesions"] == 0.0
    assert "AUC of lesions" not in south
    assert "false positives" not in south
    assert south["Dice"] == 1.0
    assert average_sources(figures)["accuracy"] == 0.25
    assert average_sources(figures)["false positives"] == 1.0
    assert south["score"] == pytest.approx((0 + 0 + 1) / 3)


@pytest.fixture(scope="module")
def trained(parts):
    trainer = Trainer(ROW, parts, SHORT)
    trainer.run()
    return trainer


@pytest.mark.parametrize("eight_bit", [False, True])
def test_exported_weights_compute_what_the_module_does(
    parts, trained, tmp_path, eight_bit
):
    path = tmp_path / "w.safetensors"
    info = exporting.export(
        path,
        trained,
        {"data": "phantoms"},
        hashes=exporting.hash_training(trained),
        eight_bit=eight_bit,
    )
    model = busnet.load(path)
    assert model.info == info
    assert info.classes == CLASSES
    assert info.image_size == 48
    assert info.provenance["train_images"] == len(parts.train)
    assert info.provenance["recipe"]["seed"] == 0
    assert info.provenance["device"] == "cpu"
    assert info.lesion_peak in calibration.PEAKS
    assert info.content_hashes == (
        ContentHashes.of((*parts.train, *parts.validation)).encode()
    )
    assert info.provenance["hashed_images"] == len(parts.train) + len(parts.validation)
    images = np.random.RandomState(0).uniform(0, 1, (2, 48, 48)).astype(np.float32)
    with torch.no_grad():
        expected = trained.average.eval()(torch.from_numpy(images[:, None]))
    got = model.run(images)
    slack = 0.05 if eight_bit else 1e-4
    for head in ROW.heads:
        e = expected[head].numpy().reshape(got[head].shape)
        assert np.abs(got[head] - e).max() <= slack * max(1, np.abs(e).max())
