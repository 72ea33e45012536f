"""What is said of a table that can be read in two ways."""

import pytest
from PIL import Image

from busnet.data import list_sources
from busnet.data.custom import list_custom
from busnet.errors import DataError

NAMES = ("a.png", "b.png", "c.png", "d.png")


@pytest.fixture
def listed(tmp_path):
    """Return a function that lists a table with a row for each of four images."""
    for i, name in enumerate(NAMES):
        Image.new("L", (9, 7), i).save(tmp_path / name)

    def read(column, *cells, label="benign"):
        path = tmp_path / "t.csv"
        lines = [
            f"{name},{label},{cell}" for name, cell in zip(NAMES, cells, strict=True)
        ]
        path.write_text("\n".join([f"image,label,{column}", *lines]))
        return list_custom(path)

    return read


@pytest.mark.parametrize("column", ["split", "Set", "subset", "partition"])
def test_columns_of_training_and_test_are_refused(listed, column):
    with pytest.raises(
        DataError,
        match=rf"t\.csv: the column '{column.lower()}' divides the images into test, "
        "train, and is not read; write a column 'fold'",
    ):
        listed(column, "Train", "train", "test", "")


def test_a_column_of_one_part_is_fine(listed):
    assert len(listed("split", *4 * ["test"]).cases) == 4
    assert len(listed("set", *"aabb").cases) == 4


def test_folds_decide_beside_a_column_of_parts(listed):
    cells = ("0,train", "0,train", "1,test", "1,test")
    cases = listed("fold,split", *cells).cases
    assert [case.fold for case in cases] == [0, 0, 1, 1]


def test_images_without_a_group_beside_others_are_named(listed):
    listing = listed("patient", "p1", "NA", "p1", "")
    assert [case.group for case in listing.cases] == ["p1", "b.png", "p1", "d.png"]
    (finding,) = listing.findings
    assert (finding.kind, finding.severity) == ("no-group", "warning")
    assert finding.subjects == ("b.png", "d.png")
    assert not listed("patient", *4 * [""]).findings


def test_images_of_a_source_without_groups_are_not_named(listed):
    assert not listed("source,patient", "A,p1", "A,p1", "B,", "B,").findings


@pytest.mark.parametrize("name", ["unknown", "-", "?", "Missing", "n.a."])
def test_unknown_patients_are_not_taken_for_one_silently(listed, name):
    listing = listed("patient", "p1", name, name, "p1")
    (finding,) = listing.findings
    assert (finding.kind, finding.severity) == ("unknown-group", "warning")
    assert finding.subjects == (f"custom/{name}",)
    assert not listed("patient", "p1", name, "p2", "p1").findings


@pytest.mark.parametrize(
    ("column", "meant"),
    [
        ("Patient Name", "group"),
        ("case_id", "group"),
        ("fold_id", "fold"),
        ("kfold", "fold"),
        ("site", "source"),
        ("Centre", "source"),
        ("segmentation", "mask"),
        ("mask_file", "mask"),
        ("pixel_spacing", "spacing"),
        ("mm_per_pixel", "spacing"),
    ],
)
def test_columns_that_may_be_meant_are_named(listed, column, meant):
    (finding,) = listed(column, *"1212").findings
    assert finding.severity == "warning"
    assert str(finding).endswith(
        f"there is no column '{meant}', and one that may be meant is not used; call it "
        f"so if it is: {column.lower().replace(' ', '_')}"
    )


@pytest.mark.parametrize("column", ["age", "patient_age", "masked", "date"])
def test_other_columns_are_a_note(listed, column):
    (finding,) = listed(column, *"1212").findings
    assert (finding.kind, finding.severity) == ("ignored", "note")


def test_birads_in_two_forms_are_one_category(listed, tmp_path):
    cases = listed("BI-RADS", "4", "4.0", "4a", "").cases
    assert [dict(case.attributes) for case in cases] == [
        {"birads": "4"},
        {"birads": "4"},
        {"birads": "4a"},
        {},
    ]
    assert len(list_sources({"x": tmp_path / "t.csv"}).cases) == 4


def test_values_of_several_spellings_are_named(listed):
    (finding,) = listed("scanner", "GE Logiq", "ge-logiq", "Philips", "").findings
    assert (finding.kind, finding.severity) == ("similar-values", "warning")
    assert finding.subjects == ("scanner 'GE Logiq' and 'ge-logiq'",)
