"""Who needs which object of the object store.

Every function runs inside `Database.write` or `Database.read`.
"""

from __future__ import annotations

import sqlite3


def add(connection: sqlite3.Connection, object_hash: str, owner: str) -> None:
    """Notes that `owner` (`run:42`, `policy:gardener:3`) needs the object; twice is once."""
    connection.execute(
        "INSERT INTO object_refs (object, owner) VALUES (?, ?) ON CONFLICT DO NOTHING",
        (object_hash, owner),
    )


def drop_owner(connection: sqlite3.Connection, owner: str) -> int:
    """`owner` needs nothing any more; gives how many objects it needed."""
    return connection.execute("DELETE FROM object_refs WHERE owner = ?", (owner,)).rowcount


def of_owner(connection: sqlite3.Connection, owner: str) -> tuple[str, ...]:
    """The hashes of the objects `owner` needs, sorted."""
    rows = connection.execute(
        "SELECT object FROM object_refs WHERE owner = ? ORDER BY object", (owner,)
    )
    return tuple(row[0] for row in rows)


def referenced(connection: sqlite3.Connection) -> frozenset[str]:
    """Every object that someone needs: what `ObjectStore.collect` must not remove."""
    return frozenset(
        row[0] for row in connection.execute("SELECT DISTINCT object FROM object_refs")
    )


def by_owner(connection: sqlite3.Connection) -> dict[str, frozenset[str]]:
    """The objects that each owner needs."""
    found: dict[str, set[str]] = {}
    for owner, digest in connection.execute("SELECT owner, object FROM object_refs"):
        found.setdefault(owner, set()).add(digest)
    return {owner: frozenset(needed) for owner, needed in found.items()}
