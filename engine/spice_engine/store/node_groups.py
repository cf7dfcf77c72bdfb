"""Node groups: named pools of this machine that servers take their room from.

Every function runs inside `Database.write` or `Database.read`.
"""

from __future__ import annotations

import sqlite3

from spice_engine.records import record


@record
class NodeGroupRow:
    """A pool: cores, bytes of memory, devices."""

    name: str
    cpu: float
    memory: int
    gpus: int
    created: float


def put(connection: sqlite3.Connection, row: NodeGroupRow) -> None:
    """Adds a group, or changes the size of the one of that name."""
    connection.execute(
        "INSERT INTO node_groups (name, cpu, memory, gpus, created) VALUES (?, ?, ?, ?, ?)"
        " ON CONFLICT (name) DO UPDATE SET cpu = excluded.cpu, memory = excluded.memory,"
        " gpus = excluded.gpus",
        (row.name, row.cpu, row.memory, row.gpus, row.created),
    )


def list_all(connection: sqlite3.Connection) -> tuple[NodeGroupRow, ...]:
    """All groups that were made, by name."""
    rows = connection.execute(
        "SELECT name, cpu, memory, gpus, created FROM node_groups ORDER BY name"
    )
    return tuple(NodeGroupRow(*row) for row in rows)


def remove(connection: sqlite3.Connection, name: str) -> bool:
    """Removes a group; says whether it was there."""
    return connection.execute("DELETE FROM node_groups WHERE name = ?", (name,)).rowcount > 0
