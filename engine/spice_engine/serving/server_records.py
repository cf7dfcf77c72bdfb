"""What a deployment writes down, each in one transaction."""

from __future__ import annotations

import sqlite3
import time

from spice_engine.store import replicas, servers
from spice_engine.store.servers import ServerRow, VersionRow


def new_replica(
    connection: sqlite3.Connection, server: str, version: int, restarts: int, now: float
) -> int:
    """A replica that is to start; its number."""
    number = servers.next_replica(connection, server)
    replicas.add(
        connection, server=server, number=number, version=version, restarts=restarts, created=now
    )
    return number


def rolled_out(connection: sqlite3.Connection, server: str, version: int) -> ServerRow:
    """A version is the good one."""
    servers.set_version_state(connection, server, version, "good")
    return servers.change(connection, server, good=version, message="")


def gave_up(
    connection: sqlite3.Connection, server: str, version: int, reason: str
) -> tuple[ServerRow, VersionRow | None]:
    """A version is given up: another one is wanted again, or, with none, the server failed."""
    other = servers.good_before(connection, server, version)
    if other is None:
        servers.set_version_state(connection, server, version, "failed", reason)
        return servers.change(connection, server, message=reason), None
    message = f"version {version} was rolled back to version {other.number}: {reason}"
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
