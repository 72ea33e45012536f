"""What a checkpoint is of: it is resumed by the same training alone."""

import dataclasses
import os
import shutil

import pytest
import torch
from PIL import Image
from random_weights import save_random

from busnet import errors
from busnet.data import Split, read_busi, split
from busnet.networks import get_network
from busnet.training import checkpoint
from busnet.training.recipe import Phase, Recipe
from busnet.training.sampling import Sampling
from busnet.training.trainer import Trainer

ROW = get_network("resnet18", channels=1, heads=["class"])
SHORT = Recipe((Phase(32, 1, batch=4),), sampling=Sampling(balanced=False))


@pytest.fixture(scope="module")
def parts(phantoms):
    whole = split(read_busi(phantoms), "busi-group5", 0, validation=0.2)
    return Split(whole.train[:8], whole.validation[:3], ())


def stop(parts, path, **options):
    """Train until the first step, after which the checkpoint is there."""

    class StoppedError(Exception):
        pass

    def report(progress):
        raise StoppedError

    trainer = Trainer(ROW, parts, SHORT, checkpoint=path, bfloat16=False, **options)
    with pytest.raises(StoppedError):
        trainer.run(report, checkpoint_seconds=0)
    return path


@pytest.fixture(scope="module")
def stopped(parts, tmp_path_factory):
    return stop(parts, tmp_path_factory.mktemp("stopped") / "state.ckpt")


def change_first(cases, **fields):
    return (dataclasses.replace(cases[0], **fields), *cases[1:])


def other_label(case):
    return "benign" if case.label == "malignant" else "malignant"


def darker_copy(path, folder):
    with Image.open(path) as image:
        image.point(lambda value: value // 2).save(folder / path.name)
    return folder / path.name


def swap_labels(parts, tmp_path):
    train = [dataclasses.replace(c, label=other_label(c)) for c in parts.train]
    return dataclasses.replace(parts, train=tuple(train))


def change_group(parts, tmp_path):
    return dataclasses.replace(parts, train=change_first(parts.train, group="other"))


def change_image(parts, tmp_path):
    image = darker_copy(parts.train[0].image, tmp_path)
    return dataclasses.replace(parts, train=change_first(parts.train, image=image))


def change_mask(parts, tmp_path):
    mask = darker_copy(parts.train[0].image, tmp_path)
    return dataclasses.replace(parts, train=change_first(parts.train, masks=(mask,)))


def reorder(parts, tmp_path):
    return dataclasses.replace(parts, train=parts.train[::-1])


def lack_validation(parts, tmp_path):
    return dataclasses.replace(parts, validation=parts.validation[1:])


def relabel_validation(parts, tmp_path):
    first = change_first(parts.validation, label=other_label(parts.validation[0]))
    return dataclasses.replace(parts, validation=first)


@pytest.mark.parametrize(
    ("change", "fact"),
    [
        (swap_labels, r"another training images \(classes\);"),
        (change_group, r"another training images \(groups\);"),
        (change_image, r"another training images \(files\);"),
        (change_mask, r"another training images \(files\);"),
        (reorder, r"another training images \(names"),
        (lack_validation, r"another validation images \(names"),
        (relabel_validation, r"another validation images \(classes\);"),
    ],
)
def test_changed_data_are_refused_with_what_changed(
    parts, stopped, tmp_path, change, fact
):
    trainer = Trainer(ROW, change(parts, tmp_path), SHORT, checkpoint=stopped)
    with pytest.raises(errors.DataError, match=fact) as raised:
        trainer.run()
    assert str(stopped) in str(raised.value)
    assert "--work" in str(raised.value)
    assert stopped.exists()


def test_other_options_are_named(parts, stopped):
    recipe = dataclasses.replace(SHORT, seed=1, ema=0.9)
    with pytest.raises(errors.DataError, match=r"another recipe \(ema, seed\);"):
        Trainer(ROW, parts, recipe, checkpoint=stopped).run()
    row = dataclasses.replace(ROW, channels=3)
    with pytest.raises(errors.DataError, match=r"another network \(channels\);"):
        Trainer(row, parts, SHORT, checkpoint=stopped).run()


def test_data_may_be_moved(parts, stopped, tmp_path):
    moved = []
    for i, case in enumerate(parts.train):
        folder = tmp_path / str(i)
        folder.mkdir()
        image = shutil.copy(case.image, folder / "image.png")
        masks = [shutil.copy(m, folder / f"{k}.png") for k, m in enumerate(case.masks)]
        moved.append(dataclasses.replace(case, image=image, masks=tuple(masks)))
    copy = shutil.copy(stopped, tmp_path / "state.ckpt")
    there = dataclasses.replace(parts, train=tuple(moved))
    steps = []
    trainer = Trainer(ROW, there, SHORT, checkpoint=copy, bfloat16=False)
    trainer.run(lambda progress: steps.append(progress.step))
    assert steps == [2]


def test_another_start_of_the_same_name_is_refused(parts, tmp_path):
    first, second = (
        save_random(tmp_path / name / "best.safetensors", ROW, seed=seed)
        for seed, name in enumerate("ab")
    )
    path = stop(parts, tmp_path / "state.ckpt", start=first)
    with pytest.raises(errors.DataError, match="of another start;"):
        Trainer(ROW, parts, SHORT, start=second, checkpoint=path).run()
    with pytest.raises(errors.DataError, match="of another start;"):
        Trainer(ROW, parts, SHORT, checkpoint=path).run()
    shutil.copy(first, tmp_path / "renamed.safetensors")
    again = Trainer(
        ROW, parts, SHORT, start=tmp_path / "renamed.safetensors", checkpoint=path
    )
    assert again._resume()


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no full device")
def test_a_full_disk_is_an_error_and_the_old_checkpoint_stays(tmp_path):
    path, state = tmp_path / "state.ckpt", {"a": torch.zeros(1000)}
    checkpoint.save(path, {"seed": 1}, state)
    before = path.read_bytes()
    (tmp_path / "state.ckpt.part").symlink_to("/dev/full")
    with pytest.raises(errors.OutputError, match=r"state\.ckpt: .*No space left"):
        checkpoint.save(path, {"seed": 1}, state)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_checkpoint_that_cannot_be_written_is_named(tmp_path):
    with pytest.raises(errors.OutputError, match="File name too long"):
        checkpoint.save(tmp_path / f"{250 * 'x'}.ckpt", {}, {})
    (tmp_path / "file").touch()
    with pytest.raises(errors.OutputError, match="cannot be written"):
        checkpoint.save(tmp_path / "file" / "state.ckpt", {}, {})


@pytest.fixture
def clock(monkeypatch):
    """Replace the clock by one that stands still: seconds in a list of one."""
    now = [1000.0]
    monkeypatch.setattr(checkpoint.time, "monotonic", lambda: now[0])
    return now


def test_a_checkpoint_a_minute_and_at_the_first_epochs_end(clock):
    interval = checkpoint.SavingInterval()
    assert not interval.is_over(epoch_ends=False)
    assert interval.is_over(epoch_ends=True)
    clock[0] += 59
    assert not interval.is_over(epoch_ends=False)
    clock[0] += 1
    assert interval.is_over(epoch_ends=False)
    with interval.saving():
        clock[0] += 0.5
    clock[0] += 29
    assert not interval.is_over(epoch_ends=True)
    clock[0] += 1
    assert interval.is_over(epoch_ends=True)
    assert not interval.is_over(epoch_ends=False)


def test_saving_takes_no_more_than_a_fiftieth_of_the_time(clock):
    interval = checkpoint.SavingInterval()
    with interval.saving():
        clock[0] += 4
    clock[0] += 199
    assert not interval.is_over(epoch_ends=False)
    clock[0] += 1
    assert interval.is_over(epoch_ends=False)
    fixed = checkpoint.SavingInterval(0)
    with fixed.saving():
        clock[0] += 4
    assert fixed.is_over(epoch_ends=False)


def test_a_resumed_training_says_after_which_step(parts, stopped, tmp_path):
    path = shutil.copy(stopped, tmp_path / "state.ckpt")
    lines = []
    trainer = Trainer(
        ROW, parts, SHORT, checkpoint=path, bfloat16=False, log=lines.append
    )
    trainer.run()
    assert lines[0] == f"{path}: resumed after step 1 of 2"
