"""The table's model: order, cursor, marks, widths, looks of cells, and what changed."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spice_tui.models.cells import Cell, cell_of, cut, fitted, width_of
from spice_tui.models.columns import GAP, Column, Row
from spice_tui.models.table import PREFIX, Table

COLUMNS = (
    Column("name", "Name", weight=2, least=8, importance=9),
    Column("state", "State", "state", least=8),
    Column("rows", "Rows", "number", importance=3),
    Column("size", "Size", "bytes", importance=2),
    Column("started", "Started", "time", importance=1),
)


def row(key: str, **values: object) -> Row:
    return Row(key, {"name": key, **values})


def table(*rows: Row) -> Table:
    model = Table(COLUMNS)
    model.show(rows, 1000.0)
    return model


def keys(model: Table) -> list[str]:
    return [row.key for row in model.rows]


def test_an_optional_column_is_there_once_a_row_has_a_value_for_it() -> None:
    model = Table((*COLUMNS, Column("note", "Note", optional=True)))

    def titles(*, wide: bool = False) -> list[str]:
        return [place.column.title for place in model.layout(200, wide=wide)]

    model.show([row("a"), row("b", note="")])
    assert "Note" not in titles()
    assert "Note" not in titles(wide=True)
    assert not model.set_filter("note:x").problem, "filters know it all the same"
    model.set_filter("")
    model.show([row("a"), row("b", note="here")])
    assert titles()[-1] == "Note"


@pytest.mark.parametrize(
    ("kind", "value", "text"),
    [
        ("text", "a\nb\x1b[2J", "a\\nb\\x1b[2J"),
        ("number", 12, "12"),
        ("number", 0.123456, "0.1235"),
        ("number", 123456.78, "123456.8"),
        ("number", 1.5e12, "1.5e+12"),
        ("number", float("nan"), "nan"),
        ("number", None, ""),
        ("bytes", 3 * 2**20, "3.0M"),
        ("duration", 0.35, "350ms"),
        ("duration", 4.21, "4.2s"),
        ("duration", 59.7, "1m00s"),
        ("duration", 185, "3m05s"),
        ("duration", 7800, "2h10m"),
        ("duration", 4 * 86400, "4d00h"),
        ("time", 940.0, "1m ago"),
        ("time", 1000.0, "now"),
        ("time", 4600.0, "in 1h"),
        ("percent", 0.5, "50%"),
        ("percent", 0.012, "1.2%"),
        ("state", "failed", "✗ failed"),
        ("state", "unheard of", "· unheard of"),
    ],
)
def test_values_look_so(kind: str, value: object, text: str) -> None:
    assert cell_of(kind, value, 1000.0).text == text  # type: ignore[arg-type]


def test_states_have_styles() -> None:
    assert cell_of("state", "training") == Cell("● training", "running")
    assert cell_of("state", "needs trust").style == "warning"


@settings(deadline=None)
@given(st.text(), st.integers(0, 30), st.booleans())
def test_texts_take_exactly_the_width_given(text: str, width: int, right: bool) -> None:
    shown = cell_of("text", text).text
    assert width_of(cut(shown, width)) <= width
    assert width_of(fitted(shown, width, right=right)) == width


def test_wide_characters_are_left_out_whole() -> None:
    assert cut("強化学習", 8) == "強化学習"
    assert cut("強化学習", 7) == "強化学…"
    assert cut("強化学習", 6) == "強化…"
    assert cut("強化学習", 1) == "…"


def test_sorting_is_stable_with_nothing_last_both_ways() -> None:
    rows = [row("b", rows=2), row("a", rows=2), row("c"), row("d", rows=1), row("e", rows="n/a")]
    model = table(*rows)
    model.sort_by("rows")
    assert keys(model) == ["d", "b", "a", "e", "c"]
    model.sort_by("rows", reverse=True)
    assert keys(model) == ["e", "b", "a", "d", "c"]
    model.sort_by("")
    assert keys(model) == ["b", "a", "c", "d", "e"]


def test_sort_cycles_through_the_columns() -> None:
    model = table(row("b"), row("A"))
    assert [model.cycle_sort() for _ in range(6)] == [*(c.key for c in COLUMNS), ""]
    model.cycle_sort()
    assert keys(model) == ["A", "b"], "case does not count"


def test_the_cursor_stays_on_its_row() -> None:
    model = table(row("a"), row("b"), row("c"))
    model.move_to(1)
    model.show([row("new"), row("c"), row("b")], 1000.0)
    assert model.current is not None
    assert model.current.key == "b"
    model.set_filter("c")
    assert model.current.key == "c"
    model.set_filter("nothing")
    assert model.current is None
    model.set_filter("")
    assert model.current.key == "c"
    model.show([row("new")], 1000.0)
    assert model.current.key == "new"


def test_marks_go_with_their_rows() -> None:
    model = table(row("a"), row("b"), row("c"))
    assert model.chosen() == ["a"]
    model.toggle_mark()
    model.move_to(2)
    model.toggle_mark()
    assert model.chosen() == ["a", "c"]
    model.show([row("b"), row("c")], 1000.0)
    assert model.chosen() == ["c"]
    model.toggle_mark()
    assert model.marks == frozenset()


def test_changed_cells_are_found() -> None:
    rows = [row(str(i), rows=i, started=990.0) for i in range(50)]
    model = table(*rows)
    assert model.changes(0, 20).everything
    assert not model.changes(0, 20).cells
    model.show([*rows[:3], row("3", rows=33, started=990.0), *rows[4:]], 1000.0)
    assert model.changes(0, 20).cells == {(3, "rows")}
    model.show(rows, 1001.0)
    changes = model.changes(0, 20)
    assert (3, "rows") in changes.cells
    assert {(i, "started") for i in range(20)} <= changes.cells, "time passes for all"
    model.show([*rows[:30], row("30", rows=-1), *rows[31:]], 1001.0)
    assert not model.changes(0, 20).cells, "rows that are not seen cost nothing"
    model.toggle_mark()
    assert model.changes(0, 20).cells == {(0, "")}
    assert model.changes(5, 20).everything, "other rows are seen now"


@settings(deadline=None)
@given(st.integers(10, 200), st.integers(0, 60))
def test_columns_fit_every_width(width: int, name: int) -> None:
    model = table(row("n" * name, state="running", rows=10**6, size=10**6, started=1.0))
    places = model.layout(width)
    assert places[0].column.key == "name"
    assert places[0].x == PREFIX
    for left, right in pairwise(places):
        assert right.x == left.x + left.width + GAP
    last = places[-1]
    assert last.x + last.width <= max(width, PREFIX + COLUMNS[0].least)
    left_out = {c.key for c in COLUMNS} - {p.column.key for p in places}
    kept = {p.column.importance for p in places[1:]}
    gone = {c.importance for c in COLUMNS if c.key in left_out}
    assert max(gone, default=0) <= min(kept, default=9), "the least important go first"


def test_what_is_left_over_goes_by_weight_and_wide_shows_all() -> None:
    model = table(row("a", state="ready"))
    places = model.layout(120)
    assert places[-1].x + places[-1].width == 120
    assert [p.column.key for p in model.layout(20, wide=True)] == [c.key for c in COLUMNS]


def test_ten_thousand_rows_are_looked_at_once_each() -> None:
    """Unchanged rows are not read again: the time of a keystroke does not grow with their width."""
    reads: list[str] = []

    class Counted(dict[str, object]):
        def __getitem__(self, key: str) -> object:
            reads.append(key)
            return super().__getitem__(key)

    numbers = list(range(10_000))
    random.Random(1).shuffle(numbers)
    rows = [
        Row(str(i), Counted(name=f"pod-{i}", state="ready", rows=i, size=i, started=1.0))
        for i in numbers
    ]
    model = Table(COLUMNS)
    model.show(rows, 1000.0)
    model.set_filter("pod-99")
    assert len(keys(model)) == 111
    first = len(reads)
    model.set_filter("pod-999")
    model.show(rows, 1001.0)
    assert len(keys(model)) == 11
    assert len(reads) == first
