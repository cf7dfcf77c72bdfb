"""What a deployment writes down, each in one transaction."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import time
from functools import partial
from typing import Any, Protocol

from spice_engine.errors import SpiceError
from spice_engine.store import replicas, servers
from spice_engine.store.database import Database
from spice_engine.store.replicas import ReplicaRow
from spice_engine.store.servers import ServerRow, VersionRow

log = logging.getLogger(__name__)


def left(
    connection: sqlite3.Connection,
) -> list[tuple[ServerRow, VersionRow, tuple[ReplicaRow, ...]]]:
    """Every server with the version it wants and the replicas whose end is not known."""
    wanted = {row.server: row for row in servers.wanted_versions(connection)}
    return [
        (row, wanted[row.name], replicas.living(connection, row.name))
        for row in servers.list_all(connection)
        if row.name in wanted
    ]


def new_replica(
    connection: sqlite3.Connection,
    server: str,
    version: int,
    restarts: int,
    now: float,
    ahead: int | None = None,
) -> int:
    """A replica that is to start; its number. `ahead` is that of a process started for it."""
    number = servers.next_replica(connection, server) if ahead is None else ahead
    write = replicas.add if ahead is None else replicas.begin
    write(connection, server=server, number=number, version=version, restarts=restarts, created=now)
    return number


def new_ahead(connection: sqlite3.Connection, server: str, version: int, now: float) -> int:
    """A process that waits to become a replica; its number."""
    number = servers.next_replica(connection, server)
    replicas.add(
        connection,
        server=server,
        number=number,
        version=version,
        restarts=0,
        created=now,
        state=replicas.AHEAD,
    )
    return number


def change_of(row: ServerRow, state: str, message: str, now: float) -> dict[str, Any]:
    """The columns of a server that are others now."""
    values: dict[str, Any] = {}
    if state != row.state:
        values["state"] = state
        if state == "running" or (state in {"stopped", "failed"} and row.running_since):
            values["running_since"] = now if state == "running" else None
    if message != row.message:
        values["message"] = message
    return values


def rolled_out(connection: sqlite3.Connection, server: str, version: int) -> ServerRow:
    """A version is the good one."""
    servers.set_version_state(connection, server, version, "good")
    return servers.change(connection, server, good=version, message="")


def gave_up(
    connection: sqlite3.Connection, server: str, version: int, reason: str
) -> tuple[ServerRow, VersionRow | None]:
    """A version is given up: another one is wanted again, or, with none, the server failed.

    Nothing happens where another one is wanted already.
    """
    now = servers.get(connection, server)
    if now.version != version:
        return now, None
    other = servers.good_before(connection, server, version)
    if other is None:
        servers.set_version_state(connection, server, version, "failed", reason)
        return servers.change(connection, server, message=reason), None
    message = f"version {version} was rolled back to version {other.number}: {brief(reason)}"
    servers.set_version_state(connection, server, version, "rolled back", reason)
    row = servers.change(
        connection,
        server,
        version=other.number,
        good=other.number,
        message=message,
        updated=time.time(),
    )
    return row, other


def brief(reason: str) -> str:
    """What a traceback ends with, which says most; other reasons as they are."""
    lines = [line for line in reason.splitlines() if line.strip()]
    if len(lines) > 1 and any(line.lstrip().startswith("File ") for line in lines):
        return lines[-1].strip()
    return reason


class NotedReplica(Protocol):
    """What is written down of a replica."""

    number: int
    state: str
    message: str
    ready_at: float | None
    ended_at: float | None


def note_later(database: Database, server: str, replica: NotedReplica) -> None:
    """Write a replica's state without waiting; the order of writes is kept."""
    work = partial(
        replicas.set_state,
        server=server,
        number=replica.number,
        state=replica.state,
        message=replica.message,
        ready=replica.ready_at,
        ended=replica.ended_at,
    )
    try:
        database.write(work).add_done_callback(_seen)
    except SpiceError as error:
        log.warning("the state of replica %s/%s was not stored: %s", server, replica.number, error)


def _seen(done: asyncio.Future[None]) -> None:
    if not done.cancelled() and (error := done.exception()) is not None:
        log.warning("a replica's state was not stored: %s", error)
