"""Links: short names of resources.

Every function runs inside `Database.write` or `Database.read`.
"""

from __future__ import annotations

import sqlite3

from spice_engine.errors import Conflict, NotFound
from spice_engine.records import record


@record
class LinkRow:
    """A link as stored: `path` is one of the resource tree, `created` unix seconds."""

    alias: str
    path: str
    created: float


def add(connection: sqlite3.Connection, row: LinkRow) -> LinkRow:
    """Adds a link.

    Raises:
        Conflict: there is one of that name.
    """
    known = find(connection, row.alias)
    if known is not None:
        raise Conflict(
            f"there is a link {row.alias!r} already; it leads to {known.path}.",
            hint=f"Remove it first: spice-tui unlink {row.alias}.",
        )
    connection.execute(
        "INSERT INTO links (alias, path, created) VALUES (?, ?, ?)",
        (row.alias, row.path, row.created),
    )
    return row


def find(connection: sqlite3.Connection, alias: str) -> LinkRow | None:
    """The link of that name, or None."""
    row = connection.execute(
        "SELECT alias, path, created FROM links WHERE alias = ?", (alias,)
    ).fetchone()
    return None if row is None else LinkRow(*row)


def list_all(connection: sqlite3.Connection) -> tuple[LinkRow, ...]:
    """Every link, by name."""
    rows = connection.execute("SELECT alias, path, created FROM links ORDER BY alias")
    return tuple(LinkRow(*row) for row in rows)


def remove(connection: sqlite3.Connection, alias: str) -> LinkRow:
    """Removes a link, not what it leads to.

    Raises:
        NotFound: there is none.
    """
    found = find(connection, alias)
    if found is None:
        raise NotFound(
            f"there is no link {alias[:100]!r}.", hint="`spice-tui link` lists what there is."
        )
    connection.execute("DELETE FROM links WHERE alias = ?", (alias,))
    return found
