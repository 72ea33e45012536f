"""The folds of ``busnet baselines``: whose they are, and which do not go together."""

import collections
import dataclasses
from pathlib import Path

import pytest

from busnet.data import CLASSES, Case, Listing
from busnet.errors import DataError
from busnet.experiments.division import divide, parts_of


def make(source, folds=(), *, division="", count=30):
    """Return cases of three classes; ``folds`` are dealt in turn."""
    dealt = [folds[i % len(folds)] if folds else -1 for i in range(count)]
    return [
        Case(
            f"{i}", Path(f"{source}{i}.png"), (), CLASSES[i % 3], f"g{i}", fold, source,
            divisions={division: fold} if division else {},
        )
        for i, fold in enumerate(dealt)
    ]  # fmt: skip


def folds_of(cases):
    return sorted({case.fold for case in cases})


PUBLISHED = make("busi", range(5), division="busi-groups")


def test_data_without_folds_gets_them():
    cases, protocol, notes = divide(Listing((*make("a"), *make("b"))), 3, None)
    assert (protocol, notes, folds_of(cases)) == ("custom", (), [0, 1, 2])
    assert len(divide(Listing(tuple(make("a"))), None, None)[0]) == 30


def test_published_folds_are_kept_alone():
    cases, protocol, notes = divide(Listing(tuple(PUBLISHED)), None, None)
    assert (protocol, notes) == ("busi-group5", ())
    assert cases == PUBLISHED
    cases, protocol, _ = divide(Listing(tuple(PUBLISHED)), None, "custom")
    assert (protocol, cases) == ("custom", PUBLISHED)
    with pytest.raises(DataError, match="5 folds of its own"):
        divide(Listing(tuple(PUBLISHED)), 3, None)


@pytest.mark.parametrize(
    ("other", "names"),
    [
        (make("busuclm"), "busi"),
        (make("busbra", range(10), division="busbra-patients"), "busi and busbra"),
    ],
)
def test_published_folds_of_several_are_not_joined(other, names):
    """Fold 0 of BUSI has nothing to do with fold 0 of BUS-BRA."""
    cases, protocol, notes = divide(Listing((*PUBLISHED, *other)), None, None)
    assert (protocol, folds_of(cases)) == ("custom", [0, 1, 2, 3, 4])
    sizes = collections.Counter((case.source, case.fold) for case in cases)
    assert set(sizes.values()) == {6}  # each source is spread alike
    (note,) = notes
    assert f"the published folds of {names} hold" in note
    assert [c.name for c in cases] == [c.name for c in (*PUBLISHED, *other)]


def test_folds_of_tables_are_kept():
    own = [*make("a", (0, 1)), *make("b", (0, 1, 2))]
    cases, protocol, notes = divide(Listing(tuple(own)), None, None)
    assert (protocol, notes, cases) == ("custom", (), own)
    assert parts_of(cases, protocol) == [0, 1, 2]
    with pytest.raises(DataError, match="3 folds of its own"):
        divide(Listing(tuple(own)), 2, None)


@pytest.mark.parametrize("protocol", [None, "custom"])
@pytest.mark.parametrize("other", [make("b"), PUBLISHED])
def test_folds_of_a_part_of_the_data(other, protocol):
    name = other[0].source
    fact = f"the source 'a' has folds of its own and '{name}' has not"
    for cases in ((*make("a", (0, 1)), *other), (*other, *make("a", (0, 1)))):
        with pytest.raises(DataError, match=fact):
            divide(Listing(cases), None, protocol)


def test_folds_of_a_part_of_a_source():
    cases = make("a", (0, 1))
    cases[7] = dataclasses.replace(cases[7], fold=-1)
    for more in ([], make("b")):
        with pytest.raises(DataError, match="a: 7 is in no fold and other images are"):
            divide(Listing((*cases, *more)), None, None)


def test_sources_are_left_out_whatever_folds_they_have():
    cases = Listing((*PUBLISHED, *make("a", (0, 1)), *make("b")))
    used, protocol, _ = divide(cases, None, "hospitals")
    assert parts_of(used, protocol) == ["busi", "a", "b"]
