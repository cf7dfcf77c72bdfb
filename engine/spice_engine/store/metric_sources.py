"""How far the files that points come from were taken in.

Every function runs inside `Database.write` or `Database.read` of the metrics database.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping


def offsets(connection: sqlite3.Connection, owner: str) -> dict[str, int]:
    """The bytes taken in of each of an owner's files."""
    rows = connection.execute("SELECT name, offset FROM sources WHERE owner = ?", (owner,))
    return dict(rows.fetchall())


def note(connection: sqlite3.Connection, owner: str, reached: Mapping[str, int]) -> None:
    """Notes how far files were taken in, in the transaction that adds their points."""
    connection.executemany(
        "INSERT INTO sources (owner, name, offset) VALUES (?, ?, ?)"
        " ON CONFLICT DO UPDATE SET offset = excluded.offset",
        [(owner, name, offset) for name, offset in reached.items()],
    )


def forget(connection: sqlite3.Connection, owner: str) -> None:
    """Forgets an owner's files: they are gone, or will never be read again."""
    connection.execute("DELETE FROM sources WHERE owner = ?", (owner,))
