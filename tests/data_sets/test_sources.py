"""Several sources at once, and the protocols that use them."""

import collections
import dataclasses
import pickle
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from busnet import errors
from busnet.data import (
    PROTOCOLS,
    Case,
    default_protocol,
    get_protocol,
    parse_sources,
    read_busbra,
    read_busuclm,
    read_custom,
    read_sources,
    recognise,
    split,
)


def make_busbra(root, label="benign", fold=1):
    for folder in ("Images", "Masks"):
        (root / folder).mkdir(parents=True)
    Image.new("L", (9, 7)).save(root / "Images" / "bus_0001-l.png")
    Image.new("L", (9, 7), 255).save(root / "Masks" / "mask_0001-l.png")
    (root / "bus_data.csv").write_text(
        "ID,Case,Histology,Pathology,BIRADS,Device,Side\n"
        f"bus_0001-l,1,cyst,{label},2,Scanner X,left\n"
    )
    for count in (5, 10):
        (root / f"{count}-fold-cv.csv").write_text(f"ID,kFold\nbus_0001-l,{fold}\n")
    return root


def make_busuclm(root, label="Benign", name="ABCD_000.png"):
    for folder, colour in (("images", 9), ("masks", (0, 255, 0))):
        (root / folder).mkdir(parents=True)
        mode = "L" if colour == 9 else "RGB"
        Image.new(mode, (9, 7), colour).save(root / folder / "ABCD_000.png")
    (root / "INFO.csv").write_text(
        f"Image;Resolution;Label;Doppler;Marks;Combined\n{name};9x7;{label};No;Yes;No\n",
        encoding="utf-8-sig",
    )
    return root


def make_table(folder, text, name="table.csv"):
    folder.mkdir(exist_ok=True)
    for i in range(4):
        Image.new("L", (9, 7), i).save(folder / f"{i}.png")
    (folder / name).write_text(text)
    return folder / name


def test_busbra_says_what_it_knows(tmp_path):
    (case,) = read_busbra(make_busbra(tmp_path))
    assert case.attributes == {
        "scanner": "Scanner X",
        "birads": "2",
        "histology": "cyst",
        "side": "left",
    }
    assert case.divisions == {"busbra-patients": 0, "busbra-patients10": 0}
    assert (case.key, case.fold) == ("busbra/1", 0)


@pytest.mark.parametrize(
    ("change", "fact"),
    [({"label": "normal"}, "not 'normal'"), ({"fold": 11}, "not in 1..5")],
)
def test_values_that_busbra_cannot_have(tmp_path, change, fact):
    with pytest.raises(errors.DataError, match=f"line 2.*{fact}"):
        read_busbra(make_busbra(tmp_path, **change))


def test_busuclm_says_what_it_knows(tmp_path):
    (case,) = read_busuclm(make_busuclm(tmp_path))
    assert (case.name, case.label, case.group) == ("ABCD_000", "benign", "ABCD")
    assert case.attributes == {"doppler": "no", "marks": "yes", "combined": "no"}
    assert case.annotation == "marks"
    assert case.read_mask().all()  # green is no black


@pytest.mark.parametrize(
    ("change", "fact"),
    [
        ({"label": "cyst"}, "line 2.*not 'cyst'"),
        ({"name": "ABCD_001.png"}, "ABCD_001.*no such file"),
        ({"name": "ABCD.png"}, "line 2.*PATIENT_NUMBER"),
    ],
)
def test_values_that_busuclm_cannot_have(tmp_path, change, fact):
    with pytest.raises(errors.DataError, match=fact):
        read_busuclm(make_busuclm(tmp_path, **change))


def test_layouts_are_recognised(tmp_path):
    make_busbra(tmp_path / "a" / "BUSBRA")
    make_busuclm(tmp_path / "b")
    table = make_table(tmp_path / "c", "image,label\n0.png,normal\n")
    assert recognise(tmp_path / "a") == recognise(tmp_path / "a" / "BUSBRA") == "busbra"
    assert recognise(tmp_path / "b") == "busuclm"
    assert recognise(table) == recognise(tmp_path / "none") == "custom"
    sources = parse_sources([f"{tmp_path}/a", f"clinic={table}", f"{tmp_path}/b"])
    assert list(sources) == ["busbra", "clinic", "busuclm"]
    cases = read_sources(sources)
    assert [case.source for case in cases] == ["busbra", "clinic", "busuclm"]
    assert [case.key for case in cases] == ["busbra/1", "clinic/0.png", "busuclm/ABCD"]
    assert pickle.loads(pickle.dumps(cases)) == cases
    assert len(set(cases)) == 3
    assert dataclasses.asdict(cases[0])["attributes"]["birads"] == "2"


def test_paths_with_an_equals_sign(tmp_path, monkeypatch):
    make_table(tmp_path / "a=b", "image,label\n0.png,normal\n")
    monkeypatch.chdir(tmp_path)
    assert parse_sources(["a=b"]) == {"custom": Path("a=b")}
    assert parse_sources(["x=a=b"]) == {"x": Path("a=b")}
    assert parse_sources([f"{tmp_path}/a=b"]) == {"custom": tmp_path / "a=b"}


def test_sources_that_contradict_each_other(tmp_path):
    busbra = make_busbra(tmp_path / "BUSBRA")
    one = make_table(tmp_path / "1", "image,label,source\n0.png,normal,x\n")
    two = make_table(tmp_path / "2", "image,label\n0.png,normal\n")
    for texts, fact in (
        ([f"x={busbra}"], "layout of busbra; name it busbra="),
        ([f"x={tmp_path}/none"], "source x.*no such file"),
        ([f"busi={two}"], "BUSI has a folder 'normal'"),
        ([f"{one}", f"x={two}"], "both hold the source 'x'"),
        ([f"{one}", f"{two}"], "both called 'custom'"),
        ([f"x={one}", f"x={two}"], "both called 'x'"),
        ([], "no sources"),
    ):
        with pytest.raises(errors.DataError, match=fact):
            read_sources(parse_sources(texts))


def test_names_are_unique_within_a_source(tmp_path):
    table = make_table(tmp_path, "image,label\n0.png,normal\n0.png,benign\n")
    with pytest.raises(
        errors.DataError, match=r"1 image listed more than once.*x: 0\.png"
    ):
        read_sources({"x": table})


def test_a_table_names_its_sources(tmp_path):
    text = "image,label,group,source\n0.png,normal,p,a\n1.png,Benign,q,b\n"
    cases = read_custom(make_table(tmp_path, text))
    assert [case.key for case in cases] == ["a/p", "b/q"]
    assert cases[1].label == "benign"
    assert default_protocol(cases) == "hospitals"
    with pytest.raises(errors.DataError, match=r"line 3.*'p'.*'a'.*'b'"):
        read_custom(make_table(tmp_path, text.replace(",q,", ",p,")))


def test_classes_that_are_not_known(tmp_path):
    text = "image,label,mask\n0.png,,1.png\n2.png,normal,\n"
    first, second = read_custom(make_table(tmp_path, text))
    assert first.label is None
    assert first.read_mask().all()  # 1 is not black
    assert second.has_mask
    np.testing.assert_array_equal(second.read_mask(), np.zeros((7, 9), bool))
    with pytest.raises(errors.DataError, match=r"line 2.*neither"):
        read_custom(make_table(tmp_path, text.replace("1.png", "")))


def test_the_table_of_a_prediction_is_no_truth(tmp_path):
    text = "file,frame,label,p_benign,malignancy_given_lesion,abstains,mask\n"
    table = make_table(tmp_path, text + "0.png,,benign,0.9,0.1,false,1.png\n")
    with pytest.raises(errors.DataError, match=r"e\.csv: its labels are a model's"):
        read_custom(table)


def test_failed_formulas_are_no_values(tmp_path):
    """As a group, ``#N/A`` would join images of many patients."""
    text = "image,label,group,note\n0.png,benign,#N/A,#REF!\n1.png,benign,b,#REF!\n"
    table = make_table(tmp_path, text)
    with pytest.raises(errors.DataError, match=r"line 2: the group is #N/A"):
        read_custom(table)
    table = make_table(tmp_path, text.replace("#N/A", "a"))
    assert [case.group for case in read_custom(table)] == ["a", "b"]


def test_folds_of_a_table(tmp_path):
    text = "image,label,fold\n0.png,normal,0.0\n1.png,benign,1.0\n"
    cases = read_custom(make_table(tmp_path, text))
    assert [case.fold for case in cases] == [0, 1]
    with pytest.raises(errors.DataError, match="folds 0, 1, not 7"):
        split(cases, "custom", 7)
    with pytest.raises(errors.DataError, match="folds 0, 1, not the text '0'"):
        split(cases, "custom", "0")
    unfolded = read_custom(make_table(tmp_path, "image,label\n0.png,normal\n"))
    with pytest.raises(errors.DataError, match="in no folds"):
        split(unfolded, "custom", 0)
    for wrong in ("", "-1", "test"):
        with pytest.raises(errors.DataError, match="line 2: the fold"):
            read_custom(make_table(tmp_path, text.replace("0.0", wrong)))


def several(count=60):
    """Cases of two sources; patients have the same names in both."""
    labels = ("normal", "benign", "malignant")
    return [
        Case(f"{i}", Path(f"{i}"), (), labels[i // 2 % 3], f"p{i // 2}", source=source)
        for source in ("a", "b")
        for i in range(count)
    ]


def test_hospitals_hold_out_a_source():
    division = split(several(), "hospitals", "b")
    assert {case.source for case in division.test} == {"b"}
    assert len(division.test) == 60
    assert {case.source for case in division.train + division.validation} == {"a"}
    assert division.leaks == ()
    whole = split(several(), "hospitals", None)
    drawn = collections.Counter((c.source, c.label) for c in whole.validation)
    assert drawn == {(s, c): 2 for s in "ab" for c in ("normal", "benign", "malignant")}
    with pytest.raises(errors.DataError, match="sources a, b, not c"):
        split(several(), "hospitals", "c")
    with pytest.raises(errors.DataError, match="nothing is left"):
        split(several()[:60], "hospitals", "a")
    hospitals = get_protocol("hospitals")
    assert hospitals.trained_sources(several(), "b") == {
        "a": {"folds": None, "fold": None}
    }


def test_a_source_without_folds_is_seen_whole():
    cases = [dataclasses.replace(case, fold=-1) for case in several(4)]
    cases += [
        dataclasses.replace(c, source="c", fold=i % 2) for i, c in enumerate(cases)
    ]
    whole = {"folds": None, "fold": None}
    assert get_protocol("custom").trained_sources(cases, 1) == {
        "a": whole, "b": whole, "c": {"folds": "custom", "fold": 1},
    }  # fmt: skip


def test_a_patient_counts_once_as_the_most_severe_class():
    cases = [
        Case(f"{i}{c}", Path("x"), (), c, f"{i}", source="s")
        for i in range(20)
        for c in ("normal", "malignant")
    ]
    assert len({c.key for c in split(cases, "custom", None).validation}) == 2


def test_release(busi, busbra, busuclm):
    cases = read_sources({"busi": busi, "busbra": busbra, "busuclm": busuclm})
    assert len(cases) == 780 + 1875 + 416
    release = get_protocol("release")
    division = split(cases, "release", None)
    assert division == split(cases, "release", 0)
    assert collections.Counter(c.source for c in division.test) == {
        "busi": 154,
        "busbra": 193,
    }
    parts = [
        {c.key for c in p} for p in (division.train, division.validation, division.test)
    ]
    assert len(set.union(*parts)) == sum(map(len, parts))
    assert {(c.source, c.label) for c in division.validation} == {
        (c.source, c.label) for c in cases
    }
    busi_test = split([c for c in cases if c.source == "busi"], "busi-group5", 0).test
    assert set(busi_test) <= set(division.test)
    assert release.trained_sources(release.use(cases), None) == {
        "busi": {"folds": "busi-groups", "fold": 0},
        "busbra": {"folds": "busbra-patients10", "fold": 0},
        "busuclm": {"folds": None, "fold": None},
    }
    with pytest.raises(errors.DataError, match="'busuclm' is missing"):
        split([c for c in cases if c.source != "busuclm"], "release", None)
    with pytest.raises(errors.DataError, match="folds 0, not 3"):
        split(cases, "release", 3)


def test_official_folds_of_busbra(busbra):
    cases = read_busbra(busbra)
    for name, count in (("busbra-patient5", 5), ("busbra-patient10", 10)):
        sizes = [len(split(cases, name, fold).test) for fold in range(count)]
        assert sum(sizes) == 1875
        assert min(sizes) > 0.9 * 1875 / count
    assert PROTOCOLS["busbra-patient5"].divisions["busbra"] == "busbra-patients"


def test_busuclm(busuclm):
    cases = read_busuclm(busuclm)
    assert len({case.group for case in cases}) == 24
    assert {c.group for c in cases if c.name.startswith("CHCO")} == {"CHVI"}
    for case in cases[::13]:
        mask = case.read_mask()
        assert mask.shape == case.read_image().shape
        assert mask.any() == (case.label != "normal")


def test_protocols_fit_their_data():
    with pytest.raises(errors.DataError, match=r"busi-group5.*for busi, not for a"):
        split(several(), "busi-group5", 0)


@pytest.mark.parametrize(
    ("cell", "spacing"),
    [
        ("0.1", (0.1, 0.1)),
        ("0,1", (0.1, 0.1)),
        ("0.1x0.2", (0.1, 0.2)),
        ("0,1 x 0,2", (0.1, 0.2)),
        ("0.1, 0.2", (0.1, 0.2)),
        ("[0.1, 0.2]", (0.1, 0.2)),
        ("[0.1 0.2]", (0.1, 0.2)),
        ("(1, 2)", (1.0, 2.0)),
        ("(1,2)", (1.0, 2.0)),
        ("1, 2", (1.0, 2.0)),
        ("1 2", (1.0, 2.0)),
        ("1,5x1,5", (1.5, 1.5)),
        ("[0,1; 0,2]", (0.1, 0.2)),
        ("0,1, 0,2", (0.1, 0.2)),
        ("", None),
    ],
)
def test_spacing_in_every_spelling(tmp_path, cell, spacing):
    Image.new("L", (9, 9), 5).save(tmp_path / "a.png")
    table = tmp_path / "t.csv"
    table.write_text(f'image,label,spacing\na.png,benign,"{cell}"\n')
    (case,) = read_custom(table)
    assert case.spacing == spacing


@pytest.mark.parametrize(
    "cell",
    [
        *("0", "-0.1", "0.1 mm", "0.1,0.2,0.3", "1,200.5", "x", "(0,1)"),
        *("1,2", "1,5", "10,25", "0,1,0,2"),
    ],
)
def test_spacing_that_is_none(tmp_path, cell):
    Image.new("L", (9, 9), 5).save(tmp_path / "a.png")
    table = tmp_path / "t.csv"
    table.write_text(f'image,label,spacing\na.png,benign,"{cell}"\n')
    with pytest.raises(
        errors.DataError, match=r"t\.csv, line 2: the spacing.* \(1, 2\)"
    ):
        read_custom(table)


def test_names_of_hospitals_in_any_language(tmp_path):
    """A table's column may have them, too."""
    names = ("São Paulo", "Klinik Süd 2", "北京")
    sources = parse_sources([f"{name}={tmp_path}/{name}" for name in names])
    assert sources == {name: tmp_path / name for name in names}
    assert parse_sources(["a/b=c"]) == {"custom": Path("a/b=c")}


def test_a_number_is_not_the_name_of_a_source():
    cases = [Case(f"{i}", f"{i}.png", (), "benign", source=str(i)) for i in range(2)]
    hospitals = get_protocol("hospitals")
    with pytest.raises(errors.DataError, match="sources 0, 1, not the number 1"):
        hospitals.test_cases(cases, 1)
    assert hospitals.test_cases(cases, "1") == [cases[1]]


def test_an_empty_path_is_not_the_current_folder(phantom_data, monkeypatch):
    """As ``--data "$DATA"`` gives it where the variable is not set."""
    monkeypatch.chdir(phantom_data)
    with pytest.raises(errors.DataError, match="the path of a data set is empty"):
        parse_sources([""])
    with pytest.raises(errors.DataError, match="the path of the source 'a' is empty"):
        read_sources({"a": ""})
    assert read_sources({"a": "."})
