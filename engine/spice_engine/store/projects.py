"""Projects: named groups of runs. A run is in at most one; names are the same in any case.

Every function runs inside `Database.write` or `Database.read`.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from spice_engine.errors import Conflict, NotFound
from spice_engine.records import record
from spice_engine.store import runs as run_table
from spice_engine.store import searches, workflows
from spice_engine.store.columns import placeholders

_SELECT = """
SELECT name, description, creator, created, archived,
    (SELECT count(*) FROM runs WHERE runs.project = projects.name AND runs.archived IS NULL)
FROM projects
"""


@record
class ProjectRow:
    """A project as stored; times are unix seconds, `runs` counts those that are not archived."""

    name: str
    description: str
    creator: str
    created: float
    archived: float | None
    runs: int


def add(
    connection: sqlite3.Connection, name: str, *, description: str, creator: str, created: float
) -> ProjectRow:
    """Adds a project.

    Raises:
        Conflict: there is one of that name.
    """
    _refuse_taken(connection, name)
    connection.execute(
        "INSERT INTO projects (key, name, description, creator, created) VALUES (?, ?, ?, ?, ?)",
        (_key(name), name, description, creator, created),
    )
    return get(connection, name)


def find(connection: sqlite3.Connection, name: str) -> ProjectRow | None:
    """The project of that name, or None."""
    row = connection.execute(f"{_SELECT} WHERE key = ?", (_key(name),)).fetchone()
    return None if row is None else ProjectRow(*row)


def get(connection: sqlite3.Connection, name: str) -> ProjectRow:
    """The project of that name.

    Raises:
        NotFound: there is none.
    """
    row = find(connection, name)
    if row is None:
        raise NotFound(
            f"Unknown project {name[:200]!r}.", hint="`spice-tui project list` lists them."
        )
    return row


def name_for_run(connection: sqlite3.Connection, name: str) -> str | None:
    """The name of the project that a new run is to be in; None without one.

    Raises:
        NotFound: there is none of that name.
        Conflict: it is archived.
    """
    if not name:
        return None
    row = get(connection, name)
    if row.archived is not None:
        raise Conflict(
            f"project {row.name!r} is archived.",
            hint=f"Take it back first: spice-tui project unarchive {row.name!r}.",
        )
    return row.name


def list_all(connection: sqlite3.Connection) -> tuple[ProjectRow, ...]:
    """Every project, the archived ones too, by name."""
    return tuple(ProjectRow(*row) for row in connection.execute(f"{_SELECT} ORDER BY key"))


def edit(
    connection: sqlite3.Connection,
    name: str,
    *,
    new_name: str | None = None,
    description: str | None = None,
) -> ProjectRow:
    """Renames or describes a project; what is None stays.

    Raises:
        NotFound: there is none.
        Conflict: there is another of the new name, or runs are still made in it by its old one.
    """
    row = get(connection, name)
    if new_name is not None and new_name != row.name:
        _refuse_busy(connection, row)
        if _key(new_name) != _key(name):
            _refuse_taken(connection, new_name)
        connection.execute(
            "UPDATE projects SET key = ?, name = ? WHERE key = ?",
            (_key(new_name), new_name, _key(name)),
        )
        connection.execute("UPDATE runs SET project = ? WHERE project = ?", (new_name, row.name))
        name = new_name
    if description is not None:
        connection.execute(
            "UPDATE projects SET description = ? WHERE key = ?", (description, _key(name))
        )
    return get(connection, name)


def set_archived(connection: sqlite3.Connection, name: str, at: float | None) -> ProjectRow:
    """Archives a project, or takes it back where `at` is None.

    Raises:
        NotFound: there is none.
        Conflict: that is what it is already, or runs are still made in it.
    """
    row = get(connection, name)
    if (row.archived is None) == (at is None):
        word = "not archived" if at is None else "archived already"
        raise Conflict(f"project {row.name!r} is {word}.")
    if at is not None:
        _refuse_busy(connection, row)
    connection.execute("UPDATE projects SET archived = ? WHERE key = ?", (at, _key(name)))
    return get(connection, name)


def add_runs(
    connection: sqlite3.Connection, name: str, numbers: Sequence[int]
) -> tuple[run_table.RunRow, ...]:
    """Puts all of these runs into a project, or none.

    Raises:
        NotFound: there is no such project or run.
        Conflict: one is in a project already, or the project is archived.
    """
    project = name_for_run(connection, name)
    for number in numbers:
        row = run_table.get(connection, number)
        if row.project:
            raise Conflict(
                f"run {number} is in project {row.project!r} already.",
                hint=f"Take it out first: spice-tui project remove-runs {row.project!r} {number}.",
            )
    return _move(connection, project, numbers)


def remove_runs(
    connection: sqlite3.Connection, name: str, numbers: Sequence[int]
) -> tuple[run_table.RunRow, ...]:
    """Takes all of these runs out of a project, or none.

    Raises:
        NotFound: there is no such project or run.
        Conflict: one is not in it.
    """
    project = get(connection, name).name
    for number in numbers:
        row = run_table.get(connection, number)
        if row.project != project:
            raise Conflict(f"run {number} is not in project {project!r}.")
    return _move(connection, None, numbers)


def states(connection: sqlite3.Connection, name: str) -> dict[str, int]:
    """How many of a project's runs are in each state; `complete` ones that failed as `nonzero`."""
    rows = connection.execute(
        "SELECT CASE WHEN state = 'complete' AND outcome = 'failed' THEN 'nonzero' ELSE state END"
        " AS shown, count(*) FROM runs WHERE project = ? AND archived IS NULL"
        " GROUP BY shown ORDER BY shown",
        (name,),
    )
    return dict(rows.fetchall())


def _move(
    connection: sqlite3.Connection, project: str | None, numbers: Sequence[int]
) -> tuple[run_table.RunRow, ...]:
    chosen = list(dict.fromkeys(numbers))
    connection.execute(
        f"UPDATE runs SET project = ? WHERE id IN ({placeholders(list[object](chosen))})",
        (project, *chosen),
    )
    return tuple(run_table.get(connection, number) for number in chosen)


def _refuse_busy(connection: sqlite3.Connection, project: ProjectRow) -> None:
    """Searches and workflows name it for each run they make, to their end."""
    over = sorted(searches.OVER)
    rows = connection.execute(
        "SELECT 'search ' || id, json_extract(plan, '$.run.project') FROM searches"
        f" WHERE state NOT IN ({placeholders(over)})"
        " UNION ALL SELECT 'workflow ' || id, project FROM workflows"
        f" WHERE state IN ({placeholders(workflows.ACTIVE)})",
        (*over, *workflows.ACTIVE),
    )
    for what, name in rows:
        if _key(name or "") == _key(project.name):
            raise Conflict(
                f"{what} goes on in project {project.name!r}.", hint="Wait for its end, or stop it."
            )


def _refuse_taken(connection: sqlite3.Connection, name: str) -> None:
    row = find(connection, name)
    if row is not None:
        archived = ", archived" if row.archived is not None else ""
        raise Conflict(f"there is a project {row.name!r} already{archived}.")


def _key(name: str) -> str:
    return name.casefold()
