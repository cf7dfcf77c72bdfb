"""Replicas of model servers, and why there are as many as there are.

Every function runs inside `Database.write` or `Database.read`.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping

from spice_engine.records import record
from spice_engine.store.columns import from_json, to_json

KEPT_ENDED = 20
"""Replicas of each server that stay after their end, newest ones."""
KEPT_DECISIONS = 500
AHEAD = "ahead"
"""The state of a process that is ready to become a replica, and is none yet."""

_REPLICA = "server, number, version, state, message, restarts, created, ready, ended"


@record
class ReplicaRow:
    """A replica as stored: one process. `restarts` counts those it stands in for, which crashed
    one after another; times are unix seconds."""

    server: str
    number: int
    version: int
    state: str
    message: str
    restarts: int
    created: float
    ready: float | None
    ended: float | None


@record
class DecisionRow:
    """A change of the number of replicas, with what it was taken from."""

    time: float
    before: int
    after: int
    reason: str
    inputs: Mapping[str, float]


def add(
    connection: sqlite3.Connection,
    *,
    server: str,
    number: int,
    version: int,
    restarts: int,
    created: float,
    state: str = "requested",
) -> None:
    """Adds a replica that is to start, or one ahead of its time."""
    connection.execute(
        f"INSERT INTO replicas ({_REPLICA}) VALUES (?, ?, ?, ?, '', ?, ?, NULL, NULL)",
        (server, number, version, state, restarts, created),
    )


def begin(
    connection: sqlite3.Connection,
    *,
    server: str,
    number: int,
    version: int,
    restarts: int,
    created: float,
) -> None:
    """One that was started ahead becomes a replica."""
    connection.execute(
        "UPDATE replicas SET state = 'requested', version = ?, restarts = ?, created = ?"
        " WHERE server = ? AND number = ?",
        (version, restarts, created, server, number),
    )


def remove(connection: sqlite3.Connection, server: str, number: int) -> None:
    """Forgets one that never became a replica."""
    connection.execute("DELETE FROM replicas WHERE server = ? AND number = ?", (server, number))


def set_state(
    connection: sqlite3.Connection,
    server: str,
    number: int,
    state: str,
    *,
    message: str = "",
    ready: float | None = None,
    ended: float | None = None,
) -> None:
    """Puts a replica in `state`; times that are None stay as they are."""
    connection.execute(
        "UPDATE replicas SET state = ?, message = ?, ready = coalesce(?, ready),"
        " ended = coalesce(?, ended) WHERE server = ? AND number = ?",
        (state, message, ready, ended, server, number),
    )


def living(connection: sqlite3.Connection, server: str) -> tuple[ReplicaRow, ...]:
    """The replicas whose end is not known, by number."""
    return _select(connection, "WHERE server = ? AND ended IS NULL ORDER BY number", (server,))


def newest(connection: sqlite3.Connection, server: str, count: int) -> tuple[ReplicaRow, ...]:
    """The newest replicas of a server, newest first."""
    return _select(connection, "WHERE server = ? ORDER BY number DESC LIMIT ?", (server, count))


def prune(connection: sqlite3.Connection, server: str) -> tuple[int, ...]:
    """Forgets ended replicas but the newest `KEPT_ENDED`; gives the numbers of the others."""
    rows = connection.execute(
        "DELETE FROM replicas WHERE server = ?1 AND ended IS NOT NULL AND number NOT IN"
        " (SELECT number FROM replicas WHERE server = ?1 AND ended IS NOT NULL"
        " ORDER BY number DESC LIMIT ?2) RETURNING number",
        (server, KEPT_ENDED),
    ).fetchall()
    return tuple(row[0] for row in rows)


def add_decision(connection: sqlite3.Connection, server: str, decision: DecisionRow) -> None:
    """Keeps a decision, and of the server's older ones as many as there is room for."""
    connection.execute(
        "INSERT INTO scale_decisions (server, time, before, after, reason, inputs)"
        " VALUES (?, ?, ?, ?, ?, ?)",
        (
            server,
            decision.time,
            decision.before,
            decision.after,
            decision.reason,
            to_json(dict(decision.inputs)),
        ),
    )
    connection.execute(
        "DELETE FROM scale_decisions WHERE server = ?1 AND id <= (SELECT id FROM scale_decisions"
        " WHERE server = ?1 ORDER BY id DESC LIMIT 1 OFFSET ?2)",
        (server, KEPT_DECISIONS),
    )


def decisions(
    connection: sqlite3.Connection, server: str, count: int = 50
) -> tuple[DecisionRow, ...]:
    """The newest decisions of a server, newest first."""
    rows = connection.execute(
        "SELECT time, before, after, reason, inputs FROM scale_decisions WHERE server = ?"
        " ORDER BY id DESC LIMIT ?",
        (server, count),
    )
    return tuple(DecisionRow(*row[:4], inputs=from_json(row[4])) for row in rows)


def _select(
    connection: sqlite3.Connection, rest: str, values: tuple[object, ...]
) -> tuple[ReplicaRow, ...]:
    rows = connection.execute(f"SELECT {_REPLICA} FROM replicas {rest}", values)
    return tuple(ReplicaRow(*row) for row in rows)
