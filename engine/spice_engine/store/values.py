"""Single values the engine remembers across starts, as JSON under a key.

Every function runs inside `Database.write` or `Database.read`.
"""

from __future__ import annotations

import sqlite3
from typing import Any

from spice_engine.store.columns import from_json, to_json


def put(connection: sqlite3.Connection, key: str, value: object) -> None:
    """Remembers `value`, whatever was there.

    Raises:
        TypeError: it holds something JSON has no form for.
    """
    connection.execute(
        "INSERT INTO settings_kv (key, value) VALUES (?, ?)"
        " ON CONFLICT (key) DO UPDATE SET value = excluded.value",
        (key, to_json(value)),
    )


def get(connection: sqlite3.Connection, key: str, default: Any = None) -> Any:
    """The value under `key`, or `default`."""
    row = connection.execute("SELECT value FROM settings_kv WHERE key = ?", (key,)).fetchone()
    return default if row is None else from_json(row[0])


def remove(connection: sqlite3.Connection, key: str) -> bool:
    """Forgets the value; says whether there was one."""
    return connection.execute("DELETE FROM settings_kv WHERE key = ?", (key,)).rowcount > 0
