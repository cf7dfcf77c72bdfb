"""Runs by what is known of them: by name, by all they were asked with, by filters, sorted.

Every function runs inside `Database.write` or `Database.read`.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Sequence
from typing import Any

from spice_engine.records import record
from spice_engine.store.columns import placeholders, to_json
from spice_engine.store.runs import FINAL_STATES, RunRow, get_all, select


def named(connection: sqlite3.Connection, name: str, most: int = 10) -> tuple[int, ...]:
    """The newest runs of a name that are not archived, newest first."""
    rows = connection.execute(
        "SELECT id FROM runs WHERE name = ? AND name <> '' AND archived IS NULL"
        " ORDER BY id DESC LIMIT ?",
        (name, most),
    )
    return tuple(row[0] for row in rows)


def same(connection: sqlite3.Connection, key: str) -> RunRow | None:
    """The newest run with this key that goes on or succeeded, and is not archived."""
    final = sorted(FINAL_STATES)
    rows = select(
        connection,
        "WHERE idempotent = ? AND archived IS NULL"
        f" AND (state NOT IN ({placeholders(final)}) OR state = 'complete' AND outcome = 'success')"
        " ORDER BY id DESC LIMIT 1",
        (key, *final),
    )
    return rows[0] if rows else None


COLUMNS = {
    "id": "id",
    "created": "created",
    "started": "started",
    "ended": "ended",
    "duration": "ended - started",
    "name": "nullif(name, '')",
    "state": "state",
    "project": "project",
    "priority": "priority",
}
"""What runs can be sorted by, beside their parameters and metrics."""


_OF_REPOSITORY = (
    "CASE source WHEN '' THEN ? ELSE instr('/' || source, '/' || ? || '@') > 0"
    " OR instr('/' || source, '/' || ? || '.git@') > 0 END"
)


@record
class Filter:
    """Which runs; what is empty or None lets everything through. `project` `-` is none, `name` a
    pattern, `repository` the address of one or the end of it; with `on_folder` runs on no commit
    are of it, too; `ids` the only ones that may be found; `leaving`: only those that can leave
    files, which a trial without a command cannot."""

    states: Sequence[str] = ()
    labels: Sequence[str] = ()
    kinds: Sequence[str] = ()
    name: str = ""
    project: str = ""
    repository: str = ""
    on_folder: bool = False
    since: float | None = None
    until: float | None = None
    archived: bool = False
    parent: int | None = None
    made_by: str = ""
    before: int | None = None
    ids: Collection[int] | None = None
    leaving: bool = False

    def where(self) -> tuple[str, list[object]]:
        """Its SQL, with the values that go into it."""
        clauses = [f"archived IS {'NOT ' if self.archived else ''}NULL"]
        values: list[object] = []
        for column, wanted in (("state", self.states), ("kind", self.kinds)):
            if wanted:
                clauses.append(f"{column} IN ({placeholders(wanted)})")
                values += wanted
        if self.labels:
            marks = placeholders(self.labels)
            clauses.append(f"id IN (SELECT run_id FROM run_labels WHERE label IN ({marks}))")
            values += self.labels
        if self.project == "-":
            clauses.append("project IS NULL")
        elif self.project:
            clauses.append("project = ? COLLATE NOCASE")
            values.append(self.project)
        if self.repository:
            clauses.append(_OF_REPOSITORY)
            values += [self.on_folder, self.repository, self.repository]
        for clause, value in (
            ("name GLOB ?", self.name or None),
            ("created >= ?", self.since),
            ("created < ?", self.until),
            ("parent = ?", self.parent),
            ("made_by = ?", self.made_by or None),
            ("id < ?", self.before),
        ):
            if value is not None:
                clauses.append(clause)
                values.append(value)
        if self.leaving:
            clauses.append("NOT (kind = 'trial' AND command = '[]')")
        if self.ids is not None:
            clauses.append("id IN (SELECT value FROM json_each(?))")
            values.append(to_json(sorted(self.ids)))
        return f"WHERE {' AND '.join(clauses)}", values


def newest(connection: sqlite3.Connection, chosen: Filter, count: int) -> tuple[RunRow, ...]:
    """The newest `count` of them, newest first."""
    where, values = chosen.where()
    return select(connection, f"{where} ORDER BY id DESC LIMIT ?", (*values, count))


def ordered(
    connection: sqlite3.Connection, chosen: Filter, column: str, count: int, *, descending: bool
) -> tuple[RunRow, ...]:
    """The first `count` of them by one of `COLUMNS`; those without a value last."""
    where, values = chosen.where()
    way = "DESC" if descending else "ASC"
    order = f"ORDER BY {COLUMNS[column]} {way} NULLS LAST, id {way} LIMIT ?"
    return select(connection, f"{where} {order}", (*values, count))


def candidates(
    connection: sqlite3.Connection, chosen: Filter, names: Sequence[str]
) -> list[tuple[Any, ...]]:
    """All of them, oldest first: the id and the values of these parameters, None where a run has
    no such one."""
    where, values = chosen.where()
    columns = "".join(f", {_PARAM}" for _ in names)
    paths = [part for name in names for part in [f'$."{name}"'] * 3]
    rows = connection.execute(
        f"SELECT id{columns} FROM runs {where} ORDER BY id", (*paths, *values)
    )
    return rows.fetchall()


_PARAM = (
    "CASE WHEN params = '{}' OR NOT json_valid(params) THEN NULL"
    " WHEN json_type(params, ?) IN ('true', 'false') THEN params -> ?"
    " ELSE json_extract(params, ?) END"
)


def in_order(connection: sqlite3.Connection, ids: Sequence[int]) -> tuple[RunRow, ...]:
    """The runs with these ids, in that order."""
    found = {row.id: row for row in get_all(connection, ids)}
    return tuple(found[number] for number in ids)
