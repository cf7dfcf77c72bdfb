"""Machine types: named classes of this machine's cores, memory and devices for runs.

Every function runs inside `Database.write` or `Database.read`.
"""

from __future__ import annotations

import dataclasses
import sqlite3

from spice_engine.records import record


@record
class MachineTypeRow:
    """A type: cores, bytes of memory and devices of one machine, how many runs have one at once
    (None: any number), how many are kept ready, and for how long after a run the others are."""

    name: str
    cpu: float
    memory: int
    gpus: int
    max_machines: int | None
    min_machines: int = 0
    idle_seconds: float = 1800.0


def put(connection: sqlite3.Connection, row: MachineTypeRow) -> None:
    """Adds a type, or changes the one of that name."""
    connection.execute(
        "INSERT OR REPLACE INTO machine_types"
        " (name, cpu, memory, gpus, max_machines, min_machines, idle_seconds)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)",
        dataclasses.astuple(row),
    )


def list_all(connection: sqlite3.Connection) -> tuple[MachineTypeRow, ...]:
    """All types that were made or changed, by name."""
    rows = connection.execute(
        "SELECT name, cpu, memory, gpus, max_machines, min_machines, idle_seconds"
        " FROM machine_types ORDER BY name"
    )
    return tuple(MachineTypeRow(*row) for row in rows)


def remove(connection: sqlite3.Connection, name: str) -> bool:
    """Removes a type; says whether it was there."""
    return connection.execute("DELETE FROM machine_types WHERE name = ?", (name,)).rowcount > 0
