"""Tables of any bytes are read, or refused with their name."""

import csv
import io
import os

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from busnet.data import read_custom
from busnet.data.tables import read_table
from busnet.errors import DataError

EXAMPLES = int(os.environ.get("BUSNET_FUZZ_EXAMPLES", "40"))
SETTINGS = settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)

#: What a cell may hold: anything but the white space around it, which is cut off.
CELLS = st.text(
    st.characters(codec="utf-8", exclude_characters="\0\r", exclude_categories=["Cs"]),
    max_size=12,
).map(str.strip)

HEADS = st.sampled_from(
    ["image,label\n", "Image;Mask;Fold\n", "sep=;\nimage;label\n", "image\tlabel\n", ""]
)
ENCODINGS = st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-16-be", "latin-1"])


@SETTINGS
@given(data=st.binary(max_size=300))
@example(data=b"\xff\xfe")
@example(data=b"\xff\xfe\0\0")
@example(data=b'image\n"')
@example(data=b"\r\r\n\n")
def test_any_bytes(tmp_path, data):
    path = tmp_path / "t.csv"
    path.write_bytes(data)
    try:
        table = read_table(path)
    except DataError as error:
        message = str(error)
    else:
        message = str(path)
        assert len(set(table.columns)) == len(table.columns)
        assert all(set(row.values) == set(table.columns) for row in table.rows)
    assert str(path) in message


@SETTINGS
@given(head=HEADS, text=st.text(max_size=200), encoding=ENCODINGS)
def test_any_text_is_no_data_set_without_files(tmp_path, head, text, encoding):
    path = tmp_path / "t.csv"
    path.write_bytes((head + text).encode(encoding, "replace"))
    with pytest.raises(DataError, match=r"t\.csv"):
        read_custom(path)


@SETTINGS
@given(
    rows=st.lists(st.tuples(CELLS, CELLS, CELLS), min_size=1, max_size=8),
    delimiter=st.sampled_from(",;\t"),
    ending=st.sampled_from(["\n", "\r\n"]),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
)
def test_what_is_written_is_read(tmp_path, rows, delimiter, ending, encoding):
    buffer = io.StringIO()
    writer = csv.writer(buffer, delimiter=delimiter, lineterminator=ending)
    writer.writerow(("Image", "label", "mask"))
    writer.writerows(rows)
    path = tmp_path / "t.csv"
    path.write_bytes(buffer.getvalue().encode(encoding))
    read = [tuple(row.values.values()) for row in read_table(path).rows]
    assert read == [row for row in rows if any(row)]
