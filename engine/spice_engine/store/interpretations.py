"""Interpretations: what people said about stretches of a pod's data.

Every function runs inside `Database.write` or `Database.read`.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from spice_engine.records import record
from spice_engine.store.columns import from_json, to_json


@record
class InterpretationRow:
    """Unix seconds, half-open: [start, end); where both are equal, that one moment."""

    start: int
    end: int
    name: str
    actions: tuple[str, ...]
    tags: tuple[str, ...]


def add(connection: sqlite3.Connection, pod: str, rows: Sequence[InterpretationRow]) -> None:
    """Adds them, all or none; one that is there already in every respect counts once."""
    connection.executemany(
        'INSERT INTO interpretations (pod, start, "end", name, actions, tags) '
        "SELECT ?1, ?2, ?3, ?4, ?5, ?6 WHERE NOT EXISTS (SELECT 1 FROM interpretations "
        'WHERE pod = ?1 AND start = ?2 AND "end" = ?3 AND name = ?4 AND actions = ?5 '
        "AND tags = ?6)",
        [
            (pod, row.start, row.end, row.name, to_json(list(row.actions)), to_json(list(row.tags)))
            for row in rows
        ],
    )


def find(
    connection: sqlite3.Connection, pod: str, start: int | None = None, end: int | None = None
) -> list[InterpretationRow]:
    """Those of a pod that overlap [start, end), by start; all without bounds."""
    low = -(2**63) if start is None else start
    high = 2**63 - 1 if end is None else end
    found = connection.execute(
        'SELECT start, "end", name, actions, tags FROM interpretations WHERE pod = ? '
        'AND start < ? AND ("end" > ? OR (start = "end" AND start >= ?)) ORDER BY start, id',
        (pod, high, low, low),
    )
    return [
        InterpretationRow(first, last, name, tuple(from_json(actions)), tuple(from_json(tags)))
        for first, last, name, actions, tags in found
    ]


def remove_all(connection: sqlite3.Connection, pod: str) -> int:
    """Forgets all of a pod; how many they were."""
    return connection.execute("DELETE FROM interpretations WHERE pod = ?", (pod,)).rowcount
