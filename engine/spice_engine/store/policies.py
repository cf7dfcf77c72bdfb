"""Policies: the versions a pod has learned, and the aliases that name some of them.

Every function runs inside `Database.write` or `Database.read`.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from typing import Any

from spice_engine.errors import NotFound
from spice_engine.records import record
from spice_engine.store import references
from spice_engine.store.columns import from_json, to_json

KEPT = 50
"""Policies of each pod that stay, newest ones; beside them those that an alias names."""

_COLUMNS = "pod, version, object, fingerprint, algorithm, created, evaluation, training_number"


@record
class PolicyRow:
    """A policy as stored: `object` is its file's hash, `created` unix seconds."""

    pod: str
    version: int
    object: str
    fingerprint: str
    algorithm: str
    created: float
    evaluation: Mapping[str, Any]
    training_number: int | None
    aliases: tuple[str, ...]


def add(
    connection: sqlite3.Connection,
    *,
    pod: str,
    object_hash: str,
    fingerprint: str,
    algorithm: str,
    created: float,
    evaluation: Mapping[str, Any] | None = None,
    training_number: int | None = None,
    aliases: tuple[str, ...] = (),
    window: str = "",
) -> PolicyRow:
    """Adds the pod's next version, makes `aliases` name it, and keeps its object from collection.

    Where it came from a training run, that run gets the version as its `policy_version`. `window`
    is the hash of the window that came with an imported policy; it is kept as long.
    """
    (version,) = connection.execute(
        "SELECT coalesce(max(version), 0) + 1 FROM policies WHERE pod = ?", (pod,)
    ).fetchone()
    connection.execute(
        f"INSERT INTO policies ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (
            pod,
            version,
            object_hash,
            fingerprint,
            algorithm,
            created,
            to_json(dict(evaluation or {})),
            training_number,
        ),
    )
    references.add(connection, object_hash, _owner(pod, version))
    if window:
        references.add(connection, window, _window_owner(pod, version))
    if training_number is not None:
        connection.execute(
            "UPDATE training_runs SET policy_version = ? WHERE pod = ? AND number = ?",
            (version, pod, training_number),
        )
    for alias in aliases:
        set_alias(connection, pod, alias, version)
    return get(connection, pod, version)


def get(connection: sqlite3.Connection, pod: str, version: int) -> PolicyRow:
    """The pod's policy of this version.

    Raises:
        NotFound: there is none.
    """
    rows = _select(connection, "WHERE pod = ? AND version = ?", (pod, version))
    if not rows:
        raise _no_such_version(pod, version)
    return rows[0]


def get_by_alias(connection: sqlite3.Connection, pod: str, alias: str) -> PolicyRow | None:
    """The policy that `alias` names, or None."""
    rows = _select(
        connection,
        "WHERE pod = ?1 AND version = (SELECT version FROM aliases WHERE pod = ?1 AND alias = ?2)",
        (pod, alias),
    )
    return rows[0] if rows else None


def list_versions(
    connection: sqlite3.Connection, pod: str | None = None, *, limit: int = -1
) -> tuple[PolicyRow, ...]:
    """The policies of one pod, newest first; of every pod, by name, if none is given.

    `limit` is how many at most; negative: all.
    """
    if pod is None:
        return _select(connection, "ORDER BY pod, version DESC LIMIT ?", (limit,))
    return _select(connection, "WHERE pod = ? ORDER BY version DESC LIMIT ?", (pod, limit))


def set_alias(connection: sqlite3.Connection, pod: str, alias: str, version: int) -> None:
    """Makes `alias` name this version, whatever it named before.

    Raises:
        NotFound: the pod has no such version.
    """
    found = connection.execute(
        "SELECT 1 FROM policies WHERE pod = ? AND version = ?", (pod, version)
    ).fetchone()
    if found is None:
        raise _no_such_version(pod, version)
    connection.execute(
        "INSERT INTO aliases (pod, alias, version) VALUES (?, ?, ?)"
        " ON CONFLICT (pod, alias) DO UPDATE SET version = excluded.version",
        (pod, alias, version),
    )


def remove_alias(connection: sqlite3.Connection, pod: str, alias: str) -> bool:
    """Removes the name, not the policy; says whether it was there."""
    cursor = connection.execute("DELETE FROM aliases WHERE pod = ? AND alias = ?", (pod, alias))
    return cursor.rowcount > 0


def prune(connection: sqlite3.Connection, keep: int = KEPT) -> int:
    """Removes policies older than the newest `keep` of their pod, but for those with an alias.

    Their objects are not needed by them any more. Gives how many were removed.
    """
    rows = connection.execute(
        "DELETE FROM policies WHERE (pod, version) IN (SELECT pod, version FROM (SELECT pod,"
        " version, row_number() OVER (PARTITION BY pod ORDER BY version DESC) AS place"
        " FROM policies) WHERE place > ?) AND NOT EXISTS (SELECT 1 FROM aliases"
        " WHERE aliases.pod = policies.pod AND aliases.version = policies.version)"
        " RETURNING pod, version",
        (keep,),
    ).fetchall()
    for pod, version in rows:
        _drop_references(connection, pod, version)
    return len(rows)


def remove(connection: sqlite3.Connection, pod: str, version: int) -> None:
    """Removes one version with its aliases; nothing happens where it is not there."""
    connection.execute("DELETE FROM policies WHERE pod = ? AND version = ?", (pod, version))
    _drop_references(connection, pod, version)


def window_of(connection: sqlite3.Connection, pod: str, version: int) -> str | None:
    """The hash of the window that came with an imported policy, or None."""
    found = references.of_owner(connection, _window_owner(pod, version))
    return found[0] if found else None


def set_fingerprint(
    connection: sqlite3.Connection, pod: str, version: int, fingerprint: str
) -> None:
    """Notes what inputs the version stands for: an imported one, for the first it meets here."""
    connection.execute(
        "UPDATE policies SET fingerprint = ? WHERE pod = ? AND version = ?",
        (fingerprint, pod, version),
    )


def aliases(connection: sqlite3.Connection, pod: str) -> dict[str, int]:
    """Every alias of the pod and the version it names."""
    return dict(
        connection.execute(
            "SELECT alias, version FROM aliases WHERE pod = ? ORDER BY alias", (pod,)
        )
    )


def _owner(pod: str, version: int) -> str:
    return f"policy:{pod}:{version}"


def _window_owner(pod: str, version: int) -> str:
    return f"window:{pod}:{version}"


def _drop_references(connection: sqlite3.Connection, pod: str, version: int) -> None:
    for owner in (_owner(pod, version), _window_owner(pod, version)):
        references.drop_owner(connection, owner)


def _no_such_version(pod: str, version: int) -> NotFound:
    return NotFound(
        f"pod {pod} has no policy version {version}.", hint="Train the pod, or name another one."
    )


def _select(
    connection: sqlite3.Connection, rest: str, values: tuple[object, ...]
) -> tuple[PolicyRow, ...]:
    rows = connection.execute(
        f"SELECT {_COLUMNS}, (SELECT json_group_array(alias) FROM aliases"
        " WHERE aliases.pod = policies.pod AND aliases.version = policies.version)"
        f" FROM policies {rest}",
        values,
    )
    return tuple(
        PolicyRow(
            *row[:6],
            evaluation=from_json(row[6]),
            training_number=row[7],
            aliases=tuple(sorted(from_json(row[8]))),
        )
        for row in rows
    )
