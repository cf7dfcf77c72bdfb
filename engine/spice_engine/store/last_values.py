"""The last numbers of all series of several owners at once, to compare them.

Runs inside `MetricStore.read`.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from spice_engine.store.columns import placeholders

_AT_ONCE = 500  # which stays under SQLite's limit of variables

_SELECT = """
SELECT owner, name, coalesce(
    (SELECT value FROM points WHERE series_id = series.id AND value IS NOT NULL
     ORDER BY idx DESC, time DESC LIMIT 1),
    (SELECT last FROM rollups WHERE series_id = series.id AND last IS NOT NULL
     ORDER BY last_idx DESC, last_time DESC LIMIT 1))
FROM series
"""


def of_owners(connection: sqlite3.Connection, owners: Sequence[str]) -> dict[str, dict[str, float]]:
    """By owner and name, the last number (not NaN) of each of their series that has one."""
    found: dict[str, dict[str, float]] = {}
    for start in range(0, len(owners), _AT_ONCE):
        some: list[object] = list(owners[start : start + _AT_ONCE])
        rows = connection.execute(f"{_SELECT} WHERE owner IN ({placeholders(some)})", some)
        for owner, name, value in rows:
            if value is not None:
                found.setdefault(owner, {})[name] = value
    return found
