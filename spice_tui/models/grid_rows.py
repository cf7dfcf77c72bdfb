"""A pod's raw rows as rows of a table: types in the titles, gaps and missing cells marked."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from spice_tui.models.columns import Column, Row
from spice_tui.models.moments import moment
from spice_tui.theme.symbols import symbols

if TYPE_CHECKING:
    from spice_engine.protocol.views import Grid, GridColumn

MISSING = "-"
TYPES = {"number": "#", "category": "abc", "identifier": "id", "tag": "tag", "time": "time"}


def columns_of(grid: Grid) -> tuple[Column, ...]:
    """The table's columns: row, gap sign, then the pod's; a title tells the type."""
    return (
        Column("row", "row", "number", least=3, most=9, importance=9),
        Column("gap", "", least=1, most=1, importance=9),
        *(_column(number, column) for number, column in enumerate(grid.columns)),
    )


def _column(number: int, column: GridColumn) -> Column:
    kind = TYPES.get(column.kind, column.kind)
    title = column.name if column.kind == "time" else f"{_short(column)} {kind}"
    number_like = column.kind == "number"
    return Column(
        f"c{number}",
        title,
        align="right" if number_like else "left",
        least=19 if column.kind == "time" else 6,
        most=40,
        importance=9 if column.kind == "time" else 5,
    )


def _short(column: GridColumn) -> str:
    """A field's own name: that of its dataspace before it takes the width of the column."""
    for joint in "_.":
        name = column.dataspace.replace("/", joint) + joint
        if column.dataspace and column.name.startswith(name):
            return column.name.removeprefix(name)
    return column.name


def rows_of(grid: Grid) -> Iterator[Row]:
    """One row a row; its key is its number, so that the cursor stays when the window moves."""
    gaps = set(grid.gaps)
    for number, cells in enumerate(grid.cells, grid.offset):
        values: dict[str, object] = {
            "row": number,
            "gap": symbols().gap if number in gaps else "",
        }
        for index, (column, cell) in enumerate(zip(grid.columns, cells, strict=False)):
            values[f"c{index}"] = _cell(column.kind, cell)
        yield Row(str(number), values)


def _cell(kind: str, cell: object) -> object:
    if cell is None or cell == "":
        return MISSING
    if kind == "time" and isinstance(cell, int | float):
        return moment(cell)
    return f"{cell:.10g}" if isinstance(cell, float) else cell


def summary(grid: Grid) -> str:
    """How many rows there are, and what is wrong with them, in one line."""
    parts = [_count(grid.rows, "row")]
    missing = sum(column.missing for column in grid.columns)
    bad = grid.bad_rows + sum(column.bad for column in grid.columns)
    if missing:
        parts.append(f"{_count(missing, 'cell')} missing ({MISSING})")
    if grid.gaps:
        parts.append(f"{_count(len(grid.gaps), 'gap')} here ({symbols().gap})")
    if bad:
        parts.append(f"{symbols().warning} {bad:,} bad left out")
    return ", ".join(parts)


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'s' * (number != 1)}"


def bad_lines(grid: Grid, limit: int = 3) -> str:
    """Examples of what was left out, and why."""
    return "\n".join(
        f"{symbols().warning} {bad.source}{f':{bad.line}' if bad.line else ''} "
        f"{bad.column}: {bad.text!r}: {bad.reason}"
        for bad in grid.bad[:limit]
    )
