"""Uploads: folders of this machine that were taken into the object store under a name.

Every function runs inside `Database.write` or `Database.read`.
"""

from __future__ import annotations

import sqlite3

from spice_engine.errors import Conflict, NotFound
from spice_engine.records import record
from spice_engine.store import references

_COLUMNS = "name, object, files, size, created"


@record
class UploadRow:
    """An upload as stored: `object` is a folder's hash, `size` bytes, `created` unix seconds."""

    name: str
    object: str
    files: int
    size: int
    created: float


def put(connection: sqlite3.Connection, row: UploadRow, *, replace: bool = False) -> UploadRow:
    """Adds an upload and keeps its object from collection.

    Raises:
        Conflict: there is one of that name, and it is not to be replaced.
    """
    if find(connection, row.name) is not None:
        if not replace:
            raise Conflict(
                f"uploads/{row.name} is there already.",
                hint="Replace it with --replace, or give another name.",
            )
        remove(connection, row.name)
    connection.execute(
        f"INSERT INTO uploads ({_COLUMNS}) VALUES (?, ?, ?, ?, ?)",
        (row.name, row.object, row.files, row.size, row.created),
    )
    references.add(connection, row.object, _owner(row.name))
    return row


def find(connection: sqlite3.Connection, name: str) -> UploadRow | None:
    """The upload of that name, or None."""
    row = connection.execute(f"SELECT {_COLUMNS} FROM uploads WHERE name = ?", (name,)).fetchone()
    return None if row is None else UploadRow(*row)


def get(connection: sqlite3.Connection, name: str) -> UploadRow:
    """The upload of that name.

    Raises:
        NotFound: there is none.
    """
    found = find(connection, name)
    if found is None:
        raise NotFound(
            f"there is no upload {name!r}.", hint="`spice-tui ls uploads` lists what there is."
        )
    return found


def list_all(connection: sqlite3.Connection) -> tuple[UploadRow, ...]:
    """Every upload, by name."""
    rows = connection.execute(f"SELECT {_COLUMNS} FROM uploads ORDER BY name")
    return tuple(UploadRow(*row) for row in rows)


def remove(connection: sqlite3.Connection, name: str) -> UploadRow:
    """Removes an upload; its object goes when nothing else needs it.

    Raises:
        NotFound: there is none.
    """
    row = get(connection, name)
    connection.execute("DELETE FROM uploads WHERE name = ?", (name,))
    references.drop_owner(connection, _owner(name))
    return row


def _owner(name: str) -> str:
    return f"upload:{name}"
