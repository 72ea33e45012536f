"""BrEaST, on a drawn copy of its layout."""

import numpy as np
import pytest
from PIL import Image

from busnet import errors
from busnet.data import read_brest, read_sources, recognise

openpyxl = pytest.importorskip("openpyxl")

HEADER = (
    "CaseID",
    "Image_filename",
    "Mask_tumor_filename",
    "Mask_other_filename",
    "Pixel_size",
    "Age",
    "BIRADS",
    "Interpretation",
    "Diagnosis",
    "Classification",
)
ROWS = (
    (
        1,
        "case001.png",
        "case001_tumor.png",
        None,
        0.0076,
        57,
        "2",
        "x",
        "cyst",
        "benign",
    ),
    (
        2,
        "case002.png",
        "case002_tumor.png",
        "case002_other1.png&case002_other2.png",
        0.007,
        60,
        "4a",
        "x",
        "IDC",
        "malignant",
    ),
    (3, "case003.png", None, None, None, 40, 1, "x", "not applicable", "normal"),
)
TABLE = "BrEaST-Lesions-USG-clinical-data-Dec-15-2023.xlsx"


def make_brest(root, rows=ROWS, images="BrEaST-Lesions_USG-images_and_masks"):
    folder = root / images
    folder.mkdir(parents=True, exist_ok=True)
    book = openpyxl.Workbook()
    book.active.append(HEADER)
    for row in rows:
        book.active.append(row)
    book.save(root / TABLE)
    for number in (1, 2, 3):
        Image.new("L", (90, 70), number).save(folder / f"case00{number}.png")
    names = ("case001_tumor", "case002_tumor", "case002_other1", "case002_other2")
    for i, name in enumerate(names):
        mask = np.zeros((70, 90), np.uint8)
        mask[10 * i + 5 : 10 * i + 15, 20:30] = 255
        Image.fromarray(mask).save(folder / f"{name}.png")
    return root


@pytest.mark.parametrize("images", ["BrEaST-Lesions_USG-images_and_masks", ""])
def test_the_layout_is_read(tmp_path, images):
    make_brest(tmp_path, images=images)
    assert recognise(tmp_path) == recognise(tmp_path / TABLE) == "brest"
    cases = read_sources({"brest": tmp_path})
    assert cases == read_brest(tmp_path / TABLE)
    first, second, third = cases
    assert [c.label for c in cases] == ["benign", "malignant", "normal"]
    assert [c.key for c in cases] == ["brest/1", "brest/2", "brest/3"]
    assert first.spacing == pytest.approx((0.076, 0.076))
    assert first.read_image().spacing == first.spacing
    assert third.spacing is None
    assert second.attributes == {"birads": "4a", "histology": "IDC"}
    assert third.attributes == {"birads": "1"}
    assert [len(c.masks) for c in cases] == [1, 3, 0]
    assert second.read_mask().sum() == 10 * 30  # three bands, one below the other
    assert not third.read_mask().any()


@pytest.mark.parametrize(
    ("column", "value", "fact"),
    [
        (9, "unclear", "line 2.*not 'unclear'"),
        (2, "none.png", r"line 2.*no file 'none\.png'"),
        (4, 7.6, "line 2.*'7.6' is no length"),
        (4, "small", "line 2.*'small' is no length"),
        (1, "none.png", r"'none\.png' is neither"),
    ],
)
def test_values_that_brest_cannot_have(tmp_path, column, value, fact):
    row = list(ROWS[0])
    row[column] = value
    with pytest.raises(errors.DataError, match=fact):
        read_brest(make_brest(tmp_path, [row, *ROWS[1:]]))


def test_it_may_be_saved_as_csv(tmp_path):
    make_brest(tmp_path)
    (tmp_path / TABLE).unlink()
    lines = [";".join("" if c is None else str(c) for c in r) for r in (HEADER, *ROWS)]
    (tmp_path / "table.csv").write_text("\n".join(lines), encoding="utf-8-sig")
    assert recognise(tmp_path) == "brest"
    assert len(read_brest(tmp_path)) == 3


def test_other_sheets_are_not_brest(tmp_path, monkeypatch):
    book = openpyxl.Workbook()
    book.active.append(("a", "b"))
    book.save(tmp_path / "x.xlsx")
    (tmp_path / "broken.xlsx").write_bytes(b"PK")
    assert recognise(tmp_path) == "custom"
    with pytest.raises(errors.DataError, match="no table with the columns"):
        read_brest(tmp_path)
    monkeypatch.setitem(__import__("sys").modules, "openpyxl", None)
    assert recognise(tmp_path) == "custom"
    (tmp_path / "x.xlsx").rename(tmp_path / TABLE)
    with pytest.raises(errors.MissingExtraError, match="busnet\\[xlsx\\]"):
        recognise(tmp_path)
