"""Runs by what is known of them: by name, by all they were asked with, by filters, sorted.

Every function runs inside `Database.write` or `Database.read`.
"""

from __future__ import annotations

import sqlite3

from spice_engine.store.columns import placeholders
from spice_engine.store.runs import FINAL_STATES, RunRow, select


def named(connection: sqlite3.Connection, name: str, most: int = 10) -> tuple[int, ...]:
    """The newest runs of a name that are not archived, newest first."""
    rows = connection.execute(
        "SELECT id FROM runs WHERE name = ? AND name <> '' AND archived IS NULL"
        " ORDER BY id DESC LIMIT ?",
        (name, most),
    )
    return tuple(row[0] for row in rows)


def same(connection: sqlite3.Connection, key: str) -> RunRow | None:
    """The newest run with this key that goes on or succeeded, and is not archived."""
    final = sorted(FINAL_STATES)
    rows = select(
        connection,
        "WHERE idempotent = ? AND archived IS NULL"
        f" AND (state NOT IN ({placeholders(final)}) OR state = 'complete' AND outcome = 'success')"
        " ORDER BY id DESC LIMIT 1",
        (key, *final),
    )
    return rows[0] if rows else None
