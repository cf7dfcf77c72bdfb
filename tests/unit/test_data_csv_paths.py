"""However a CSV is read (typed, as text, line by line, in blocks), the rows are the same."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from spice_engine.data.processors import csv
from spice_engine.data.processors.csv_block import parse_block
from spice_engine.data.processors.csv_lines import Header, parse_lines
from spice_engine.data.selection import Selection
from spice_engine.data.table import Column, Table
from tests.examples import examples

SELECTION = Selection(
    measurements=(Column("a", "a"), Column("b", "b")),
    categories=(Column("kind", "kind"),),
    tags=("_tags",),
)
HEADER = Header(5, {"time": 0, "a": 1, "b": 2, "kind": 3, "_tags": 4})


def plain(table: Table) -> dict[str, Any]:
    """All that a table says, comparable."""
    return {
        "times": table.times.tolist(),
        "values": {name: [repr(v) for v in c.tolist()] for name, c in table.values.items()},
        "bad": (table.bad_rows, dict(table.bad_cells)),
        "examples": [(one.line, one.reason) for one in table.examples],
        "categories": {name: column.cells() for name, column in table.categories.items()},
        "tags": table.tags.cells() if table.tags else None,
    }


numbers = st.one_of(
    st.integers(-(10**20), 10**20).map(str),
    st.floats().map(repr),
    st.text(alphabet="0123456789.eE+-xinfa_ d", max_size=6),
)
times = st.one_of(
    st.integers(-(10**9), 10**10).map(str),
    st.sampled_from(
        ["", " 5 ", "2021-02-05T20:30:00Z", "0x10", "1.5", "+7", "soon", "1612557000000"]
    ),
    st.text(alphabet="0123456789.eE+-xTZ: ", max_size=6),
)
words = st.text(alphabet="ab \té5.", max_size=4)
lines = st.tuples(times, numbers, numbers, words, words).map(",".join)
rows = st.lists(st.one_of(lines, lines, st.sampled_from(["", ",,,,", "5", "1,2"])), max_size=12)


@settings(deadline=None, max_examples=examples(200))
@given(rows)
@example(["1,0x10,1_0, x ,a b"])
@example(["1,Infinity,-nan,,", "1,1e,.e5,,"])
def test_polars_and_plain_python_read_alike(block: list[str]) -> None:
    data = "".join(f"{line}\n" for line in block).encode()
    assert plain(parse_block(data, HEADER, SELECTION, 2)) == plain(
        parse_lines(data, HEADER, SELECTION, 2)
    )


@settings(deadline=None, max_examples=examples(30))
@given(rows, st.integers(20, 200))
def test_the_size_of_the_blocks_does_not_matter(block: list[str], size: int) -> None:
    data = "time,a,b,kind,_tags\n" + "".join(f"{line}\n" for line in block)
    whole = csv.parse(io.BytesIO(data.encode()), SELECTION, name="x.csv")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(csv, "BLOCK_BYTES", size)
        patch.setattr(csv, "_SMALL_BYTES", 10)
        pieces = csv.parse(io.BytesIO(data.encode()), SELECTION, name="x.csv")
    assert plain(pieces) == plain(whole)


def large(rows: int, change: dict[int, str] | None = None) -> io.BytesIO:
    lines = [f"{1000 + i},{i}.5,{i}" for i in range(rows)]
    for row, line in (change or {}).items():
        lines[row] = line
    return io.BytesIO(("time,a,b\n" + "\n".join(lines) + "\n").encode())


PAIR = Selection(measurements=SELECTION.measurements)


@pytest.mark.parametrize(
    ("line", "bad_rows", "bad_cells"),
    [
        ("5,x,1", 0, {"a": 1}),
        ("never,1,1", 1, {}),
        ("5,1,1,1", 1, {}),
        ('5,"1,1', 1, {}),
        ('5,"1"x,1', 1, {}),
        ("5,\x00,1", 0, {"a": 1}),
    ],
)
def test_a_bad_line_deep_in_a_large_file_loses_itself_only(
    line: str, bad_rows: int, bad_cells: dict[str, int]
) -> None:
    table = csv.parse(large(60_000, {41_234: line}), PAIR, name="x.csv")
    assert (table.bad_rows, dict(table.bad_cells)) == (bad_rows, bad_cells)
    assert len(table) == 60_000 - bad_rows
    assert table.examples[0].line == 41_236
    assert table.times[-1] == 60_999


def test_cells_of_several_lines_stay_whole_between_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv, "BLOCK_BYTES", 4000)
    selection = Selection(measurements=(Column("a", "a"),), identifiers=(Column("note", "note"),))
    text = "time,a,note\n" + "".join(f'{i},{i},"line one\nline two, {i}"\n' for i in range(900))
    table = csv.parse(io.BytesIO(text.encode()), selection, name="x.csv")
    assert (len(table), table.bad_rows) == (900, 0)
    assert table.identifiers["note"].cells()[899] == "line one\nline two, 899"


def test_a_stray_quote_does_not_swallow_the_file() -> None:
    table = csv.parse(large(200_000, {100: '5,1,"2'}), PAIR, name="x.csv")
    assert table.bad_rows == 1
    assert np.isin([1099, 1101, 200_999], table.times).all()


def test_a_file_of_one_huge_cell_is_read() -> None:
    text = "time,a,note\n1,2," + "x" * 3_000_000 + "\n3,4,y\n"
    selection = Selection(measurements=(Column("a", "a"),), identifiers=(Column("note", "note"),))
    table = csv.parse(io.BytesIO(text.encode()), selection, name="x.csv")
    assert table.times.tolist() == [1, 3]
