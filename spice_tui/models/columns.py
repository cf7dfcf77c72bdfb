"""Columns and rows of a table, and how columns share the width there is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

from spice_engine.records import record
from spice_tui.models.cells import RIGHT, Kind, width_of

GAP = 2
"""Cells between two columns."""


@record
class Column:
    """One column. Widths are in cells of the terminal.

    It gets at least `least` and at most `most`; what is left over goes to columns by `weight`.
    Where the width does not suffice for all, columns of the least `importance` are left out,
    rightmost first; the first column never is. One that is `optional` is left out as long as no
    row has a value for it; filters and sorting know it all the same.
    """

    key: str
    title: str
    kind: Kind = "text"
    align: Literal["", "left", "right"] = ""
    least: int = 4
    most: int = 40
    weight: int = 0
    importance: int = 5
    optional: bool = False

    @property
    def right(self) -> bool:
        """Whether its cells stand at the right."""
        return self.align == "right" if self.align else self.kind in RIGHT


@record
class Row:
    """One row; `key` tells it from all others and stays the same when its values change."""

    key: str
    values: Mapping[str, Any]


@record
class Place:
    """Where a column is drawn: `width` cells from `x` on."""

    column: Column
    x: int
    width: int


def wanted_width(column: Column, content: int) -> int:
    """The width a column would like, if its widest cell takes `content`."""
    title = width_of(column.title) + 2 if column.title else 0  # room for the sort arrow
    return max(column.least, min(max(content, title), max(column.most, title)))


def fit(columns: Sequence[Column], wanted: Mapping[str, int], width: int) -> tuple[Place, ...]:
    """Places of the columns that fit into `width`, which may reach beyond it for the first only."""
    shown = list(columns)
    least = {column.key: min(column.least, wanted[column.key]) for column in columns}
    while len(shown) > 1 and _total(shown, least) > width:
        # Rightmost of the least important: index breaks ties.
        victim = min(range(1, len(shown)), key=lambda i: (shown[i].importance, -i))
        del shown[victim]
    widths = {column.key: wanted[column.key] for column in shown}
    excess = _total(shown, widths) - width
    if excess > 0:
        _shrink(shown, widths, least, excess)
    elif excess < 0:
        _grow(shown, widths, -excess)
    return place(shown, widths)


def place(columns: Sequence[Column], widths: Mapping[str, int]) -> tuple[Place, ...]:
    """The columns side by side with these widths."""
    places: list[Place] = []
    x = 0
    for column in columns:
        places.append(Place(column, x, widths[column.key]))
        x += widths[column.key] + GAP
    return tuple(places)


def moved(places: Sequence[Place], by: int) -> tuple[Place, ...]:
    """The places `by` cells further right."""
    return tuple(replace(place, x=place.x + by) for place in places)


def _total(columns: Sequence[Column], widths: Mapping[str, int]) -> int:
    return sum(widths[column.key] for column in columns) + GAP * max(0, len(columns) - 1)


def _shrink(
    columns: Sequence[Column], widths: dict[str, int], least: Mapping[str, int], excess: int
) -> None:
    """Take `excess` cells away, from the widest first, so that long texts give before short."""
    while excess > 0:
        able = [column.key for column in columns if widths[column.key] > least[column.key]]
        if not able:
            return
        widest = max(able, key=widths.__getitem__)
        widths[widest] -= 1
        excess -= 1


def _grow(columns: Sequence[Column], widths: dict[str, int], rest: int) -> None:
    """Hand out `rest` cells by weight; what does not divide goes to the first."""
    total = sum(column.weight for column in columns)
    if not total:
        return
    given = 0
    for column in columns:
        share = rest * column.weight // total
        widths[column.key] += share
        given += share
    first = next(column for column in columns if column.weight)
    widths[first.key] += rest - given
