"""JSON as people post it: flat objects, numbers as text, tags, and all that can be wrong."""

from __future__ import annotations

import io
import json
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spice_engine.data.processors.json import parse
from spice_engine.data.selection import Selection
from spice_engine.data.table import Column, Table
from spice_engine.errors import InvalidData, Place

SELECTION = Selection(
    measurements=(Column("a", "a"),),
    categories=(Column("kind", "type"),),
    identifiers=(Column("id", "id"),),
    tags=("_tags", "team"),
    place=Place("pod.yaml", 4, 2),
)


def table(text: str | bytes, selection: Selection = SELECTION) -> Table:
    data = text if isinstance(text, bytes) else text.encode()
    return parse(io.BytesIO(data), selection, name="data.json")


def test_an_array_of_objects() -> None:
    got = table(
        """[{"time": 10, "a": 1.5, "type": "x", "id": 7, "tags": ["p", "q", "p"],
             "team": "red one"},
            {"time": "0x14", "a": "2", "type": 5, "id": "n", "_tags": ["q"], "other": {"x": []}},
            {"time": "1970-01-01T00:00:30Z", "a": "0x10", "type": null}]"""
    )
    assert got.times.tolist() == [10, 20, 30]
    assert got.values["a"].tolist() == [1.5, 2.0, 16.0]
    assert got.categories["kind"].cells() == ["x", "5", None]
    assert got.identifiers["id"].cells() == ["7", "n", None]
    assert got.tags is not None
    assert got.tags.cells() == [("red one", "p", "q"), ("q",), ()]
    assert got.bad_rows == 0


def test_one_object_is_one_row() -> None:
    got = table('\ufeff {"time": 1, "a": 2, "type": "x"} \n')
    assert (got.times.tolist(), got.values["a"].tolist()) == ([1], [2.0])


def test_bad_items_are_counted_with_their_lines() -> None:
    got = table(
        '[\n{"time": 1, "a": "x", "type": "k"},\n5,\n{"a": 1},\n'
        '{"time": true, "a": 1},\n{"time": 2, "a": true}\n]'
    )
    assert got.times.tolist() == [1, 2]
    assert (got.bad_rows, dict(got.bad_cells)) == (3, {"a": 2})
    assert [one.line for one in got.examples] == [2, 3, 4, 5, 6]
    assert math.isnan(got.values["a"][0])


def test_numbers_that_are_none() -> None:
    got = table(
        '[{"time": 1, "a": NaN, "type": "k"}, {"time": 2, "a": 1e400}, {"time": 3, "a": 1'
        + "0" * 400
        + '}, {"time": 4, "a": []}]'
    )
    assert got.bad_cells == {"a": 4}


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", "line 1"),
        ("[", "line 1"),
        ('[{"time": 1},\n{"time": 2}', "line 2"),
        ('[{"time": 1}\n{"time": 2}]', "line 2: a comma"),
        ('{"time": 1} x', "more after its end"),
        ("[" * 200_000, "line 1"),
        ('[{"time": ' + "[" * 200_000, "line 1"),
        ('[{"time": ' + "9" * 5000 + "}]", "line 1"),
        ("\x00\x01rubbish", "line 1"),
    ],
)
def test_what_is_no_json_is_said_with_its_line(text: str, what: str) -> None:
    with pytest.raises(InvalidData, match=what) as caught:
        table(text)
    assert "'data.json'" in caught.value.message
    assert caught.value.place == SELECTION.place
    assert caught.value.hint


def test_bytes_that_are_no_text() -> None:
    with pytest.raises(InvalidData, match="line 2 holds bytes"):
        table(b"[\n\xff\xfe]")


def test_a_column_that_no_item_has_is_named() -> None:
    with pytest.raises(InvalidData, match=r"no column 'time' for the time.*'when'"):
        table('[{"when": 1, "a": 1, "type": "x"}]')
    with pytest.raises(InvalidData, match=r"no column 'a' for the measurement 'a'"):
        table('[{"time": 1, "type": "x"}]')
    partial = Selection(measurements=SELECTION.measurements, partial=True)
    assert len(table('[{"time": 1}]', partial)) == 1


def test_no_item_is_no_error() -> None:
    assert len(table("[ ]")) == 0


def test_a_lone_surrogate_can_be_written_afterwards() -> None:
    got = table('[{"time": 1, "a": 1, "type": "\\ud800"}]')
    assert got.categories["kind"].cells()[0].encode() == b"?"


plain = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5))
items = st.lists(
    st.one_of(
        plain,
        st.dictionaries(
            st.sampled_from(["time", "a", "type", "id", "tags", "team"]),
            st.one_of(plain, st.lists(plain, max_size=2)),
        ),
    ),
    max_size=6,
)


@settings(deadline=None)
@given(items)
def test_any_json_gives_rows_or_a_clean_error(content: list[object]) -> None:
    try:
        got = table(json.dumps(content))
    except InvalidData:
        return
    assert len(got) + got.bad_rows == len(content)
    assert len(got.values["a"]) == len(got.categories["kind"].codes) == len(got)
