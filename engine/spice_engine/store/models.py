"""Models: named bundles of files, their versions, and the aliases that name some of them.

Every function runs inside `Database.write` or `Database.read`.
"""

from __future__ import annotations

import sqlite3

from spice_engine.errors import Conflict, NotFound
from spice_engine.records import record
from spice_engine.store import references
from spice_engine.store.columns import from_json, to_json

_COLUMNS = (
    "model, number, version, object, resource, files, size, description, created, creator, run_id"
)
_LISTED = "`spice-tui model list` lists what there is."


@record
class ModelRow:
    """A model as stored; `last` is the last number that one of its versions got."""

    name: str
    created: float
    creator: str
    last: int


@record
class NewVersion:
    """A version before it has its number: `object` is a folder's hash, `size` bytes, `created`
    unix seconds.

    `version` is a custom name beside the number, or empty; `files` are `PATH[:DEST]`.
    """

    model: str
    version: str
    object: str
    resource: str
    files: tuple[str, ...]
    size: int
    description: str
    created: float
    creator: str
    run_id: int | None


@record
class VersionRow(NewVersion):
    """A version as stored."""

    number: int
    aliases: tuple[str, ...] = ()


def add_version(
    connection: sqlite3.Connection, new: NewVersion, *, number: int | None = None
) -> VersionRow:
    """Adds the model's next version, makes the model at its first, and keeps its object.

    `number` is the one that the caller takes the next to be.

    Raises:
        Conflict: the custom name is taken, or the next number is another one.
    """
    connection.execute(
        "INSERT INTO models (name, created, creator) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
        (new.model, new.created, new.creator),
    )
    if new.version and by_name(connection, new.model, new.version) is not None:
        raise Conflict(
            f"model {new.model} has a version {new.version!r} already.",
            hint="Give another name, or remove that version first.",
        )
    (last,) = connection.execute(
        "UPDATE models SET last = last + 1 WHERE name = ? RETURNING last", (new.model,)
    ).fetchone()
    if number is not None and number != last:
        raise Conflict(
            f"version v{number} of model {new.model} cannot be made: the next one is v{last}.",
            hint="Numbers are given by themselves; name no version, or one of another form.",
        )
    connection.execute(
        f"INSERT INTO model_versions ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            new.model,
            last,
            new.version,
            new.object,
            new.resource,
            to_json(list(new.files)),
            new.size,
            new.description,
            new.created,
            new.creator,
            new.run_id,
        ),
    )
    references.add(connection, new.object, _owner(new.model, last))
    return get_version(connection, new.model, last)


def reserve(connection: sqlite3.Connection, name: str, created: float, creator: str) -> bool:
    """Notes the name of a model that has no version yet; False where there is one of that name."""
    cursor = connection.execute(
        "INSERT INTO models (name, created, creator) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
        (name, created, creator),
    )
    return cursor.rowcount > 0


def reserved(connection: sqlite3.Connection) -> tuple[ModelRow, ...]:
    """Every model, by name, also those without a version."""
    rows = connection.execute("SELECT name, created, creator, last FROM models ORDER BY name")
    return tuple(ModelRow(*row) for row in rows)


def release(connection: sqlite3.Connection, name: str) -> None:
    """Forgets the name of a model that has no version."""
    connection.execute(
        "DELETE FROM models WHERE name = ?"
        " AND NOT EXISTS (SELECT 1 FROM model_versions WHERE model = name)",
        (name,),
    )


def find(connection: sqlite3.Connection, name: str) -> ModelRow | None:
    """The model of that name that has a version, or None."""
    row = connection.execute(
        "SELECT name, created, creator, last FROM models WHERE name = ?"
        " AND EXISTS (SELECT 1 FROM model_versions WHERE model = name)",
        (name,),
    ).fetchone()
    return None if row is None else ModelRow(*row)


def get(connection: sqlite3.Connection, name: str) -> ModelRow:
    """The model of that name.

    Raises:
        NotFound: there is none.
    """
    found = find(connection, name)
    if found is None:
        raise no_such_model(name)
    return found


def list_all(connection: sqlite3.Connection) -> tuple[ModelRow, ...]:
    """Every model that has a version, by name."""
    rows = connection.execute(
        "SELECT name, created, creator, last FROM models"
        " WHERE EXISTS (SELECT 1 FROM model_versions WHERE model = name) ORDER BY name"
    )
    return tuple(ModelRow(*row) for row in rows)


def versions(connection: sqlite3.Connection, name: str | None = None) -> tuple[VersionRow, ...]:
    """The versions of a model, newest first; of all, by name, where none is given."""
    if name is None:
        return _select(connection, "ORDER BY model, number DESC", ())
    return _select(connection, "WHERE model = ? ORDER BY number DESC", (name,))


def newest(connection: sqlite3.Connection) -> tuple[tuple[ModelRow, VersionRow, int], ...]:
    """Every model that has a version, by name, with its newest one and how many there are."""
    counted = dict(
        connection.execute("SELECT model, count(*) FROM model_versions GROUP BY model").fetchall()
    )
    rows = _select(
        connection,
        "WHERE (model, number) IN (SELECT model, max(number) FROM model_versions GROUP BY model)",
        (),
    )
    last = {row.model: row for row in rows}
    return tuple((model, last[model.name], counted[model.name]) for model in list_all(connection))


def get_version(connection: sqlite3.Connection, name: str, number: int) -> VersionRow:
    """The model's version of this number.

    Raises:
        NotFound: there is none.
    """
    rows = _select(connection, "WHERE model = ? AND number = ?", (name, number))
    if not rows:
        raise no_such_version(name, f"v{number}")
    return rows[0]


def by_name(connection: sqlite3.Connection, name: str, version: str) -> VersionRow | None:
    """The version with this custom name, or None."""
    rows = _select(connection, "WHERE model = ? AND version = ? AND version <> ''", (name, version))
    return rows[0] if rows else None


def by_alias(connection: sqlite3.Connection, name: str, alias: str) -> VersionRow | None:
    """The version that the alias names, or None."""
    rows = _select(
        connection,
        "WHERE model = ?1 AND number = (SELECT number FROM model_aliases"
        " WHERE model = ?1 AND alias = ?2)",
        (name, alias),
    )
    return rows[0] if rows else None


def latest(connection: sqlite3.Connection, name: str) -> VersionRow:
    """The model's newest version.

    Raises:
        NotFound: there is no such model.
    """
    rows = _select(connection, "WHERE model = ? ORDER BY number DESC LIMIT 1", (name,))
    if not rows:
        raise no_such_model(name)
    return rows[0]


def remove_version(connection: sqlite3.Connection, name: str, number: int) -> None:
    """Removes a version with its aliases; its number does not come again.

    Raises:
        NotFound: there is none.
    """
    get_version(connection, name, number)
    connection.execute("DELETE FROM model_aliases WHERE model = ? AND number = ?", (name, number))
    connection.execute("DELETE FROM model_versions WHERE model = ? AND number = ?", (name, number))
    references.drop_owner(connection, _owner(name, number))


def remove(connection: sqlite3.Connection, name: str) -> int:
    """Removes a model with all its versions; gives how many there were.

    Raises:
        NotFound: there is no such model.
    """
    get(connection, name)
    rows = versions(connection, name)
    for row in rows:
        remove_version(connection, name, row.number)
    connection.execute("DELETE FROM models WHERE name = ?", (name,))
    return len(rows)


def describe(connection: sqlite3.Connection, name: str, number: int, text: str) -> VersionRow:
    """Replaces the version's description.

    Raises:
        NotFound: there is no such version.
    """
    connection.execute(
        "UPDATE model_versions SET description = ? WHERE model = ? AND number = ?",
        (text, name, number),
    )
    return get_version(connection, name, number)


def set_alias(connection: sqlite3.Connection, name: str, alias: str, number: int) -> VersionRow:
    """Makes `alias` name this version, whatever it named before.

    Raises:
        NotFound: there is no such version.
    """
    get_version(connection, name, number)
    connection.execute(
        "INSERT INTO model_aliases (model, alias, number) VALUES (?, ?, ?)"
        " ON CONFLICT (model, alias) DO UPDATE SET number = excluded.number",
        (name, alias, number),
    )
    return get_version(connection, name, number)


def remove_alias(connection: sqlite3.Connection, name: str, alias: str) -> bool:
    """Removes the name, not the version; says whether it was there."""
    cursor = connection.execute(
        "DELETE FROM model_aliases WHERE model = ? AND alias = ?", (name, alias)
    )
    return cursor.rowcount > 0


def no_such_model(name: str) -> NotFound:
    """The error that says so."""
    return NotFound(f"there is no model {name[:200]!r}.", hint=_LISTED)


def no_such_version(name: str, version: str) -> NotFound:
    """The error that says so."""
    return NotFound(
        f"model {name[:200]!r} has no version {version[:200]!r}.",
        hint=f"`spice-tui model describe {name[:200]}` lists its versions.",
    )


def _owner(name: str, number: int) -> str:
    return f"model:{name}:{number}"


def _select(
    connection: sqlite3.Connection, rest: str, values: tuple[object, ...]
) -> tuple[VersionRow, ...]:
    rows = connection.execute(
        f"SELECT {_COLUMNS}, (SELECT json_group_array(alias) FROM model_aliases AS a"
        " WHERE a.model = model_versions.model AND a.number = model_versions.number)"
        f" FROM model_versions {rest}",
        values,
    )
    return tuple(
        VersionRow(
            model=row[0],
            number=row[1],
            version=row[2],
            object=row[3],
            resource=row[4],
            files=tuple(from_json(row[5])),
            size=row[6],
            description=row[7],
            created=row[8],
            creator=row[9],
            run_id=row[10],
            aliases=tuple(sorted(from_json(row[11]))),
        )
        for row in rows
    )
