"""Hospitals of tables: their names, their patients, and those that are published."""

import csv

import pytest
from PIL import Image

from busnet.data import (
    READERS,
    default_protocol,
    get_protocol,
    parse_sources,
    read_busi,
    read_custom,
    read_data,
    split,
)
from busnet.data.source_names import LABELS, PUBLISHED
from busnet.errors import DataError

COLUMNS = ("image", "label", "source", "patient")


def write(path, rows, columns=COLUMNS):
    """Write a table and an image of its own for each row."""
    path.parent.mkdir(exist_ok=True)
    for name, *_ in rows:
        Image.new("L", (9, 7), len(name)).save(path.parent / name)
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([columns, *rows])
    return path


def test_rows_of_a_published_source_are_used(tmp_path):
    """Their folds are the table's, so a model of the published ones is not asked."""
    rows = [
        (f"{source}{i}.png", label, source, f"{source}{i}x")
        for source in ("busi", "A")
        for i, label in enumerate(("normal", "benign", "malignant", "normal"))
    ]
    cases = read_data(write(tmp_path / "t.csv", rows)).cases
    assert default_protocol(cases) == "hospitals"
    for protocol in ("hospitals", "custom"):
        assert get_protocol(protocol).use(cases) == [*cases]
    division = split(cases, "hospitals", "busi")
    assert [case.source for case in division.test] == 4 * ["busi"]
    assert {case.source for case in division.train + division.validation} == {"A"}
    alone = read_data(write(tmp_path / "busi.csv", rows[:4])).cases
    assert default_protocol(alone) == "custom"
    for protocol in ("busi-group5", "busi-clean"):
        with pytest.raises(DataError, match=r"busi0\.png: the image is in no fold of"):
            get_protocol(protocol).use(alone)


def test_the_published_division_is_not_that_of_a_table(tmp_path):
    columns = ("image", "label", "source", "fold", "group")
    for source, protocol in (("busbra", "busbra-patient5"), ("busi", "busi-group5")):
        rows = [(f"{source}{i}.png", "benign", source, i, f"p{i}") for i in range(3)]
        cases = read_custom(write(tmp_path / f"{source}.csv", rows, columns))
        assert default_protocol(cases) == "custom"
        assert len(split(cases, "custom", 1).test) == 1
        with pytest.raises(DataError, match=f"published division of {source}"):
            split(cases, protocol, 1)


def test_copies_of_several_classes_are_contradicted(tmp_path):
    rows = ["class,number,group_ext,objection,annotation,fold"]
    groups = {"normal": (1, 2), "benign": (3, 4), "malignant": (3, 5)}
    for label, numbers in groups.items():
        (tmp_path / label).mkdir()
        for number, group in enumerate(numbers, 1):
            for end in ("", "_mask"):
                Image.new("L", (9, 7)).save(
                    tmp_path / label / f"{label} ({number}){end}.png"
                )
            fold = "" if group == 3 else number
            rows.append(f"{label},{number},{group},,,{fold}")
    table = tmp_path / "busi_groups.csv"
    table.write_text("\n".join(rows))
    cases = read_busi(tmp_path)
    left_out = [case for case in cases if case.contradicted]
    assert [case.name for case in left_out] == ["benign (1)", "malignant (1)"]
    assert [(case.fold, case.divisions) for case in left_out] == 2 * [(-1, {})]
    assert default_protocol(cases) == "busi-group5"
    for name, count in (
        ("busi-group5", 4),
        ("busi-clean", 4),
        ("hospitals", 4),
        ("custom", 4),
        ("busi-random5", 6),
    ):
        assert len(get_protocol(name).use(cases)) == count, name
    table.write_text("\n".join([*rows[:1], "normal,1,1,,,", *rows[2:]]))
    with pytest.raises(DataError, match=r"busi_groups\.csv, line 2: the fold is miss"):
        read_busi(tmp_path)


@pytest.mark.parametrize(
    ("source", "label", "fact"),
    [
        ("busbra", "normal", "'normal' is not one of busbra, which has benign and mal"),
        ("BUSI", "benign", "'BUSI' is a published data set, which is called 'busi'"),
        ("BUS-BRA", "benign", "'BUS-BRA' is .* called 'busbra'"),
        ("Brest", "benign", "give a hospital that is called so another name"),
        ("", "benign", "the source is missing"),
        ("nan", "benign", "the source is missing"),
        ("hospa", "benign", r"the source 'hospa' is spelled 'HospA' in line 2"),
        ("Hosp A", "benign", None),
        ("HospB", "benign", None),
    ],
)
def test_sources_that_a_row_cannot_have(tmp_path, source, label, fact):
    rows = [("a.png", "benign", "HospA", ""), ("b.png", label, source, "")]
    table = write(tmp_path / "t.csv", rows)
    if fact is None:
        assert [case.source for case in read_custom(table)] == ["HospA", source]
        return
    with pytest.raises(DataError, match=rf"t\.csv, line 3: .*{fact}"):
        read_custom(table)


def test_spellings_of_one_hospital(tmp_path):
    names = ("St. Mary", "st mary", "St-Mary", "ST_MARY", "Ste Mary", "1", "1.0")
    rows = [(f"{i}.png", "benign", name, "") for i, name in enumerate(names)]
    with pytest.raises(DataError) as error:
        read_data(write(tmp_path / "t.csv", rows))
    assert "3 rows cannot be used" in str(error.value)
    for line, name in ((3, "st mary"), (4, "St-Mary"), (5, "ST_MARY")):
        fact = f"line {line}: the source {name!r} is spelled 'St. Mary' in line 2"
        assert fact in str(error.value)
    # pandas writes whole numbers as 1.0 where others are missing.
    cases = read_custom(write(tmp_path / "t.csv", rows[-2:]))
    assert [case.source for case in cases] == ["1", "1"]


def test_a_column_without_sources_is_none(tmp_path):
    table = write(tmp_path / "t.csv", [("a.png", "benign", "", "")])
    assert [case.source for case in read_custom(table)] == ["custom"]


def test_two_spellings_in_two_tables(tmp_path):
    one = write(tmp_path / "1" / "t.csv", [("a.png", "benign")], COLUMNS[:2])
    two = write(tmp_path / "2" / "t.csv", [("b.png", "benign")], COLUMNS[:2])
    fact = r"1/t\.csv holds the source 'HospA' and .*2/t\.csv the source 'hosp"
    for name in ("hospa", "hospA"):
        with pytest.raises(DataError, match=fact):
            read_data([f"HospA={one}", f"{name}={two}"])
    with pytest.raises(DataError, match="'BUSI' is a published data set"):
        read_data([f"BUSI={one}"])
    listed = read_data([f"HospA={one}", f"HospB={two}"])
    assert [case.source for case in listed.cases] == ["HospA", "HospB"]
    assert list(parse_sources([f"HospA={one}", f"HospB={two}"])) == ["HospA", "HospB"]


def test_a_name_that_a_table_does_not_use(tmp_path):
    rows = [("a.png", "benign", "A", "Ann"), ("b.png", "benign", "B", "Bea")]
    table = write(tmp_path / "t.csv", rows)
    listing = read_data([f"north={table}"])
    assert {case.source for case in listing.cases} == {"A", "B"}
    (finding,) = (f for f in listing.findings if f.kind == "unused-name")
    assert finding.severity == "warning"
    assert str(finding) == (
        f"{table}: the name 'north' is not used, as the table's column of sources has "
        f"names of its own: A, B"
    )
    for name in ("", "A="):
        kinds = {f.kind for f in read_data([f"{name}{table}"]).findings}
        assert "unused-name" not in kinds


def two_ways(tmp_path, patient):
    """Return a patient's data of two hospitals: as one table, and as two."""
    one = write(
        tmp_path / "one" / "t.csv",
        [("a.png", "benign", "A", patient), ("b.png", "benign", "B", patient)],
    )
    columns = ("image", "label", "patient")
    two = [
        f"{name}="
        + str(
            write(
                tmp_path / name / "t.csv", [(f"{name}.png", "benign", patient)], columns
            )
        )
        for name in "AB"
    ]
    return one, two


@pytest.mark.parametrize("patient", ["Smith 1970-01-01", "AB-12-7", "Ann"])
def test_a_patient_is_in_one_hospital(tmp_path, patient):
    one, two = two_ways(tmp_path, patient)
    with pytest.raises(DataError, match=f"line 3: the group '{patient}' is in the sou"):
        read_data(one)
    fact = f"1 group in several sources; give .* one source: '{patient}' in A and B"
    with pytest.raises(DataError, match=fact):
        read_data(two)


@pytest.mark.parametrize(
    "patient", ["7", "007", "patient 7", "Case_7", "P7", "2021-0034"]
)
def test_numbers_may_be_of_several_patients(tmp_path, patient):
    for data in two_ways(tmp_path, patient):
        (finding,) = (f for f in read_data(data).findings if f.severity != "note")
        assert (finding.kind, finding.severity) == ("shared-name", "warning")
        assert str(finding) == (
            "1 name of groups in several sources, which count as different patients: "
            f"{patient!r} in A and B"
        )


def test_images_of_the_same_names_are_no_patients(tmp_path):
    for name in "AB":
        for patient in ("", "left"):
            folder = tmp_path / name / "benign" / patient
            folder.mkdir(exist_ok=True, parents=True)
            Image.new("L", (9, 7)).save(folder / "1.png")
    rows = [("a.png", "benign", "busbra", "Ann"), ("b.png", "benign", "B", "Ann")]
    with pytest.raises(DataError, match="'Ann' is in the sources 'busbra' and 'B'"):
        read_data(write(tmp_path / "t.csv", rows))
    listing = read_data([f"A={tmp_path / 'A'}", f"B={tmp_path / 'B'}"])
    (finding,) = (f for f in listing.findings if f.severity != "note")
    assert (finding.kind, finding.severity) == ("shared-name", "warning")
    assert finding.subjects == ("'left' in A and B",)


def test_images_of_busi_without_groups(tmp_path):
    rows = [("a.png", "benign", "busi", ""), ("b.png", "benign", "B", "")]
    (finding,) = (
        f for f in read_data(write(tmp_path / "t.csv", rows)).findings
        if f.severity == "warning"
    )  # fmt: skip
    assert finding.kind == "no-group"
    assert finding.subjects == ("a.png",)
    assert "busi_groups.csv" in finding.message


def test_the_names_are_those_of_the_readers():
    assert set(READERS) == {*PUBLISHED, "custom"}
    assert LABELS["busbra"] == ("benign", "malignant")
