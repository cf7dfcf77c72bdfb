"""CSV as people have it: bad rows and cells are counted, never in the table, never in the way."""

from __future__ import annotations

import math
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spice_engine.data.connectors.file import read, resolve
from spice_engine.data.processors.csv import parse
from spice_engine.data.selection import Selection
from spice_engine.data.table import Column, Table
from spice_engine.errors import InvalidData, Place
from tests.examples import examples

COLUMNS = (Column("a", "a"), Column("b", "bee", Place("pod.yaml", 7, 3)))


def table(text: str | bytes, **options: str) -> Table:
    data = text.encode() if isinstance(text, str) else text
    return parse(BytesIO(data), Selection(COLUMNS, **options), name="data.csv")  # type: ignore[arg-type]


def test_plain_rows() -> None:
    got = table("time,a,bee,other\n10,1,2.5,x\n20,-3e2,.5,y\n")
    assert got.times.tolist() == [10, 20]
    assert got.values["a"].tolist() == [1.0, -300.0]
    assert got.values["b"].tolist() == [2.5, 0.5]
    assert (got.bad_rows, got.bad_cells, got.examples) == (0, {}, ())


@pytest.mark.parametrize(
    "text",
    [
        "\ufefftime,a,bee\r\n1,2,3\r\n\r\n4,5,6\r\n",
        "\n\ntime , a,  bee\n1, 2 ,3\n\n4,5,6\n\n",
        'time,a,bee\n"1","2","3"\n"4","5",6',
        "bee,time,a\n3,1,2\n6,4,5\n",
    ],
)
def test_layouts_that_mean_the_same(text: str) -> None:
    got = table(text)
    assert got.times.tolist() == [1, 4]
    assert got.values["a"].tolist() == [2.0, 5.0]
    assert got.values["b"].tolist() == [3.0, 6.0]
    assert got.bad_rows == 0


def test_bad_times_keep_the_row_out_and_say_its_line() -> None:
    got = table("time,a,bee\n1,1,1\nsoon,1,1\n,1,1\n2,1,1\n")
    assert got.times.tolist() == [1, 2]
    assert got.bad_rows == 2
    assert [(e.line, e.reason) for e in got.examples] == [
        (3, "'soon' is not a time"),
        (4, "'' is not a time"),
    ]


def test_bad_cells_are_missing_and_counted_by_measurement() -> None:
    got = table("time,a,bee\n1,nan,1\n2,inf,\n3,1e999,x\n4,1_0,4\n")
    assert got.times.tolist() == [1, 2, 3, 4]
    assert np.isnan(got.values["a"]).all()
    assert got.bad_cells == {"a": 4, "b": 1}
    assert [e.line for e in got.examples][:4] == [2, 3, 4, 4]
    assert [math.isnan(value) for value in got.values["b"]] == [False, True, True, False]


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (b"2,1,1,1", "4 cells, but the header has 3"),
        (b'2,"1,1', "unexpected end"),
    ],
)
def test_a_broken_line_loses_itself_only(bad: bytes, reason: str) -> None:
    got = table(b"time,a,bee\n1,1,1\n\n" + bad + b"\n3,1,x\n4,1,1\n")
    assert got.times.tolist() == [1, 3, 4]
    assert got.bad_rows == 1
    assert got.examples[0].line == 4
    assert reason in got.examples[0].reason
    assert (got.examples[1].line, got.bad_cells) == (5, {"b": 1})


def test_bytes_that_are_no_text_spoil_their_cell_only() -> None:
    got = table(b"time,a,bee\n1,\xff,1\n2,2,2\n")
    assert got.times.tolist() == [1, 2]
    assert (got.bad_cells, got.values["a"][1]) == ({"a": 1}, 2.0)


def test_a_short_row_has_missing_cells() -> None:
    got = table("time,a,bee\n1\n2,2,2\n")
    assert got.times.tolist() == [1, 2]
    assert math.isnan(got.values["a"][0])
    assert got.bad_cells == {}


def test_times_in_all_forms_in_one_column() -> None:
    got = table(
        "time,a,bee\n1612557000,1,1\n0x601DA7C8,1,1\n2021-02-05T20:30:00Z,1,1\n"
        "2021-02-05T21:30:00.7+01:00,1,1\n1612557000.7,1,1\n1969-12-31T23:59:59.5Z,1,1\n"
    )
    assert got.times.tolist() == [1612557000, 0x601DA7C8, 1612557000, 1612557000, 1612557000, -1]


@pytest.mark.parametrize(
    ("time_format", "cell", "bad"),
    [("hex", "ff", "xyz"), ("rfc3339", "1970-01-01T00:04:15Z", "255")],
)
def test_a_time_format_excludes_others(time_format: str, cell: str, bad: str) -> None:
    got = table(f"time,a,bee\n{cell},1,1\n{bad},1,1\n", time_format=time_format)
    assert (got.times.tolist(), got.bad_rows) == ([255], 1)


def test_missing_columns_name_what_there_is() -> None:
    with pytest.raises(InvalidData, match=r"'time'.*'when', 'a'") as caught:
        table("when,a\n1,2\n")
    assert "time_selector" in caught.value.hint
    with pytest.raises(InvalidData, match=r"'bee'.*measurement 'b'") as caught:
        table("time,a\n1,2\n")
    assert caught.value.place == Place("pod.yaml", 7, 3)


@pytest.mark.parametrize("text", ["", "\n\n"])
def test_an_empty_file_is_an_error(text: str) -> None:
    with pytest.raises(InvalidData, match=r"data\.csv"):
        table(text)


def test_only_a_header_is_no_error() -> None:
    assert len(table("time,a,bee\n").times) == 0


rows = st.lists(
    st.tuples(
        st.integers(-(10**9), 10**10),
        st.floats(allow_nan=False, allow_infinity=False, min_value=-1e150, max_value=1e150),
        st.integers(-1000, 1000),
    ),
    max_size=30,
)


@settings(deadline=None)
@given(rows)
def test_numbers_arrive_exactly(expected: list[tuple[int, float, int]]) -> None:
    text = "time,a,bee\n" + "".join(f"{t},{a!r},{b}\n" for t, a, b in expected)
    got = table(text)
    assert got.times.tolist() == [t for t, _, _ in expected]
    assert got.values["a"].tolist() == [a for _, a, _ in expected]


@settings(deadline=None, max_examples=examples(60))
@given(st.binary(max_size=80))
def test_no_bytes_break_the_parser(data: bytes) -> None:
    got = table(b"time,a,bee\n1,2,3\n" + data)
    assert len(got.values["a"]) == len(got.times)
    assert np.isfinite(got.values["a"][~np.isnan(got.values["a"])]).all()


def test_files_are_found_in_the_app_folder_only(tmp_path: Path) -> None:
    (tmp_path / "app" / "data").mkdir(parents=True)
    (tmp_path / "app" / "data" / "x.csv").write_text("time\n")
    (tmp_path / "secret").write_text("s")
    app = tmp_path / "app"
    assert read(app, "data/x.csv").data == b"time\n"
    assert read(app, "data/../data/x.csv").data == b"time\n"
    assert read(app, str(tmp_path / "secret")).data == b"s"
    for path in ("../secret", "data/../../secret", ""):
        with pytest.raises(InvalidData):
            resolve(app, path)


def test_what_cannot_be_read_is_said(tmp_path: Path) -> None:
    place = Place("pod.yaml", 3, 9)
    with pytest.raises(InvalidData, match=r"no file 'gone\.csv'") as caught:
        read(tmp_path, "gone.csv", place)
    assert caught.value.place == place
    (tmp_path / "folder").mkdir()
    with pytest.raises(InvalidData, match="regular file"):
        read(tmp_path, "folder")


def test_a_pipe_does_not_block(tmp_path: Path) -> None:
    import os

    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InvalidData, match="regular file"):
        read(tmp_path, "pipe")


@pytest.mark.parametrize("time", ["-9223372036854775808", "-99999999999", "253402300800"])
def test_a_time_outside_the_calendar_is_a_bad_row(time: str) -> None:
    got = table(f"time,a,bee\n{time},1,2\n5,1,2\n")
    assert (got.times.tolist(), got.bad_rows) == ([5], 1)
    assert got.examples[0].reason == f"'{time}' is not a time"


def test_what_is_probably_wrong_with_a_time_is_said() -> None:
    got = table("time,a,bee\n2021-02-05 20:30:00,1,2\n1612557000000,1,2\nnoon,1,2\n")
    assert [example.reason for example in got.examples] == [
        "'2021-02-05 20:30:00' is a time without an offset: put Z behind it for UTC",
        "'1612557000000' looks like milliseconds: seconds are expected",
        "'noon' is not a time",
    ]


def test_another_separator_is_named() -> None:
    with pytest.raises(InvalidData, match="separated by commas"):
        table("time;a;bee\n1;2;3\n")


def test_lines_read_one_by_one_end_where_lines_end() -> None:
    """One row with too many cells makes all be read by line."""
    got = table("time,a,bee\n1,2,3,4\n5,6\u2028x,7\r\nx,8,9\n10,11,12\n")
    assert got.times.tolist() == [5, 10]
    assert [example.line for example in got.examples] == [2, 3, 4]


@pytest.mark.parametrize("path", ["~nobody-of-that-name/data.csv", "a\0b", "~nobody-of-that-name"])
def test_a_path_that_can_name_no_file_is_bad_data(tmp_path: Path, path: str) -> None:
    with pytest.raises(InvalidData) as caught:
        read(tmp_path, path, Place("pod.yaml", 3, 4))
    assert caught.value.hint
    assert caught.value.place == Place("pod.yaml", 3, 4)
