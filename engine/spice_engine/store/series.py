"""Metric series in SQL: adding points, reading a range in few samples, rolling old points up.

Every function runs inside `Database.write` or `Database.read` of the metrics database. SQLite
turns NaN into NULL, so a NULL value without text is NaN; infinities are kept as they are.
"""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from spice_engine.records import record

SECONDS_PER_ROLLUP = 60
MEASURED = "system/"
"""How the names begin of what is measured of runs. What they send themselves is not rolled up."""


_Stored = tuple[int, int, float, float | None, str | None]


@record
class Point:
    """One value of a metric: a number (NaN and infinities too) or a text, at a unix time.

    `index` is the sender's own count (an epoch, a step); None means one more than the last.
    """

    name: str
    value: float | str
    time: float
    index: int | None = None


@record
class StoredPoint:
    """A point as it was kept: its index is known."""

    index: int
    time: float
    value: float | str


@record
class Sample:
    """One or more neighbouring points of a series: `count` of them, `missing` of which are NaN.

    `mean`, `minimum`, `maximum` and `last` leave NaN out and are NaN where all points are;
    `index` and `time` are those of the last point. A run of NaN is a gap in the curve.
    """

    index: int
    time: float
    count: int
    missing: int
    mean: float
    minimum: float
    maximum: float
    last: float


def series_id(connection: sqlite3.Connection, owner: str, name: str) -> int | None:
    """The series' row id, or None if nothing was ever added to it."""
    row = connection.execute(
        "SELECT id FROM series WHERE owner = ? AND name = ?", (owner, name)
    ).fetchone()
    return None if row is None else row[0]


def last_index(connection: sqlite3.Connection, owner: str, name: str) -> int:
    """The largest index of the series so far; -1 if it has no point."""
    row = connection.execute(
        "SELECT max(coalesce((SELECT max(idx) FROM points WHERE series_id = series.id), -1),"
        " coalesce((SELECT max(last_idx) FROM rollups WHERE series_id = series.id), -1))"
        " FROM series WHERE owner = ? AND name = ?",
        (owner, name),
    ).fetchone()
    return -1 if row is None else row[0]


def add_points(
    connection: sqlite3.Connection, points: Iterable[tuple[str, str, int, float, float | str]]
) -> None:
    """Adds (owner, name, index, time, value). The same index at the same time again replaces."""
    known: dict[tuple[str, str], int] = {}
    rows: list[_Stored] = []
    for owner, name, index, time, value in points:
        series = known.get((owner, name))
        if series is None:
            series = known[owner, name] = _ensure_series(connection, owner, name, time)
        text = value if isinstance(value, str) else None
        rows.append((series, index, time, None if isinstance(value, str) else value, text))
    insert_points(connection, rows)


def insert_points(connection: sqlite3.Connection, rows: Sequence[_Stored]) -> None:
    """Adds points as they are stored: series, index, time, value, text."""
    connection.executemany(
        "INSERT INTO points (series_id, idx, time, value, text) VALUES (?, ?, ?, ?, ?)"
        " ON CONFLICT DO UPDATE SET value = excluded.value, text = excluded.text",
        rows,
    )


def with_indexes(
    connection: sqlite3.Connection,
    owner: str,
    rows: Iterable[Sequence[Any]],
    following: Mapping[str, int],
) -> tuple[list[_Stored], dict[str, int]]:
    """Points of one owner (name, value, index or None, time) as they are stored, and the next
    index of each series, of which `following` tells some."""
    ids: dict[str, int] = {}
    after = dict(following)
    found: list[_Stored] = []
    for name, value, given, at in rows:
        series = ids.get(name)
        if series is None:
            series = ids[name] = _ensure_series(connection, owner, name, at)
            if name not in after:
                after[name] = last_index(connection, owner, name) + 1
        index = after[name] if given is None else given
        if index >= after[name]:
            after[name] = index + 1
        if isinstance(value, str):
            found.append((series, index, at, None, value))
        else:
            found.append((series, index, at, value, None))
    return found, after


def names(connection: sqlite3.Connection, owner: str) -> tuple[str, ...]:
    """The names of the owner's series, sorted."""
    rows = connection.execute("SELECT name FROM series WHERE owner = ? ORDER BY name", (owner,))
    return tuple(row[0] for row in rows)


def remove_owner(connection: sqlite3.Connection, owner: str) -> int:
    """Removes all series of an owner; gives how many there were."""
    return connection.execute("DELETE FROM series WHERE owner = ?", (owner,)).rowcount


def remove_some(connection: sqlite3.Connection, owner: str, names: Sequence[str]) -> int:
    """Removes series of an owner; gives how many there were."""
    return sum(
        connection.execute(
            "DELETE FROM series WHERE owner = ? AND name = ?", (owner, name)
        ).rowcount
        for name in names
    )


def read_points(
    connection: sqlite3.Connection,
    owner: str,
    name: str,
    *,
    after: tuple[int, float] | None = None,
    count: int = 10_000,
    by_time: bool = False,
) -> tuple[StoredPoint, ...]:
    """The points that are not rolled up, in order of (index, time), at most `count`; or in order
    of (time, index), which has to look at the whole series.

    `after` is the (index, time) of the last point already read.
    """
    series = series_id(connection, owner, name)
    index, time = after if after is not None else (-(2**63), -math.inf)
    order, last = ("time, idx", (time, index)) if by_time else ("idx, time", (index, time))
    rows = connection.execute(
        "SELECT idx, time, value, text FROM points"
        f" WHERE series_id = ? AND ({order}) > (?, ?) ORDER BY {order} LIMIT ?",
        (series, *last, count),
    )
    return tuple(
        StoredPoint(idx, at, text if text is not None else _number(value))
        for idx, at, value, text in rows
    )


def read_samples(
    connection: sqlite3.Connection,
    owner: str,
    name: str,
    *,
    first: int | None = None,
    last: int | None = None,
    most: int = 2000,
) -> tuple[Sample, ...]:
    """The numbers with an index from `first` to `last` (both included) in at most `most` samples.

    Where there are more points than that, neighbours by index are merged, evenly over the range.
    Rolled-up minutes come as the samples they are. Texts are left out.
    """
    series = series_id(connection, owner, name)
    if series is None:
        return ()
    span = {
        "series": series,
        "first": -(2**63) if first is None else first,
        "last": 2**63 - 1 if last is None else last,
    }
    low, high, rows = connection.execute(
        f"SELECT min(idx), max(idx), count(*) FROM ({_ALL_AS_SAMPLES})", span
    ).fetchone()
    if not rows:
        return ()
    if rows <= most:
        found = connection.execute(f"{_ALL_AS_SAMPLES} ORDER BY idx, time", span)
        return tuple(_sample(row) for row in found)
    groups = {**span, "low": low, "width": max(1, math.ceil((high - low + 1) / most))}
    return tuple(_sample(row) for row in connection.execute(_MERGED, groups))


def roll_up(connection: sqlite3.Connection, before: float, *, most: int = 50_000) -> int:
    """Merges numbers older than the unix time `before` into minutes and removes them.

    At most `most` points of one series a call, so that no write keeps others waiting; gives how
    many series may still hold old points, 0 when nothing is left to do. A point that comes late
    joins the minute it belongs to.
    """
    row = connection.execute(
        "SELECT id FROM series WHERE oldest < ? ORDER BY oldest LIMIT 1", (before,)
    ).fetchone()
    if row is None:
        return 0
    span = {"series": row[0], "before": before, "most": most, "seconds": SECONDS_PER_ROLLUP}
    (span["until"],) = connection.execute(_NEXT_CUT, span).fetchone()
    connection.execute(_ROLL_UP, span)
    connection.execute(
        "DELETE FROM points WHERE series_id = :series AND time <= :until AND text IS NULL", span
    )
    connection.execute(
        "UPDATE series SET oldest = (SELECT min(time) FROM points"
        " WHERE series_id = :series AND text IS NULL) WHERE id = :series",
        span,
    )
    (left,) = connection.execute(
        "SELECT count(*) FROM series WHERE oldest < ?", (before,)
    ).fetchone()
    return left


def _ensure_series(connection: sqlite3.Connection, owner: str, name: str, time: float) -> int:
    """The series' row id; the series is made if need be, and known to hold a point of `time`."""
    stays = owner.startswith("runs/") and not name.startswith(MEASURED)
    (found,) = connection.execute(
        "INSERT INTO series (owner, name, oldest) VALUES (?, ?, ?) ON CONFLICT (owner, name)"
        " DO UPDATE SET oldest = min(coalesce(oldest, excluded.oldest), excluded.oldest)"
        " RETURNING id",
        (owner, name, None if stays else time),
    ).fetchone()
    return found


def _number(value: float | None) -> float:
    return math.nan if value is None else value


def _sample(row: tuple[Any, ...]) -> Sample:
    return Sample(*row[:4], *(_number(number) for number in row[4:]))


_ALL_AS_SAMPLES = """
SELECT idx, time, 1 AS count, value IS NULL AS missing,
       value AS mean, value AS minimum, value AS maximum, value AS last
FROM points WHERE series_id = :series AND idx BETWEEN :first AND :last AND text IS NULL
UNION ALL
SELECT last_idx, last_time, count, missing, total / (count - missing), minimum, maximum, last
FROM rollups WHERE series_id = :series AND last_idx >= :first AND first_idx <= :last
"""

# `last` comes from a query of its own: with one max() as the only aggregate, SQLite takes the
# other columns from the row where the maximum is.
_MERGED = f"""
WITH whole AS (
  SELECT (idx - :low) / :width AS bin, max(idx) AS idx, max(time) AS time, sum(count) AS count,
         sum(missing) AS missing, sum(mean * (count - missing)) / sum(count - missing) AS mean,
         min(minimum) AS minimum, max(maximum) AS maximum
  FROM ({_ALL_AS_SAMPLES}) GROUP BY bin
), ends AS (
  SELECT (idx - :low) / :width AS bin, max(idx), last
  FROM ({_ALL_AS_SAMPLES}) WHERE last IS NOT NULL GROUP BY bin
)
SELECT whole.idx, time, count, missing, mean, minimum, maximum, ends.last
FROM whole LEFT JOIN ends USING (bin) ORDER BY bin
"""

_NEXT_CUT = """
SELECT max(time) FROM (
  SELECT time FROM points WHERE series_id = :series AND time < :before AND text IS NULL
  ORDER BY time LIMIT :most
)
"""

_ROLL_UP = """
WITH old AS (
  SELECT *, CAST(time / :seconds AS INTEGER) AS minute, row_number() OVER (
    PARTITION BY CAST(time / :seconds AS INTEGER) ORDER BY value IS NULL, idx DESC, time DESC
  ) AS rank
  FROM points WHERE series_id = :series AND time <= :until AND text IS NULL
)
INSERT INTO rollups
SELECT :series, minute, min(idx), max(idx), max(time), count(*), count(*) - count(value),
       sum(value), min(value), max(value), max(CASE WHEN rank = 1 THEN value END)
FROM old WHERE true GROUP BY minute
ON CONFLICT (series_id, minute) DO UPDATE SET
  first_idx = min(first_idx, excluded.first_idx),
  last_idx = max(last_idx, excluded.last_idx),
  last_time = max(last_time, excluded.last_time),
  count = count + excluded.count,
  missing = missing + excluded.missing,
  total = coalesce(total + excluded.total, total, excluded.total),
  minimum = min(coalesce(minimum, excluded.minimum), coalesce(excluded.minimum, minimum)),
  maximum = max(coalesce(maximum, excluded.maximum), coalesce(excluded.maximum, maximum)),
  last = CASE WHEN excluded.last_idx >= last_idx THEN coalesce(excluded.last, last)
              ELSE coalesce(last, excluded.last) END
"""


def last_numbers(connection: sqlite3.Connection, name: str) -> dict[str, float]:
    """The last number (not NaN) of every series of this name, by its owner."""
    found: dict[str, float] = {}
    for owner, last in connection.execute(_LAST_NUMBERS, (name,)):
        if last is not None:
            found[owner] = last
    return found


_LAST_NUMBERS = """
SELECT owner, coalesce(
    (SELECT value FROM points WHERE series_id = series.id AND value IS NOT NULL
     ORDER BY idx DESC, time DESC LIMIT 1),
    (SELECT last FROM rollups WHERE series_id = series.id AND last IS NOT NULL
     ORDER BY last_idx DESC, last_time DESC LIMIT 1))
FROM series WHERE name = ?
"""
