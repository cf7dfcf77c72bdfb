"""Keys of requests that make something, each noted in the transaction that makes it.

A client whose engine dies between its request and the answer cannot know what was done. It asks
again with the same key, and gets what the first request made.

Every function runs inside `Database.write` or `Database.read`.
"""

from __future__ import annotations

import sqlite3
import time
from typing import Final

from spice_engine.errors import Conflict, InvalidRequest

KEPT_SECONDS: Final = 7 * 86400.0
"""Nobody asks again after that."""
LONGEST: Final = 200


def made(connection: sqlite3.Connection, key: str, kind: str) -> str | None:
    """The number or name of what a request with that key has made, if there was one.

    Raises:
        InvalidRequest: the key is none.
        Conflict: it was given to a request for something else.
    """
    if not key:
        return None
    if len(key) > LONGEST or not key.isprintable():
        raise InvalidRequest(f"request_key: up to {LONGEST} printable characters.")
    found = connection.execute(
        "SELECT kind, name FROM request_keys WHERE key = ?", (key,)
    ).fetchone()
    if found is None:
        return None
    if found[0] != kind:
        raise Conflict(
            f"request_key: {key[:80]!r} has made {found[0]} {found[1]} already.",
            hint="Each request has a key of its own.",
        )
    return found[1]


def note(connection: sqlite3.Connection, key: str, kind: str, name: object) -> None:
    """Note what a request with that key has made; nothing without a key."""
    if not key:
        return
    now = time.time()
    connection.execute("DELETE FROM request_keys WHERE made < ?", (now - KEPT_SECONDS,))
    connection.execute(
        "INSERT OR REPLACE INTO request_keys (key, kind, name, made) VALUES (?, ?, ?, ?)",
        (key, kind, str(name), now),
    )
