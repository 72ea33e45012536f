"""What is drawn, and which part of an image is seen."""

import dataclasses

import numpy as np
import pytest

from busnet import errors
from busnet.data import NORMAL_INDEX
from busnet.training.examples import UNKNOWN, Examples
from busnet.training.sampling import Sampler, Sampling
from busnet.training.windows import MIN_IN_VIEW

CROPS = Sampling(lesion_free=0.5, crop=0.5)


def examples(labels, sources, groups, *, masked=None, side=100):
    """Return examples with a lesion in the middle of all that are not normal."""
    count = len(labels)
    generator = np.random.default_rng(0)
    images = generator.integers(20, 255, (count, 1, side, side), dtype=np.uint8)
    masks = np.zeros((count, 1, side, side), np.uint8)
    for i, label in enumerate(labels):
        if label != NORMAL_INDEX:
            top, left = generator.integers(30, 50, 2)
            masks[i, 0, top : top + 15, left : left + 20] = 1
    frames = np.tile(np.array([[0.1, 0.0, 0.9, 1.0]], np.float32), (count, 1))
    return Examples.make(
        images,
        masks,
        frames,
        labels=labels,
        masked=masked or [True] * count,
        sources=sources,
        groups=groups,
        names=tuple("abc"[: max(sources) + 1]),
    )


@pytest.fixture
def hospitals():
    """One hospital with 60 images of all classes, one with 8 of lesions alone."""
    labels = [0] * 10 + [1] * 40 + [2] * 10 + [1] * 6 + [2] * 2
    sources = [0] * 60 + [1] * 8
    groups = [*range(60), 60, 60, 60, 60, 60, 61, 62, 63]
    return examples(labels, sources, groups)


def counts(draws, table):
    index, free = draws.index.ravel(), draws.lesion_free.ravel()
    label = np.where(free, 0, table.labels[index])
    return index, free, label, table.sources[index]


def test_draws_are_balanced(hospitals):
    sampler = Sampler(
        hospitals, Sampling(source_power=0.0), batch=50, steps=400, seed=0
    )
    index, free, label, source = counts(sampler.draw(0), hospitals)
    assert not free.any()
    assert np.mean(source == 0) == pytest.approx(0.5, abs=0.02)
    for c in range(3):
        assert np.mean(label[source == 0] == c) == pytest.approx(1 / 3, abs=0.02)
    # Five of six benign images of the second hospital are of one patient.
    benign = index[(source == 1) & (label == 1)]
    assert np.mean(benign < 65) == pytest.approx(0.5, abs=0.03)
    shares = [np.mean(label == c) for c in range(3)]
    assert sampler.class_shares == pytest.approx(shares, abs=0.02)


def test_the_power_weighs_sources(hospitals):
    for power in (0.5, 1.0):
        sampling = Sampling(source_power=power)
        sampler = Sampler(hospitals, sampling, batch=50, steps=400)
        share = np.mean(hospitals.sources[sampler.draw(0).index] == 0)
        assert share == pytest.approx(60**power / (60**power + 8**power), abs=0.02)


def test_plain_sampling_draws_each_image_once(hospitals):
    sampler = Sampler(hospitals, Sampling(balanced=False), batch=17)
    assert sampler.steps == 4
    draws = sampler.draw(3)
    assert sorted(draws.index.ravel()) == list(range(68))
    assert sampler.class_shares == pytest.approx([10 / 68, 46 / 68, 12 / 68])
    odd = Sampler(hospitals, Sampling(balanced=False), batch=64).draw(0)
    assert odd.index.shape == (2, 64)
    assert set(odd.index.ravel()) == set(range(68))


def test_draws_are_a_matter_of_seed_and_epoch(hospitals):
    first, again = (Sampler(hospitals, CROPS, batch=8, seed=1) for _ in range(2))
    a, b, c = first.draw(2), again.draw(2), first.draw(3)
    for field in dataclasses.fields(a):
        assert np.array_equal(getattr(a, field.name), getattr(b, field.name))
    assert not np.array_equal(a.index, c.index)


def boxes(draws):
    centre, size = draws.window[..., :2], draws.window[..., 2:]
    return np.concatenate((centre - size / 2, centre + size / 2), -1).reshape(-1, 4)


def test_lesion_free_crops_are_free_of_lesions(hospitals):
    sampler = Sampler(hospitals, CROPS, batch=50, steps=100)
    draws = sampler.draw(0)
    index, free, label, source = counts(draws, hospitals)
    assert set(source[free]) == {0, 1}
    assert (hospitals.labels[index[free]] != NORMAL_INDEX).all()
    masks = hospitals.masks[:, 0].numpy()
    for i, box in zip(index[free], boxes(draws)[free], strict=True):
        top, left, bottom, right = box * 100
        assert min(top - 10, 90 - bottom, left, 100 - right) >= -1e-3
        inside = masks[i, int(top) : int(np.ceil(bottom)), int(left) : int(right) + 1]
        assert not inside.any()
        high, wide = bottom - top, right - left
        assert min(high, wide) >= 0.35 * 80 - 1e-3
    # Half of the first hospital's normals are crops; the second has crops alone.
    assert np.mean(free[(source == 0) & (label == 0)]) == pytest.approx(0.5, abs=0.06)
    assert free[(source == 1) & (label == 0)].all()
    assert sampler.sources_with_normals.all()


def test_crops_have_the_lesion_in_view(hospitals):
    draws = Sampler(hospitals, CROPS, batch=50, steps=100).draw(0)
    index, free, _, _ = counts(draws, hospitals)
    cropped = draws.cropped.ravel() & ~free & hospitals.has_lesion[index]
    seen, lesion = boxes(draws)[cropped], hospitals.lesions[index[cropped]]
    low = np.maximum(seen[:, :2], lesion[:, :2])
    high = np.minimum(seen[:, 2:], lesion[:, 2:])
    share = (high - low) / (lesion[:, 2:] - lesion[:, :2])
    assert share.min() >= MIN_IN_VIEW - 1e-6
    whole = ~draws.cropped.ravel()
    assert np.allclose(boxes(draws)[whole], hospitals.frames[index[whole]])
    others = ~free
    rate = draws.cropped.ravel()[others].mean()
    assert rate == pytest.approx(0.5, abs=0.03)


def test_the_size_of_a_crop_tells_no_class(hospitals):
    draws = Sampler(hospitals, CROPS, batch=50, steps=400).draw(0)
    _, free, label, source = counts(draws, hospitals)
    size = draws.window.reshape(-1, 4)[:, 2:].prod(1)
    cropped = draws.cropped.ravel() & (source == 0)
    lesion = np.median(size[cropped & (label != NORMAL_INDEX)])
    normal = np.median(size[cropped & (label == NORMAL_INDEX) & ~free])
    crop = np.median(size[cropped & free])
    assert 0.5 < lesion / normal < 2
    assert 0.5 < crop / lesion < 2


def test_what_is_not_outlined_is_never_taken_as_free():
    table = examples([1] * 6, [0] * 6, range(6), masked=[False] * 6)
    table = dataclasses.replace(table, lesions=np.zeros_like(table.lesions))
    draws = Sampler(table, CROPS, batch=50, steps=20).draw(0)
    assert not draws.lesion_free.any()
    # And it is shown whole: its lesion may be anywhere.
    frames = np.broadcast_to(table.frames[0], (1000, 4))
    assert np.allclose(boxes(draws), frames)


def test_unknown_classes_are_drawn():
    table = examples([0, 1, 2, UNKNOWN], [0] * 4, range(4))
    sampler = Sampler(table, Sampling(), batch=50, steps=40)
    share = np.mean(sampler.draw(0).index == 3)
    assert share == pytest.approx(0.25, abs=0.04)
    assert sampler.class_shares == pytest.approx([1 / 3] * 3)


def test_partners_are_of_another_hospital(hospitals):
    draws = Sampler(hospitals, Sampling(), batch=50, steps=20).draw(0)
    sources = hospitals.sources
    assert (sources[draws.partner] != sources[draws.index]).all()
    alone = examples([1, 2], [0, 0], [0, 1])
    assert Sampler(alone, Sampling(), batch=4).draw(0).partner.max() < 2


def test_the_shares_are_said(hospitals):
    lines = Sampler(hospitals, CROPS, batch=4).describe()
    assert "b: lesion-free crops" in " ".join(lines)
    assert sum(float(line.split(" of ")[0].split()[-1]) for line in lines) == (
        pytest.approx(1, abs=0.01)
    )


@pytest.mark.parametrize(
    "wrong",
    [{"crop": 1.5}, {"lesion_free": -0.1}, {"balanced": False, "lesion_free": 0.5}],
)
def test_what_cannot_be_drawn_is_refused(wrong):
    with pytest.raises(errors.DataError, match=r"crop|lesion"):
        Sampling(**wrong)
