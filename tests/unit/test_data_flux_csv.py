"""InfluxDB's annotated CSV: fields are measurements, other text columns are tags."""

from __future__ import annotations

import io
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spice_engine.data.processors.flux_csv import parse
from spice_engine.data.selection import Selection
from spice_engine.data.table import Column, Table
from spice_engine.errors import InvalidData

SELECTION = Selection(
    measurements=(Column("idle", "usage_idle"), Column("used", "used")), tags=("_tags",)
)
TEXT = """\
#group,false,false,true,true,false,false,true,true,true,true
#datatype,string,long,dateTime:RFC3339,dateTime:RFC3339,dateTime:RFC3339,double,string,string,string,string
#default,mean,,,,,,,,,
,result,table,_start,_stop,_time,_value,_field,_measurement,cpu,host
,,0,2021-08-17T00:14:58Z,2021-08-18T00:14:58Z,2021-08-17T00:16:00Z,99.5,usage_idle,cpu,cpu0,h1
,,0,2021-08-17T00:14:58Z,2021-08-18T00:14:58Z,2021-08-17T00:20:00Z,x,usage_idle,cpu,cpu0,h1
,,0,2021-08-17T00:14:58Z,2021-08-18T00:14:58Z,2021-08-17T00:20:00Z,3,other,cpu,cpu0,h1

#group,false,false,false,false,true,true
#datatype,string,long,dateTime:RFC3339,double,string,string
#default,_result,,,,used,
,result,table,_time,_value,_field,host
,,1,2021-08-17T00:16:00Z,7,,h2
,,1,never,8,used,h2
"""


def table(text: str, selection: Selection = SELECTION) -> Table:
    return parse(io.BytesIO(text.encode()), selection, name="cpu.csv")


@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_fields_of_several_tables_become_measurements(ending: str) -> None:
    got = table(TEXT.replace("\n", ending))
    assert got.times.tolist() == [1629159360, 1629159600, 1629159360]
    assert [repr(v) for v in got.values["idle"].tolist()] == ["99.5", "nan", "nan"]
    assert [repr(v) for v in got.values["used"].tolist()] == ["nan", "nan", "7.0"]
    assert got.tags is not None
    assert got.tags.cells() == [("cpu0", "h1"), ("cpu0", "h1"), ("h2",)]
    assert (got.bad_rows, dict(got.bad_cells)) == (1, {"idle": 1})
    assert [one.line for one in got.examples] == [6, 14]


def test_a_table_without_annotations() -> None:
    got = table("_time,_field,_value\n2021-08-17T00:16:00Z,used,4\n")
    assert got.values["used"].tolist() == [4.0]


@pytest.mark.parametrize("column", ["_time", "_field", "_value"])
def test_a_missing_column_is_named(column: str) -> None:
    with pytest.raises(InvalidData, match=f"'{column}' not found in the table data"):
        table("_time,_field,_value\n1,2,3\n".replace(column, "x"))


def test_an_error_of_influxdb_is_passed_on() -> None:
    with pytest.raises(InvalidData, match="bucket not found"):
        table("#datatype,string,string\n,error,reference\n,bucket not found,897\n")


def test_an_empty_answer_is_no_row() -> None:
    assert len(table("")) == 0
    assert len(table("\r\n")) == 0


@settings(deadline=None)
@given(st.text(alphabet='_time,fieldvalu#"\r\n2021-08T:Z', max_size=60))
def test_any_text_gives_rows_or_a_clean_error(text: str) -> None:
    for head in ("", "_time,_field,_value\n"):
        with suppress(InvalidData):
            assert len(table(head + text)) >= 0


def test_the_quickstarts_file(cases: Path) -> None:
    selection = Selection(measurements=(Column("usage_idle", "usage_idle"),))
    with (cases / "data" / "cpu_metrics_influxdb_annotated.csv").open("rb") as file:
        got = parse(file, selection, name="cpu.csv")
    assert (len(got), got.bad_rows) == (9 * 270, 0)
    assert 97 < got.values["usage_idle"].min() <= got.values["usage_idle"].max() <= 100
