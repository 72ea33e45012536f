"""Readers and splits."""

import collections
import dataclasses
from pathlib import Path

import numpy as np
import pytest
from helpers import PHANTOM
from PIL import Image

from busnet import errors
from busnet.data import CLASSES, PROTOCOLS, Case, read_busbra, read_busi, split
from busnet.data.phantom import phantom


def case(name, label, group, fold):
    return Case(
        name, Path(name), (), label, group, fold, "busi",
        divisions={"busi-groups": fold},
    )  # fmt: skip


@pytest.fixture
def cases():
    """Two hundred cases in groups of two, forty a fold."""
    return [
        case(f"{i}", CLASSES[i // 2 % 3], f"group {i // 2}", i // 2 % 5)
        for i in range(200)
    ]


@pytest.mark.parametrize("fold", range(5))
def test_split_divides_no_group(cases, fold):
    division = split(cases, "busi-group5", fold)
    parts = (division.train, division.validation, division.test)
    assert sum(map(len, parts)) == 200
    assert {c.name for part in parts for c in part} == {c.name for c in cases}
    groups = [{c.group for c in part} for part in parts]
    assert len(set.union(*groups)) == sum(map(len, groups))
    assert {c.fold for c in division.test} == {fold}
    assert {c.label for c in division.validation} == set(CLASSES)
    assert division.leaks == ()


def test_split_is_a_matter_of_its_seed(cases):
    assert split(cases, "busi-group5", 0) == split(cases, "busi-group5", 0)
    other = split(cases, "busi-group5", 0, seed=1)
    assert other.validation != split(cases, "busi-group5", 0).validation
    assert other.test == split(cases, "busi-group5", 0).test


def test_no_fold_holds_nothing_out(cases):
    division = split(cases, "busi-group5", None)
    assert division.test == ()
    assert len(division.train) + len(division.validation) == 200


def test_leaks_are_refused_unless_allowed(cases):
    leaky = [
        dataclasses.replace(c, divisions={"busi-groups": i % 5})
        for i, c in enumerate(cases)
    ]
    with pytest.raises(errors.LeakError, match="both sides"):
        split(leaky, "busi-group5", 0)
    division = split(leaky, "busi-group5", 0, allow_leak=True)
    assert len(division.leaks) == 40
    assert issubclass(errors.LeakError, ValueError)
    with pytest.raises(errors.LeakError, match="busi-random5"):
        split(cases, "busi-random5", 0)
    assert PROTOCOLS["busi-random5"].leaky
    assert "LEAKY" in PROTOCOLS["busi-random5"].description


def test_unknown_protocols_and_folds_are_refused(cases):
    with pytest.raises(errors.DataError, match=r"busi-group6.*busi-group5"):
        split(cases, "busi-group6", 0)
    with pytest.raises(errors.DataError, match="7"):
        split(cases, "busi-group5", 7)


def test_busi(busi):
    cases = read_busi(busi)
    assert len(cases) == 780
    assert collections.Counter(c.label for c in cases) == {
        "benign": 437,
        "malignant": 210,
        "normal": 133,
    }
    assert sum(len(c.masks) for c in cases) == 798
    assert sum(len(c.masks) > 1 for c in cases) == 17
    several = next(c for c in cases if len(c.masks) > 1)
    areas = [
        dataclasses.replace(several, masks=(path,)).read_mask().sum()
        for path in several.masks
    ]
    assert max(areas) < several.read_mask().sum() <= sum(areas)
    normal = next(c for c in cases if c.label == "normal")
    assert not normal.read_mask().any()
    assert normal.read_mask().shape == normal.read_image().shape


@pytest.mark.parametrize(
    ("protocol", "count"),
    [("busi-group5", 760), ("busi-clean", 526), ("busi-random5", 780)],
)
def test_busi_protocols(busi, protocol, count):
    cases = read_busi(busi)
    chosen = PROTOCOLS[protocol].choose(cases)
    assert len(chosen) == count
    assert {c.fold for c in chosen} == set(range(5))
    for fold in range(5):
        division = split(cases, protocol, fold, allow_leak=protocol == "busi-random5")
        assert (division.leaks != ()) == (protocol == "busi-random5")
        assert (
            len(division.train) + len(division.validation) + len(division.test) == count
        )
    if protocol == "busi-clean":
        assert len({c.group for c in chosen}) == count


def test_busbra(busbra):
    cases = read_busbra(busbra)
    assert len(cases) == 1875
    assert len({c.group for c in cases}) == 1064
    for fold in range(5):
        assert split(cases, "busbra-patient5", fold).leaks == ()
    assert cases[0].read_mask().shape == cases[0].read_image().shape


def make_busi(root, rows="benign,1,1,,,0\nnormal,1,2,,,1\nmalignant,1,3,,,0\n"):
    for label in CLASSES:
        folder = root / "busi" / label
        folder.mkdir(parents=True)
        image, mask = phantom(40, 50)
        Image.fromarray(image).save(folder / f"{label} (1).png")
        Image.fromarray(mask).save(folder / f"{label} (1)_mask.png")
    table = root / "busi_groups.csv"
    table.write_text(f"class,number,group_ext,objection,annotation,fold\n{rows}")
    return root / "busi"


def test_faults_of_a_busi_folder_are_named(tmp_path):
    folder = make_busi(tmp_path)
    assert [c.label for c in read_busi(folder)] == list(CLASSES)
    assert read_busi(folder)[1].read_mask().any()

    (folder / "benign" / "benign (1)_mask_1.png").write_bytes(b"")
    with pytest.raises(errors.ImageFileError, match="mask_1"):
        read_busi(folder)[1].read_mask()
    Image.new("L", (3, 3)).save(folder / "benign" / "benign (1)_mask_1.png")
    with pytest.raises(errors.DataError, match=r"mask_1.*\(3, 3\).*\(40, 50\)"):
        read_busi(folder)[1].read_mask()
    for path in (folder / "benign").glob("*_mask*.png"):
        path.unlink()
    with pytest.raises(errors.DataError, match=r"benign \(1\).*no mask"):
        read_busi(folder)
    (tmp_path / "busi_groups.csv").write_text("class,number\n")
    with pytest.raises(errors.DataError, match="column"):
        read_busi(folder)
    (tmp_path / "busi_groups.csv").unlink()
    with pytest.raises(errors.DataError, match="groups"):
        read_busi(folder)


def test_a_missing_row_is_named(tmp_path):
    folder = make_busi(tmp_path, rows="benign,1,1,,,0\nnormal,1,2,,,1\n")
    with pytest.raises(errors.DataError, match=r"malignant \(1\)"):
        read_busi(folder)
    with pytest.raises(errors.DataError, match=r"none.*'normal'"):
        read_busi(tmp_path / "none", groups=tmp_path / "busi_groups.csv")


def test_the_bundled_phantom_is_the_generators():
    image, mask = phantom()
    with Image.open(PHANTOM) as file:
        stored = np.asarray(file)
    # The rounding of the fast Fourier transform depends on the version of NumPy.
    assert np.abs(image.astype(int) - stored).max() <= 1
    assert 0.04 < mask.mean() < 0.1
    assert image[mask].mean() < 0.5 * image[~mask].mean()
