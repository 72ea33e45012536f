"""One reader for every table."""

import zipfile

import pytest
from PIL import Image

from busnet import errors
from busnet.batch import collect
from busnet.data import list_sources
from busnet.data.custom import list_custom
from busnet.data.tables import read_table

ROWS = [{"image": "a b.png", "label": "Benign"}, {"image": "ü.png", "label": ""}]
TEXT = "Image,LABEL\na b.png,Benign\nü.png,\n"


def values(path, **options):
    return [dict(row.values) for row in read_table(path, **options).rows]


@pytest.mark.parametrize(
    "data",
    [
        TEXT.encode(),
        TEXT.encode("utf-8-sig"),
        TEXT.encode("utf-16"),
        TEXT.encode("utf-16-le"),
        TEXT.encode("utf-16-be"),
        b"\xfe\xff" + TEXT.encode("utf-16-be"),
        TEXT.replace("\n", "\r\n").encode(),
        TEXT.replace("\n", "\r").encode(),
        TEXT.replace(",", ";").encode("utf-8-sig"),
        TEXT.replace(",", "\t").encode("utf-16"),
        ("sep=;\r\n" + TEXT.replace(",", ";")).encode(),
        ("sep=,\n" + TEXT).encode(),
        TEXT.replace("a b.png", '" a b.png "').encode(),
        TEXT.replace("\n", ",,\n").encode(),
        ("\n\n" + TEXT.replace("\n", "\n\n,\n  , \n")).encode(),
        (TEXT.strip()).encode(),
        TEXT.replace("ü.png,", "ü.png").encode(),
        ",Image,LABEL\n0,a b.png,Benign\n1,ü.png,\n".encode(),
    ],
)
def test_forms_of_one_table(tmp_path, data):
    path = tmp_path / "t.csv"
    path.write_bytes(data)
    assert values(path, required=("image", "label")) == ROWS
    assert values(path) == ROWS


def test_lines_are_those_of_the_file(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text('image,note\n\na,"two\nlines"\n\n,\nb,x\n')
    assert [row.line for row in read_table(path).rows] == [3, 7]
    assert read_table(path).rows[0]["note"] == "two\nlines"
    assert read_table(path).rows[1].where == f"{path}, line 7"


def test_a_required_column_decides_the_delimiter(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("image;label;a,b,c,d,e\nx.png;benign;1\n")
    (row,) = read_table(path, required=("image",)).rows
    assert row["label"] == "benign"


@pytest.mark.parametrize(
    ("data", "fact"),
    [
        (b"", "empty"),
        (b"\n \n,,\n", "empty"),
        (b"image,label,Image \nx,y,z\n", "'image' is there twice"),
        (b"picture,label\nx,y\n", "'image' is missing; there are picture, label"),
        (b"image,label\nx,y\nx,y,z\n", "line 3: there are 3 cells.* 2"),
        (b"image,label\n\ncaf\xe9.png,y\n", "line 3: the file is not UTF-8"),
        (b'image,label\na,b\n"x,y\nz,w\n', "line 3: cannot be read"),
        (b"image,label\nx\0,y\n", "zero byte"),
        (b"\x89PNG\r\n\x1a\n\0\0\0", "not UTF-8"),
    ],
)
def test_faults_are_named(tmp_path, data, fact):
    path = tmp_path / "t.csv"
    path.write_bytes(data)
    with pytest.raises(errors.DataError, match=rf"t\.csv.*{fact}"):
        read_table(path, required=("image",))


def test_files_that_are_no_tables(tmp_path):
    with pytest.raises(errors.DataError, match="no such file"):
        read_table(tmp_path / "t.csv")
    with pytest.raises(errors.DataError, match="cannot be read"):
        read_table(tmp_path)
    with pytest.raises(errors.DataError, match=r"\.xls is not read"):
        read_table(tmp_path / "t.xls")


def test_numbers_and_blanks(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("fold,mask\n0,a\n1.0,NaN\n,None\n+2.,x\n-1,\n0.5,\nx,\n")
    rows = read_table(path).rows
    assert [row.integer("fold") for row in rows[:5]] == [0, 1, None, 2, -1]
    assert [row.get("mask") for row in rows[:4]] == ["a", "", "", "x"]
    assert rows[0].get("absent") == ""
    for row in rows[5:]:
        with pytest.raises(errors.DataError, match=f"line {row.line}: the fold"):
            row.integer("fold")


def write_sheets(path, **sheets):
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    book.remove(book.active)
    for name, rows in sheets.items():
        sheet = book.create_sheet(name)
        for row in rows:
            sheet.append(row)
    book.save(path)
    return path


IMAGES = [("image", "label"), ("a.png", "benign")]


def test_the_sheet_that_is_meant(tmp_path):
    path = write_sheets(
        tmp_path / "t.xlsx",
        Legend=[("label", "meaning"), ("benign", "no cancer")],
        Empty=[(None, " ")],
        Images=[(), *IMAGES],
    )
    for options in ({"required": ("image",)}, {"sought": ("file", "image")}):
        table = read_table(path, **options)
        assert [dict(row.values) for row in table.rows] == [
            {"image": "a.png", "label": "benign"}
        ]
        assert table.rows[0].line == 3
        assert table.unread == ("Legend",)
    with pytest.raises(errors.DataError, match=r"sheets 'Legend', 'Images' each have"):
        read_table(path)
    with pytest.raises(errors.DataError, match=r"'Legend', 'Images' all lack"):
        read_table(path, required=("image", "group"))


def test_several_sheets_of_images_are_refused(tmp_path):
    """Only the first would be read, and the others lost."""
    path = write_sheets(tmp_path / "t.xlsx", benign=IMAGES, malignant=IMAGES)
    with pytest.raises(errors.DataError, match=r"t\.xlsx.*'benign', 'malignant'"):
        read_table(path, required=("image",))
    with pytest.raises(errors.DataError, match="empty"):
        read_table(write_sheets(path, benign=[(None,)], malignant=[]))
    table = read_table(write_sheets(path, A=[], B=IMAGES, C=[(None, None)]))
    assert (len(table.rows), table.unread) == (1, ())


def test_sheets_that_are_not_read_are_said(tmp_path):
    notes = [("Notes",), ("see the protocol",)]
    path = write_sheets(tmp_path / "t.xlsx", Notes=notes, Images=IMAGES)
    Image.new("L", (9, 9)).save(tmp_path / "a.png")
    listing = list_sources({"x": path})
    assert [case.label for case in listing.cases] == ["benign"]
    (finding,) = listing.findings
    assert finding.severity == "warning"
    assert finding.message == f"{path}: 1 sheet not used"
    assert finding.subjects == ("Notes",)
    selection = collect([path])
    assert [source.path for source in selection.sources] == [tmp_path / "a.png"]
    assert selection.summary() == "1 file skipped: 1 sheets of tables"


def test_sheets(tmp_path):
    openpyxl = pytest.importorskip("openpyxl")
    path = tmp_path / "t.xlsx"
    book = openpyxl.Workbook()
    for row in (("Image", "Fold", "Size"), ("a.png", 1.0, 0.25), (None,), ("b", 2, 3)):
        book.active.append(row)
    book.save(path)
    assert values(path) == [
        {"image": "a.png", "fold": "1", "size": "0.25"},
        {"image": "b", "fold": "2", "size": "3"},
    ]
    assert [row.line for row in read_table(path).rows] == [2, 4]
    path.write_bytes(b"PK nothing")
    with pytest.raises(errors.DataError, match=r"t\.xlsx.*cannot be read"):
        read_table(path)
    with pytest.raises(errors.DataError, match="no such file"):
        read_table(tmp_path / "none.xlsx")


@pytest.mark.parametrize(
    "value",
    [
        *(
            "#N/A",
            "#REF!",
            "#VALUE!",
            "#DIV/0!",
            "#NAME?",
            "#NUM!",
            "#NULL!",
            "#SPILL!",
        ),
        *("#NV", "#WERT!", "#BEZUG!", "#N/D", "#¡VALOR!", "#GETTING_DATA", "Err:502"),
    ],
)
def test_failed_formulas_are_errors_where_they_are_used(tmp_path, value):
    path = tmp_path / "t.csv"
    path.write_text(f"image,fold\na,{value}\n#1,n/a\n#a!,0\n")
    first, *others = read_table(path).rows
    for use in (first.get, first.integer, first.__getitem__):
        with pytest.raises(errors.DataError, match=r"t\.csv, line 2: the fold is"):
            use("fold")
    assert [(row["image"], row.integer("fold")) for row in others] == [
        ("#1", None),
        ("#a!", 0),
    ]


def test_all_failed_formulas_of_a_table_are_listed(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("image,label,fold\nt.csv,benign,#N/A\nt.csv,#REF!,0\n")
    (finding,) = list_custom(path).findings
    assert [str(subject).split(": ")[1] for subject in finding.subjects] == [
        "the fold is #N/A, the error of a formula; correct it, or leave the cell blank",
        "the label is #REF!, the error of a formula; correct it, or leave the cell "
        "blank",
    ]


def test_merged_cells_have_one_value(tmp_path):
    """A patient whose cell spans the rows of her images has all of them."""
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    for row in (("image", "patient"), ("a", "P1"), ("b",), ("c", "P2"), ("d",), ("e",)):
        book.active.append(row)
    book.active.merge_cells("B2:B3")
    book.active.merge_cells("B4:B5")
    book.save(tmp_path / "t.xlsx")
    rows = read_table(tmp_path / "t.xlsx").rows
    assert [row.get("patient") for row in rows] == ["P1", "P1", "P2", "P2", ""]


def test_formulas_without_a_value_are_errors_where_they_are_used(tmp_path):
    """What openpyxl wrote and no spreadsheet program computed."""
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    for row in (("image", "patient"), ("a", '=LEFT("P12",2)'), ("b", "P1")):
        book.active.append(row)
    book.save(tmp_path / "t.xlsx")
    first, second = read_table(tmp_path / "t.xlsx").rows
    assert second.identifier("patient") == "P1"
    with pytest.raises(
        errors.DataError,
        match=r"t\.xlsx, line 2: the patient is the formula '=LEFT\(\"P12\",2\)', "
        r"whose value the file does not hold",
    ):
        first.identifier("patient")


def test_a_computed_formula_may_be_an_empty_text(tmp_path):
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    for row in (("image", "mask"), ("a", '=IF(A2="a","","m")')):
        book.active.append(row)
    path, written = tmp_path / "t.xlsx", tmp_path / "written.xlsx"
    book.save(written)
    # As Excel stores its value.
    with zipfile.ZipFile(written) as old, zipfile.ZipFile(path, "w") as new:
        for name in old.namelist():
            data = old.read(name)
            if name.endswith("sheet1.xml"):
                assert b'<c r="B2">' in data
                data = data.replace(b'<c r="B2">', b'<c r="B2" t="str">')
            new.writestr(name, data)
    assert values(path) == [{"image": "a", "mask": ""}]


def test_hidden_rows_are_used_and_said(tmp_path):
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    rows = (("image", "label"), ("a.png", "benign"), ("b.png", "malignant"))
    for row in rows:
        book.active.append(row)
    for line in (3, 9):  # the ninth is blank
        book.active.row_dimensions[line].hidden = True
    book.save(tmp_path / "t.xlsx")
    for name, _ in rows[1:]:
        Image.new("L", (9, 9)).save(tmp_path / name)
    listing = list_custom(tmp_path / "t.xlsx")
    assert [case.label for case in listing.cases] == ["benign", "malignant"]
    (finding,) = listing.findings
    assert (finding.kind, finding.severity) == ("hidden-rows", "warning")
    assert finding.subjects == ("row 3",)


def test_texts_that_are_kept_from_being_numbers(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text('image,patient\na,"=""007"""\nb,="07"\n')
    assert [row.get("patient") for row in read_table(path).rows] == ["007", "07"]


@pytest.mark.parametrize("number", ["2.02E+11", "2,02E+11", "2e+16", "1.234e+16"])
def test_rounded_numbers_are_no_names(tmp_path, number):
    """Patients 202100340001 and 202100340002 are both 2.02E+11 in Excel's CSV."""
    path = tmp_path / "t.csv"
    path.write_text(f"image;patient\na;{number}\nb;12e4\nc;1.5\n")
    first, *others = read_table(path).rows
    with pytest.raises(
        errors.DataError, match=r"t\.csv, line 2: the patient '.*' is a number that"
    ):
        first.identifier("patient")
    assert [row.identifier("patient") for row in others] == ["12e4", "1.5"]


def test_a_missing_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "openpyxl", None)
    with pytest.raises(errors.MissingExtraError, match=r"busnet\[xlsx\]"):
        read_table(tmp_path / "t.xlsx")
