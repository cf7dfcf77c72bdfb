"""The model of a table: rows in; sorted, filtered and marked rows out, and which cells changed."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from operator import is_not, itemgetter
from typing import Any

from spice_engine.errors import NotFound
from spice_engine.records import record
from spice_tui.models.cells import Cell, cell_of, width_of
from spice_tui.models.columns import Column, Place, Row, fit, moved, place, wanted_width
from spice_tui.models.filter import Filter, parse, text_of

PREFIX = 2
"""Cells before the first column: the cursor's sign and the mark."""
MEASURED = 100
"""So many rows are measured for the widths of columns."""


_SEARCHED = ("text", "state", "number")


@record
class Changes:
    """What differs since the last look: cells (number of the row, key of the column), or all."""

    everything: bool
    cells: frozenset[tuple[int, str]] = frozenset()


@record
class _Drawn:
    """A row as it was last looked at."""

    row: Row
    cells: tuple[Cell, ...]
    marked: bool


class Table:
    """Rows and what a person made of them. Numbers of rows count the visible rows from 0."""

    def __init__(self, columns: Iterable[Column] = ()) -> None:
        self.columns: tuple[Column, ...] = ()
        self.filter = Filter("")
        self.sort: str = ""
        self.reverse = False
        self.marks: frozenset[str] = frozenset()
        self.now = 0.0
        self._rows: tuple[Row, ...] = ()
        self._visible: list[Row] = []
        self._numbers: dict[str, int] = {}
        self._texts: dict[str, tuple[Row, str]] = {}
        self._searched: Callable[[Mapping[str, Any]], tuple[Any, ...]] = _nothing
        self._searched_columns: list[Column] = []
        self._cursor = 0
        self._cursor_key = ""
        self._widths: dict[str, int] = {}
        self._drawn: dict[int, _Drawn] | None = None
        self._unused: frozenset[str] = frozenset()
        self.set_columns(columns)

    # -- what comes in

    def set_columns(self, columns: Iterable[Column]) -> None:
        """Show these columns from now on; the rows stay."""
        self.columns = tuple(columns)
        self._widths = {column.key: 0 for column in self.columns}
        self._texts = {}
        self._find_unused()
        self._searched_columns = [c for c in self.columns if c.kind in _SEARCHED]
        keys = [column.key for column in self._searched_columns]
        # Of fewer than two keys `itemgetter` gives no tuple.
        self._searched = itemgetter(*keys, *keys[:1]) if keys else _nothing
        if self.sort not in self._widths:
            self.sort = ""
        self.set_filter(self.filter.text)

    def show(self, rows: Iterable[Row], now: float = 0.0) -> None:
        """Take in the rows as they are now, in their natural order; their keys are distinct.

        Rows that did not change are best given as the same objects. `now` is in unix seconds.
        """
        before, self._rows = self._rows, tuple(rows)
        if len(before) != len(self._rows) or any(map(is_not, before, self._rows)):
            self._find_unused()
        self.now = now
        if self.marks:
            self.marks &= {row.key for row in self._rows}
        self._arrange()

    def _find_unused(self) -> None:
        self._unused = frozenset(
            column.key
            for column in self.columns
            if column.optional and not any(_has(row, column.key) for row in self._rows)
        )

    def set_filter(self, text: str) -> Filter:
        """Show only rows that match this text of the filter language."""
        self.filter = parse(text, {column.key: column.kind for column in self.columns})
        self._arrange()
        return self.filter

    def sort_by(self, key: str, *, reverse: bool = False) -> None:
        """Sort by a column; by no key: as the rows came in."""
        self.sort = key if key in self._widths else ""
        self.reverse = reverse
        self._arrange()

    def cycle_sort(self) -> str:
        """Sort by the next column, after the last by none; its key."""
        keys = ["", *self._widths]
        self.sort_by(keys[(keys.index(self.sort) + 1) % len(keys)])
        return self.sort

    def column(self, name: str) -> Column:
        """A column by its key or title, in any case.

        Raises:
            NotFound: there is none.
        """
        for column in self.columns:
            if name.casefold() in (column.key.casefold(), column.title.casefold()):
                return column
        known = ", ".join(column.key for column in self.columns)
        raise NotFound(f"There is no column '{name}'.", hint=f"There are {known}.")

    # -- rows that are shown

    @property
    def rows(self) -> Sequence[Row]:
        """The rows that match, in order."""
        return self._visible

    @property
    def total(self) -> int:
        """How many rows there are, filtered out or not."""
        return len(self._rows)

    def row_of(self, key: str) -> Row | None:
        """The visible row with this key."""
        number = self._numbers.get(key)
        return None if number is None else self._visible[number]

    def _arrange(self) -> None:
        rows: Sequence[Row] = self._rows
        if self.filter:
            rows = self._matching(rows)
        if self.sort:
            rows = _sorted(rows, self.sort, self.reverse)
        elif self.reverse:
            rows = rows[::-1]
        self._visible = list(rows)
        self._numbers = {row.key: number for number, row in enumerate(self._visible)}
        # The cursor stays on its row; if that is gone, on the row that is in its place.
        number = self._numbers.get(self._cursor_key, self._cursor)
        self._cursor = max(0, min(number, len(self._visible) - 1))
        self._remember_cursor()

    def _matching(self, rows: Sequence[Row]) -> list[Row]:
        matches, now = self.filter.matches, self.now
        if not self.filter.reads_text:
            return [row for row in rows if matches(row.values, "", now)]
        known, texts = self._texts, {}
        found: list[Row] = []
        for row in rows:
            entry = known.get(row.key)
            if entry is None or entry[0] is not row:
                entry = (row, self._text(row))
            texts[row.key] = entry
            if matches(row.values, entry[1], now):
                found.append(row)
        self._texts = texts
        return found

    def _text(self, row: Row) -> str:
        """What plain terms are looked for in: cells that show their value as it is."""
        try:
            return text_of(self._searched(row.values))
        except KeyError:
            return text_of([row.values.get(column.key) for column in self._searched_columns])

    # -- cursor and marks

    @property
    def cursor(self) -> int:
        """The number of the row the cursor is on; 0 if there are no rows."""
        return self._cursor

    @property
    def current(self) -> Row | None:
        """The row the cursor is on."""
        return self._visible[self._cursor] if self._visible else None

    def move_to(self, number: int) -> int:
        """Put the cursor on a row, or the nearest there is; its number."""
        self._cursor = max(0, min(number, len(self._visible) - 1))
        self._remember_cursor()
        return self._cursor

    def move_to_key(self, key: str) -> bool:
        """Put the cursor on the row with this key, if it is visible."""
        number = self._numbers.get(key)
        if number is not None:
            self.move_to(number)
        return number is not None

    def _remember_cursor(self) -> None:
        if self._visible:
            self._cursor_key = self._visible[self._cursor].key

    def toggle_mark(self) -> None:
        """Mark the cursor's row, or take its mark away."""
        if self.current is not None:
            self.marks ^= {self.current.key}

    def chosen(self) -> list[str]:
        """Keys of the marked rows in visible order, or of the cursor's row if none is marked."""
        if self.marks:
            return [row.key for row in self._visible if row.key in self.marks]
        return [self.current.key] if self.current is not None else []

    def text_of(self, keys: Iterable[str]) -> str:
        """Visible rows with these keys, a line each, with tabs between the cells."""
        rows = [row for key in keys if (row := self.row_of(key)) is not None]
        return "\n".join(values_text(row.values, self.columns) for row in rows)

    def value(self, column: str) -> str:
        """What the cursor's row has in a column, as it is copied."""
        value = self.current.values.get(column) if self.current is not None else None
        return "" if value is None else str(value)

    # -- what is drawn

    def cells(self, number: int) -> tuple[Cell, ...]:
        """The cells of a visible row, in the order of the columns."""
        values = self._visible[number].values
        return tuple(cell_of(c.kind, values.get(c.key), self.now) for c in self.columns)

    def layout(self, width: int, *, wide: bool = False) -> tuple[Place, ...]:
        """Where columns go in `width` cells; `wide`: all of them, however far that reaches.

        Widths grow with what is shown and never shrink, so that columns do not jump about.
        """
        columns = [column for column in self.columns if column.key not in self._unused]
        for row in self._visible[:MEASURED]:
            for column in columns:
                value = row.values.get(column.key)
                size = width_of(cell_of(column.kind, value, self.now).text)
                self._widths[column.key] = max(size, self._widths[column.key])
        wanted = {c.key: wanted_width(c, self._widths[c.key]) for c in columns}
        if wide:
            return moved(place(columns, wanted), PREFIX)
        return moved(fit(columns, wanted, width - PREFIX), PREFIX)

    def changes(self, first: int, count: int) -> Changes:
        """What changed in `count` rows from `first` on since the last call for the same rows."""
        window = range(first, min(first + count, len(self._visible)))
        before, self._drawn = self._drawn, {}
        changed: set[tuple[int, str]] = set()
        timed = any(column.kind == "time" for column in self.columns)
        same = before is not None and before.keys() == set(window)
        for number in window:
            row = self._visible[number]
            marked = row.key in self.marks
            old = before.get(number) if before else None
            if old is not None and old.row is row and not timed and old.marked == marked:
                self._drawn[number] = old
                continue
            cells = self.cells(number)
            self._drawn[number] = _Drawn(row, cells, marked)
            if not same or old is None:
                continue
            if len(old.cells) != len(cells):
                same = False
                continue
            if old.marked != marked:
                changed.add((number, ""))
            changed.update(
                (number, column.key)
                for column, was, is_ in zip(self.columns, old.cells, cells, strict=True)
                if was != is_
            )
        return Changes(not same, frozenset(changed) if same else frozenset())


def _has(row: Row, key: str) -> bool:
    value = row.values.get(key)
    return value is not None and value != ""


def _nothing(_values: Mapping[str, Any]) -> tuple[Any, ...]:
    return ()


def _sorted(rows: Sequence[Row], key: str, reverse: bool) -> list[Row]:
    """Stably sorted: numbers, then texts in any case; rows without a value always last."""
    numbers: list[tuple[float, Row]] = []
    texts: list[tuple[str, Row]] = []
    missing: list[Row] = []
    for row in rows:
        value: Any = row.values.get(key)
        if value is None or value == "":
            missing.append(row)
        elif isinstance(value, int | float):
            if math.isnan(value):
                missing.append(row)
            else:
                numbers.append((value, row))
        else:
            texts.append((str(value).casefold(), row))
    numbers.sort(key=_first, reverse=reverse)
    texts.sort(key=_first, reverse=reverse)
    ordered = [*texts, *numbers] if reverse else [*numbers, *texts]
    return [row for _, row in ordered] + missing


def _first(pair: tuple[Any, Row]) -> Any:
    return pair[0]


def values_text(values: Mapping[str, Any], columns: Sequence[Column]) -> str:
    """A row as text to copy: raw values with tabs between, in the order of the columns."""
    cells = (values.get(column.key) for column in columns)
    return "\t".join("" if value is None else str(value) for value in cells)
