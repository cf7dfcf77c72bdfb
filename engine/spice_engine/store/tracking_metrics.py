"""Metrics as tracking clients ask for them: the last value of each, and histories in pages.

The last point of a series is the one with the largest index and, of those, the latest time; it
may be NaN. Every function runs inside `Database.read` of the metrics database.
"""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Sequence

from spice_engine.store.columns import placeholders
from spice_engine.store.series import StoredPoint, series_id

_LAST = """
SELECT s.owner, s.name, p.idx, p.time, p.value FROM series s
JOIN points p ON p.series_id = s.id AND (p.idx, p.time) = (
  SELECT idx, time FROM points WHERE series_id = s.id AND text IS NULL
  ORDER BY idx DESC, time DESC LIMIT 1)
WHERE {}
"""
_LAST_ROLLED = """
SELECT s.owner, s.name, p.last_idx, p.last_time, p.last FROM series s
JOIN rollups p ON p.series_id = s.id AND p.minute = (
  SELECT minute FROM rollups WHERE series_id = s.id ORDER BY last_idx DESC, last_time DESC LIMIT 1)
WHERE {}
"""


def last_of(
    connection: sqlite3.Connection, owners: Sequence[str]
) -> dict[str, dict[str, StoredPoint]]:
    """The last number of every series of these owners, by owner and name."""
    found: dict[str, dict[str, StoredPoint]] = {owner: {} for owner in owners}
    for start in range(0, len(owners), 1000):
        some = list(owners[start : start + 1000])
        # What was rolled up is older, so the points come after it and win.
        for query in (_LAST_ROLLED, _LAST):
            for owner, name, index, at, value in connection.execute(
                query.format(f"s.owner IN ({placeholders(some)})"), some
            ):
                found[owner][name] = StoredPoint(index, at, _number(value))
    return found


def last_named(connection: sqlite3.Connection, name: str) -> dict[str, float]:
    """The last number of every owner's series of this name."""
    found: dict[str, float] = {}
    for query in (_LAST_ROLLED, _LAST):
        for owner, _, _, _, value in connection.execute(query.format("s.name = ?"), (name,)):
            found[owner] = _number(value)
    return found


def history(
    connection: sqlite3.Connection,
    owner: str,
    name: str,
    *,
    after: tuple[int, float] | None,
    count: int,
) -> list[StoredPoint]:
    """At most `count` numbers in the order of (index, time), beginning after such a pair."""
    index, at = after if after is not None else (-(2**63), -math.inf)
    rows = connection.execute(
        "SELECT idx, time, value FROM points"
        " WHERE series_id = :series AND text IS NULL AND (idx, time) > (:index, :at)"
        " UNION ALL SELECT last_idx, last_time, last FROM rollups"
        " WHERE series_id = :series AND (last_idx, last_time) > (:index, :at)"
        " ORDER BY 1, 2 LIMIT :count",
        {
            "series": series_id(connection, owner, name),
            "index": index,
            "at": at,
            "count": count,
        },
    )
    return [StoredPoint(step, moment, _number(value)) for step, moment, value in rows]


def _number(value: float | None) -> float:
    return math.nan if value is None else value
