"""Tables of text are read as they were written, whoever wrote them."""

from itertools import product

import pandas as pd
import pytest

from viba_lib.core.errors import VibaError
from viba_lib.core.tables import read_csv

NAMES = ["NA", "N/A", "null", "NULL", "None", "nan", "NaN", "#N/A", "-", "", "007", "1e5", "1_0"]
NAMES += ["True", "3.0", "2024-05-01", "inf", "a b", "Zoë", "=1+1", "it's", "0x10"]
COLUMNS = ("name", "other")


@pytest.mark.parametrize(
    ("separator", "encoding", "end", "quoting"),
    product(",;\t|", ["utf-8", "utf-8-sig", "utf-16"], ["\n", "\r\n", "\r"], [0, 1]),
)
def test_text_is_read_as_it_was_written(tmp_path, separator, encoding, end, quoting):
    table = pd.DataFrame({"name": NAMES, "other": NAMES[::-1], "Note": "x, y; z"})
    text = table.to_csv(None, sep=separator, index=False, lineterminator=end, quoting=quoting)
    (tmp_path / "t.csv").write_bytes(text.encode(encoding))
    pd.testing.assert_frame_equal(read_csv(tmp_path / "t.csv", COLUMNS), table)


@pytest.mark.parametrize(
    "text",
    [
        " NAME , Other\n a , b c \n",
        "\n\nname;other\n\n;\na;b c\n;\n",
        'name,"other"\n"a", "b c"\n',
        "name\tother\na\t b c\n\t\n",
        'name,"other"\na,"b c',
        "name,other\na,b c",
    ],
)
def test_spaces_capitals_quotes_and_empty_rows(tmp_path, text):
    (tmp_path / "t.csv").write_text(text)
    if text.count('"') % 2:
        with pytest.raises(VibaError, match="cannot be read as a table"):
            read_csv(tmp_path / "t.csv", COLUMNS)
    else:
        found = read_csv(tmp_path / "t.csv", COLUMNS)
        assert found.to_dict("list") == {"name": ["a"], "other": ["b c"]}


def test_short_rows_end_in_empty_cells(tmp_path):
    (tmp_path / "t.csv").write_text("name,other\na\nb,c\n")
    assert read_csv(tmp_path / "t.csv", COLUMNS).other.tolist() == ["", "c"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "cannot be read"),
        (b"\n \n", "cannot be read"),
        (b"name,other\na,b,c\n", "line 2, saw 3"),
        (b"name,Name\na,b\n", r"columns twice: \['name'\]"),
        ("name\nGrün\n".encode("latin-1"), "expected CSV in UTF-8"),
        (b"PK\x03\x04\xff\xfe", "such as name, other, separated by"),
    ],
)
def test_other_files_are_refused(tmp_path, content, said):
    (tmp_path / "t.csv").write_bytes(content)
    with pytest.raises(VibaError, match=said):
        read_csv(tmp_path / "t.csv", COLUMNS)


def test_a_zero_byte_does_not_end_a_cell(tmp_path):
    (tmp_path / "t.csv").write_bytes(b"name,other\na\x00.mp4,b\n")
    with pytest.raises(VibaError, match="zero byte"):
        read_csv(tmp_path / "t.csv", COLUMNS)


def test_separators_after_the_last_column_are_no_columns(tmp_path):
    (tmp_path / "t.csv").write_text("name,other,,\na,b,,\nc,,,\n")
    assert read_csv(tmp_path / "t.csv", COLUMNS).to_dict("list") == {
        "name": ["a", "c"], "other": ["b", ""]
    }  # fmt: skip
