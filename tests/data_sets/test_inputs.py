"""What functions take as data: paths, several of them, cases, a table in memory."""

import csv
import dataclasses
import io
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from busnet.data import CLASSES, Case, read_custom, read_data
from busnet.errors import DataError


class Frame:
    """A table in memory with the one method of pandas.DataFrame that is used."""

    def __init__(self, rows):
        self.rows = rows

    def to_csv(self, path_or_buf=None, *, index=True):
        assert path_or_buf is None
        assert not index
        text = io.StringIO()
        csv.writer(text).writerows(self.rows)
        return text.getvalue()


def test_paths_and_cases(phantom_data, tmp_path):
    by_path = read_data(phantom_data)
    assert len(by_path.cases) == 9
    assert read_data(by_path.cases).cases == by_path.cases
    assert read_data(list(by_path.cases)).cases == by_path.cases
    assert read_data(str(phantom_data)).cases == by_path.cases
    assert read_data([phantom_data]).cases == by_path.cases
    copy = shutil.copytree(phantom_data, tmp_path / "b")
    for several in (
        {"a": phantom_data, "b": copy},
        [f"a={phantom_data}", f"b={copy}"],
    ):
        named = read_data(several)
        assert [case.source for case in named.cases] == ["a"] * 9 + ["b"] * 9
    assert {case.source for case in read_data(f"a={phantom_data}").cases} == {"a"}


def test_a_data_frame(phantom_data, monkeypatch):
    monkeypatch.chdir(phantom_data)
    rows = [("image", "label", "patient", "fold", "comment")]
    for i, label in enumerate(CLASSES * 2):
        rows.append((f"{label}/case {i}.png", label, f"p{i % 3}", i % 2, "x, y"))
    listing = read_data(Frame(rows))
    assert [case.label for case in listing.cases] == [*CLASSES * 2]
    assert [case.group for case in listing.cases] == ["p0", "p1", "p2"] * 2
    assert [case.fold for case in listing.cases] == [0, 1] * 3
    assert [str(f) for f in listing.findings] == [
        "DataFrame: 1 column not used: comment"
    ]
    rows.append(("none.png", "benign", "p9", 0, ""))
    with pytest.raises(DataError, match=r"DataFrame, line 8: there is no file 'none"):
        read_data(Frame(rows))
    with pytest.raises(DataError, match="DataFrame: column 'image' is missing"):
        read_data(Frame([("picture", "label"), ("a.png", "benign")]))


def test_what_cannot_be_used_is_an_error(phantom_data):
    with pytest.raises(DataError, match="18 images of a file that is another's, too"):
        read_data({"a": phantom_data, "b": phantom_data})
    with pytest.raises(DataError, match="no such file"):
        read_data(phantom_data / "none.csv")
    with pytest.raises(DataError, match="a list of paths or of cases, not of int"):
        read_data([1, 2])


def test_a_table_without_images_is_told_its_own_columns(tmp_path):
    table = tmp_path / "t.csv"
    table.write_text("Bild;Diagnose;Patient\na.png;benign;1\n")
    with pytest.raises(DataError, match=r"there are bild, diagnose, patient$"):
        read_custom(table)


@pytest.mark.parametrize("data", [None, 3])
def test_data_that_is_neither_paths_nor_cases(data):
    kind = type(data).__name__
    with pytest.raises(DataError, match=f"^data is paths or cases, not a {kind}$"):
        read_data(data)


def test_cases_that_are_listed_twice_are_refused(tmp_path):
    """They would count twice, and make intervals narrower."""
    cases = [Case(name, tmp_path / name, (), "benign") for name in ("a", "b")]
    assert read_data(cases).cases == tuple(cases)
    with pytest.raises(DataError, match=r"1 image listed more than once.*: custom: b"):
        read_data([*cases, cases[1]])
    other = dataclasses.replace(cases[1], name="c")
    with pytest.raises(DataError, match="2 images of a file that is another's, too"):
        read_data([*cases, other])


@pytest.mark.parametrize("value", [["a.png"], None, 7])
def test_columns_are_no_sources(value):
    with pytest.raises(
        DataError, match=r"'image' is a (list|NoneType|int); columns of a"
    ):
        read_data({"image": value})


def test_a_case_takes_what_people_write():
    case = Case("a", "x/a.png", "x/m.png", "benign", attributes={"birads": 4})
    assert (case.image, case.masks) == (Path("x/a.png"), (Path("x/m.png"),))
    assert (case.attributes, case.group) == ({"birads": "4"}, "a")
    assert Case("a", "b", ["c", "d"]).masks == (Path("c"), Path("d"))
    spacing = Case("a", "b", spacing=np.array([0.1, 0.2])).spacing
    assert spacing == (0.1, 0.2)
    assert [type(length) for length in spacing] == [float, float]


@pytest.mark.parametrize(
    ("values", "fact"),
    [
        ({"label": "Benign"}, "the label 'Benign' is not one of normal, benign, mali"),
        ({"label": 1}, "the label 1 is not one of"),
        ({"image": 7}, "the image is a path, not 7"),
        ({"masks": (None,)}, "the mask is a path, not None"),
        ({"group": None}, "the group is a text, not None"),
        ({"spacing": 0.1}, "the spacing is millimetres a row and a column, not 0.1"),
        ({"spacing": (0.1, -0.1)}, "the spacing is"),
        ({"spacing": (0.1, float("nan"))}, "the spacing is"),
        ({"spacing": (0.1, 0.1, 0.1)}, "the spacing is"),
        ({"spacing": "12"}, "the spacing is millimetres a row and a column, not '12'"),
        ({"spacing": (1e-300, 1.0)}, "the spacing is"),
    ],
)
def test_a_case_of_wrong_values_is_refused(values, fact):
    with pytest.raises(DataError, match=f"^a.png: {re.escape(fact)}"):
        Case(**{"name": "a.png", "image": "a.png", **values})
