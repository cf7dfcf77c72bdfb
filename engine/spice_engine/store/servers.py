"""Model servers: what each is to do, and every version of its definition.

Every function runs inside `Database.write` or `Database.read`.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any

from spice_engine.errors import Conflict, NotFound
from spice_engine.records import record
from spice_engine.store import references
from spice_engine.store.columns import from_json, to_json

KEPT_VERSIONS = 20
"""Versions of each server that stay, newest ones; beside them the wanted and the good one."""

_SERVER = (
    "name, wish, state, message, version, good, pods, token, created, updated, replica,"
    " running_since"
)
_VERSION = "server, number, definition, code, models, mounts, environment, state, message, created"
_COLUMNS = frozenset(
    {"wish", "state", "message", "version", "good", "pods", "updated", "running_since"}
)


@record
class ServerRow:
    """A server as stored; times are unix seconds.

    `wish` is running or stopped, `version` the one that is wanted, `good` the last that got
    ready, `pods` how many replicas are wanted now, `replica` the last number given to one.
    """

    name: str
    wish: str
    state: str
    message: str
    version: int
    good: int | None
    pods: int
    token: str
    created: float
    updated: float
    replica: int
    running_since: float | None


@record
class VersionRow:
    """A version of a definition. `models` are [name, number, version, object] each, `mounts`
    [destination, object] each; `code` and `environment` are a hash and a key, or empty.

    `state` is new, good, rolled back or failed.
    """

    server: str
    number: int
    definition: Mapping[str, Any]
    code: str
    models: tuple[tuple[str, int, str, str], ...]
    mounts: tuple[tuple[str, str], ...]
    environment: str
    state: str
    message: str
    created: float


def create(
    connection: sqlite3.Connection, *, name: str, pods: int, token: str, created: float
) -> ServerRow:
    """Adds a server that is to run, with no version yet.

    Raises:
        Conflict: there is one of that name.
    """
    try:
        connection.execute(
            f"INSERT INTO servers ({_SERVER}) VALUES"
            " (?, 'running', 'requested', '', 0, NULL, ?, ?, ?, ?, 0, NULL)",
            (name, pods, token, created, created),
        )
    except sqlite3.IntegrityError as error:
        raise Conflict(
            f"there is a server {name!r} already.",
            hint="Update it (spice-tui server update), or give another --name.",
        ) from error
    return get(connection, name)


def get(connection: sqlite3.Connection, name: str) -> ServerRow:
    """The server of that name.

    Raises:
        NotFound: there is none.
    """
    row = connection.execute(f"SELECT {_SERVER} FROM servers WHERE name = ?", (name,)).fetchone()
    if row is None:
        raise no_such_server(name)
    return ServerRow(*row)


def no_such_server(name: str) -> NotFound:
    """What is said where a server is not there."""
    return NotFound(
        f"there is no server {name[:100]!r}.", hint="`spice-tui server list` lists them."
    )


def list_all(connection: sqlite3.Connection) -> tuple[ServerRow, ...]:
    """All servers, by name."""
    rows = connection.execute(f"SELECT {_SERVER} FROM servers ORDER BY name")
    return tuple(ServerRow(*row) for row in rows)


def change(connection: sqlite3.Connection, name: str, **values: Any) -> ServerRow:
    """Sets columns of a server: wish, state, message, version, good, pods, updated,
    running_since.

    Raises:
        NotFound: there is no such server.
        ValueError: one cannot be set.
    """
    if unknown := values.keys() - _COLUMNS:
        raise ValueError(f"a server's {sorted(unknown)[0]} cannot be set")
    columns = ", ".join(f"{column} = ?" for column in values)
    if columns:
        connection.execute(f"UPDATE servers SET {columns} WHERE name = ?", (*values.values(), name))
    return get(connection, name)


def next_replica(connection: sqlite3.Connection, name: str) -> int:
    """A number that no replica of the server had before.

    Raises:
        NotFound: there is no such server.
    """
    row = connection.execute(
        "UPDATE servers SET replica = replica + 1 WHERE name = ? RETURNING replica", (name,)
    ).fetchone()
    if row is None:
        raise no_such_server(name)
    return row[0]


def remove(connection: sqlite3.Connection, name: str) -> None:
    """Removes a server with all that belongs to it; nothing happens where it is not there."""
    for version in list_versions(connection, name):
        references.drop_owner(connection, _owner(name, version.number))
    connection.execute("DELETE FROM servers WHERE name = ?", (name,))


def add_version(
    connection: sqlite3.Connection,
    *,
    server: str,
    definition: Mapping[str, Any],
    code: str,
    models: Sequence[tuple[str, int, str, str]],
    mounts: Sequence[tuple[str, str]],
    created: float,
) -> VersionRow:
    """Adds a server's next version; its objects are kept from collection as long as it is."""
    (last,) = connection.execute(
        "SELECT coalesce(max(number), 0) FROM server_versions WHERE server = ?", (server,)
    ).fetchone()
    number = last + 1
    connection.execute(
        f"INSERT INTO server_versions ({_VERSION}) VALUES (?, ?, ?, ?, ?, ?, '', 'new', '', ?)",
        (
            server,
            number,
            to_json(dict(definition)),
            code,
            to_json([list(model) for model in models]),
            to_json([list(mount) for mount in mounts]),
            created,
        ),
    )
    objects = {code, *(model[3] for model in models), *(mount[1] for mount in mounts)} - {""}
    for object_hash in objects:
        references.add(connection, object_hash, _owner(server, number))
    _prune(connection, server)
    return get_version(connection, server, number)


def get_version(connection: sqlite3.Connection, server: str, number: int) -> VersionRow:
    """One version of a server.

    Raises:
        NotFound: there is none of that number.
    """
    rows = _versions(connection, "WHERE server = ? AND number = ?", (server, number))
    if not rows:
        raise NotFound(
            f"server {server!r} has no version {number}.",
            hint="`spice-tui server describe` lists them.",
        )
    return rows[0]


def list_versions(connection: sqlite3.Connection, server: str) -> tuple[VersionRow, ...]:
    """A server's versions, newest first."""
    return _versions(connection, "WHERE server = ? ORDER BY number DESC", (server,))


def wanted_versions(connection: sqlite3.Connection) -> tuple[VersionRow, ...]:
    """The version that each server wants, by the server's name."""
    return _versions(
        connection,
        "WHERE (server, number) IN (SELECT name, version FROM servers) ORDER BY server",
        (),
    )


def set_version_state(
    connection: sqlite3.Connection, server: str, number: int, state: str, message: str = ""
) -> None:
    """Notes what became of a version."""
    connection.execute(
        "UPDATE server_versions SET state = ?, message = ? WHERE server = ? AND number = ?",
        (state, message, server, number),
    )


def set_environment(
    connection: sqlite3.Connection, server: str, number: int, environment: str
) -> None:
    """Notes the key of the environment a version's replicas run in."""
    connection.execute(
        "UPDATE server_versions SET environment = ? WHERE server = ? AND number = ?",
        (environment, server, number),
    )


def good_before(connection: sqlite3.Connection, server: str, number: int) -> VersionRow | None:
    """The newest other version that got ready once and was not given up: where to go back to.

    Older ones than `number` come first, for a rollback must not go forth.
    """
    rows = _versions(
        connection,
        "WHERE server = ?1 AND number <> ?2 AND state = 'good'"
        " ORDER BY number < ?2 DESC, number DESC LIMIT 1",
        (server, number),
    )
    return rows[0] if rows else None


def _prune(connection: sqlite3.Connection, server: str) -> None:
    rows = connection.execute(
        "DELETE FROM server_versions WHERE server = ?1 AND number <="
        " (SELECT max(number) FROM server_versions WHERE server = ?1) - ?2"
        " AND number NOT IN (SELECT version FROM servers WHERE name = ?1)"
        " AND number NOT IN (SELECT coalesce(good, 0) FROM servers WHERE name = ?1)"
        " AND number NOT IN (SELECT version FROM replicas WHERE server = ?1 AND ended IS NULL)"
        " RETURNING number",
        (server, KEPT_VERSIONS),
    ).fetchall()
    for (number,) in rows:
        references.drop_owner(connection, _owner(server, number))


def _owner(server: str, version: int) -> str:
    return f"server:{server}:{version}"


def _versions(
    connection: sqlite3.Connection, rest: str, values: tuple[object, ...]
) -> tuple[VersionRow, ...]:
    rows = connection.execute(f"SELECT {_VERSION} FROM server_versions {rest}", values)
    return tuple(
        VersionRow(
            server=row[0],
            number=row[1],
            definition=from_json(row[2]),
            code=row[3],
            models=tuple((name, n, v, o) for name, n, v, o in from_json(row[4])),
            mounts=tuple((destination, o) for destination, o in from_json(row[5])),
            environment=row[6],
            state=row[7],
            message=row[8],
            created=row[9],
        )
        for row in rows
    )
