"""What series come to: figures of each, its newest points, and whether a value was ever reached.

Every function runs inside `Database.read` of the metrics database.
"""

from __future__ import annotations

import math
import sqlite3
import sys
from typing import Literal

from spice_engine.records import record
from spice_engine.store.series import StoredPoint, series_id

Comparison = Literal["<", "<=", ">", ">=", "=="]


_POINT = "idx, time, value, text"
_LAST_IN = (
    f"SELECT {_POINT} FROM points WHERE series_id = ? AND idx BETWEEN ? AND ?"
    " AND value IS NOT NULL ORDER BY idx DESC, time DESC LIMIT 1"
)


@record
class Figures:
    """One series: how many points, how many of them are NaN or text, and its last one.

    `minimum` and `maximum` are of its numbers; None where there are none.
    """

    name: str
    points: int
    missing: int
    texts: int
    minimum: float | None
    maximum: float | None
    last: StoredPoint


def figures(connection: sqlite3.Connection, owner: str) -> tuple[Figures, ...]:
    """Those of all series of an owner, by name."""
    found: list[Figures] = []
    for series, name in connection.execute(
        "SELECT id, name FROM series WHERE owner = ? ORDER BY name", (owner,)
    ).fetchall():
        count, numbers, texts, low, high = connection.execute(
            "SELECT count(*), count(value), count(text), min(value), max(value)"
            " FROM points WHERE series_id = ?",
            (series,),
        ).fetchone()
        rolled, missing, lowest, highest = connection.execute(
            "SELECT coalesce(sum(count), 0), coalesce(sum(missing), 0), min(minimum), max(maximum)"
            " FROM rollups WHERE series_id = ?",
            (series,),
        ).fetchone()
        last = _last(connection, series)
        if last is None:
            continue
        found.append(
            Figures(
                name,
                count + rolled,
                count - numbers - texts + missing,
                texts,
                min((one for one in (low, lowest) if one is not None), default=None),
                max((one for one in (high, highest) if one is not None), default=None),
                last,
            )
        )
    return tuple(found)


def newest(
    connection: sqlite3.Connection, owner: str, name: str, count: int
) -> tuple[StoredPoint, ...]:
    """The points with the largest indexes, in order; at most `count`."""
    rows = connection.execute(
        f"SELECT {_POINT} FROM points WHERE series_id = ? ORDER BY idx DESC, time DESC LIMIT ?",
        (series_id(connection, owner, name), count),
    ).fetchall()
    return tuple(_point(row) for row in reversed(rows))


def thinned(
    connection: sqlite3.Connection, owner: str, name: str, most: int
) -> tuple[StoredPoint, ...] | None:
    """The numbers of a series in about `most` points: all, or the last of each of so many equal
    ranges of indexes, with the least and the largest of all: a spike between two of them would be
    lost. None where some of it is rolled up."""
    series = series_id(connection, owner, name)
    if connection.execute("SELECT 1 FROM rollups WHERE series_id = ?", (series,)).fetchone():
        return None
    rows = connection.execute(
        f"SELECT {_POINT} FROM points WHERE series_id = ? AND text IS NULL"
        " ORDER BY idx, time LIMIT ?",
        (series, most + 1),
    ).fetchall()
    if len(rows) <= most:
        return tuple(map(_point, rows))
    low = rows[0][0]
    (high,) = connection.execute(
        "SELECT max(idx) FROM points WHERE series_id = ?", (series,)
    ).fetchone()
    width = max(1, -(-(high - low + 1) // most))
    found: list[StoredPoint] = []
    for begin in range(low, high + 1, width):
        row = connection.execute(_LAST_IN, (series, begin, begin + width - 1)).fetchone()
        if row is None:  # all of them are NaN, or there are none
            row = connection.execute(
                _LAST_IN.replace("value IS NOT NULL", "text IS NULL"),
                (series, begin, begin + width - 1),
            ).fetchone()
        if row is not None:
            found.append(_point(row))
    chosen = {
        (point.index, point.time): point for point in (*found, *_extremes(connection, series))
    }
    return tuple(chosen[place] for place in sorted(chosen))


def _extremes(connection: sqlite3.Connection, series: int | None) -> list[StoredPoint]:
    """The points with the least and the largest finite number."""
    found: list[StoredPoint] = []
    for extreme in ("min", "max"):  # SQLite gives the other columns of the row that has it
        row = connection.execute(
            f"SELECT idx, time, {extreme}(value), NULL FROM points"
            " WHERE series_id = ? AND value BETWEEN ? AND ?",
            (series, -sys.float_info.max, sys.float_info.max),
        ).fetchone()
        if row[0] is not None:
            found.append(_point(row))
    return found


def first_reached(
    connection: sqlite3.Connection, owner: str, name: str, comparison: Comparison, value: float
) -> StoredPoint | None:
    """The first point, by index, whose number compares so with `value`; None if none does."""
    row = connection.execute(
        f"SELECT {_POINT} FROM points WHERE series_id = ? AND text IS NULL"
        f" AND value {comparison} ? ORDER BY idx, time LIMIT 1",
        (series_id(connection, owner, name), value),
    ).fetchone()
    return None if row is None else _point(row)


def _last(connection: sqlite3.Connection, series: int) -> StoredPoint | None:
    row = connection.execute(
        f"SELECT {_POINT} FROM points WHERE series_id = ? ORDER BY idx DESC, time DESC LIMIT 1",
        (series,),
    ).fetchone()
    if row is None:
        row = connection.execute(
            "SELECT last_idx, last_time, last, NULL FROM rollups WHERE series_id = ?"
            " ORDER BY last_idx DESC, last_time DESC LIMIT 1",
            (series,),
        ).fetchone()
    return None if row is None else _point(row)


def _point(row: tuple[int, float, float | None, str | None]) -> StoredPoint:
    index, at, value, text = row
    return StoredPoint(
        index, at, text if text is not None else math.nan if value is None else value
    )
