"""Workflows and the steps of declared ones.

Every function runs inside `Database.write` or `Database.read`.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import astuple
from typing import Any, Final

from spice_engine.errors import NotFound
from spice_engine.records import record
from spice_engine.store import references
from spice_engine.store.columns import from_json, insert, placeholders, to_json
from spice_engine.store.runs import FINAL_STATES
from spice_engine.store.searches import OVER

ACTIVE: Final = ("running", "stopping", "killing")
"""States of a workflow that is not over."""

_COLUMNS = (
    "id, kind, name, state, message, created, ended, run, command, file, definition, params, "
    "code, repos, project, description, fresh, resumed, archived, within"
)
_STEP_COLUMNS = "key, state, run, since, fingerprint, message, files"


@record
class WorkflowRow:
    """A workflow as stored. `code` is the object of the folder as it was, `repos` are labels with
    source and object; `within` is the workflow whose script or step began it."""

    id: int
    kind: str
    name: str
    state: str
    message: str
    created: float
    ended: float | None
    run: int | None
    command: tuple[str, ...]
    file: str
    definition: str
    params: Mapping[str, Any]
    code: str
    repos: Mapping[str, tuple[str, str]]
    project: str
    description: str
    fresh: bool
    resumed: int
    archived: float | None
    within: int | None


@record
class StepRow:
    """One instance of a step. `since` is the newest run there was when its own was about to
    start; `fingerprint` a hash of all that decides what it does; `files` how many its run left."""

    key: str
    state: str
    run: int | None = None
    since: int = 0
    fingerprint: str = ""
    message: str = ""
    files: int | None = None


def create(
    connection: sqlite3.Connection,
    *,
    kind: str,
    created: float,
    name: str = "",
    command: Sequence[str] = (),
    file: str = "",
    definition: str = "",
    params: Mapping[str, Any] | None = None,
    code: str = "",
    repos: Mapping[str, tuple[str, str]] | None = None,
    project: str = "",
    description: str = "",
    fresh: bool = False,
    within: int | None = None,
) -> WorkflowRow:
    """Adds a workflow that runs; the objects it needs are kept as long as it is."""
    columns: dict[str, object] = {
        "kind": kind,
        "name": name,
        "state": "running",
        "created": created,
        "command": to_json(list(command)),
        "file": file,
        "definition": definition,
        "params": to_json(dict(params or {})),
        "code": code,
        "repos": to_json({label: list(found) for label, found in (repos or {}).items()}),
        "project": project,
        "description": description,
        "fresh": fresh,
        "within": within,
    }
    number = insert(connection, "workflows", columns)
    _keep(connection, number, {code, *(found[1] for found in (repos or {}).values())})
    return get(connection, number)


def _keep(connection: sqlite3.Connection, number: int, objects: set[str]) -> None:
    for needed in objects - {""}:
        references.add(connection, needed, f"workflow:{number}")


def get(connection: sqlite3.Connection, number: int) -> WorkflowRow:
    """The workflow of that number.

    Raises:
        NotFound: there is none.
    """
    rows = _select(connection, "WHERE id = ?", (number,))
    if not rows:
        raise NotFound(
            f"there is no workflow {number}.", hint="`spice-tui workflow list` lists them."
        )
    return rows[0]


def list_newest(
    connection: sqlite3.Connection, count: int, *, archived: bool = False
) -> tuple[WorkflowRow, ...]:
    """The newest `count` workflows, newest first."""
    where = "" if archived else "WHERE archived IS NULL"
    return _select(connection, f"{where} ORDER BY id DESC LIMIT ?", (count,))


def active(connection: sqlite3.Connection) -> tuple[WorkflowRow, ...]:
    """Those that are not over, oldest first."""
    return _select(connection, f"WHERE state IN ({placeholders(ACTIVE)}) ORDER BY id", ACTIVE)


def within(connection: sqlite3.Connection, number: int) -> tuple[WorkflowRow, ...]:
    """Those that a script or a step of one began, oldest first."""
    return _select(connection, "WHERE within = ? ORDER BY id", (number,))


def set_state(
    connection: sqlite3.Connection,
    number: int,
    state: str,
    *,
    message: str = "",
    ended: float | None = None,
) -> WorkflowRow:
    """Puts a workflow in `state`."""
    connection.execute(
        "UPDATE workflows SET state = ?, message = ?, ended = ? WHERE id = ?",
        (state, message, ended, number),
    )
    return get(connection, number)


def set_run(connection: sqlite3.Connection, number: int, run: int) -> WorkflowRow:
    """Notes the managing run."""
    connection.execute("UPDATE workflows SET run = ? WHERE id = ?", (run, number))
    return get(connection, number)


def resume(
    connection: sqlite3.Connection, number: int, *, code: str, definition: str
) -> WorkflowRow:
    """Has a workflow that is over go on, with the folder and the file as they are now."""
    connection.execute(
        "UPDATE workflows SET state = 'running', message = '', ended = NULL, code = ?,"
        " definition = ?, resumed = resumed + 1 WHERE id = ?",
        (code, definition, number),
    )
    _keep(connection, number, {code})
    return get(connection, number)


def archive(connection: sqlite3.Connection, number: int, moment: float) -> WorkflowRow:
    """Puts a workflow away."""
    connection.execute("UPDATE workflows SET archived = ? WHERE id = ?", (moment, number))
    return get(connection, number)


# -- steps


def put_steps(connection: sqlite3.Connection, number: int, steps: Sequence[StepRow]) -> None:
    """Replaces all steps of a workflow, in this order."""
    connection.execute("DELETE FROM workflow_steps WHERE workflow = ?", (number,))
    connection.executemany(
        "INSERT INTO workflow_steps"
        " (workflow, position, key, state, run, since, fingerprint, message, files)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [(number, position, *astuple(row)) for position, row in enumerate(steps)],
    )


def steps(connection: sqlite3.Connection, number: int) -> tuple[StepRow, ...]:
    """The steps of a workflow, in order."""
    rows = connection.execute(
        f"SELECT {_STEP_COLUMNS} FROM workflow_steps WHERE workflow = ? ORDER BY position",
        (number,),
    )
    return tuple(StepRow(*row) for row in rows)


def set_step(
    connection: sqlite3.Connection,
    number: int,
    key: str,
    state: str,
    *,
    run: int | None = None,
    message: str = "",
    fingerprint: str | None = None,
) -> StepRow:
    """Puts a step in `state`. One that is about to start remembers the newest run there is."""
    connection.execute(
        "UPDATE workflow_steps SET state = ?, run = ?, message = ?,"
        " fingerprint = coalesce(?, fingerprint),"
        " since = CASE WHEN ? = 'starting' THEN (SELECT coalesce(max(id), 0) FROM runs)"
        " ELSE since END,"
        " files = (SELECT json_extract(outputs, '$.files') FROM runs WHERE id = ?)"
        " WHERE workflow = ? AND key = ?",
        (state, run, message, fingerprint, state, run, number, key),
    )
    row = connection.execute(
        f"SELECT {_STEP_COLUMNS} FROM workflow_steps WHERE workflow = ? AND key = ?", (number, key)
    ).fetchone()
    return StepRow(*row)


def run_of_step(connection: sqlite3.Connection, number: int, step: StepRow) -> int | None:
    """The run that was started for a step, also when the engine died before it noted that."""
    found = connection.execute(
        "SELECT max(id) FROM runs WHERE made_by = ? AND name = ? AND id > ? AND parent IS NULL",
        (f"workflow:{number}", step.key, step.since),
    ).fetchone()
    return found[0]


def same_step(connection: sqlite3.Connection, fingerprint: str) -> int | None:
    """The newest run that a step with this fingerprint had, that succeeded, and of which what it
    left is still there."""
    found = connection.execute(
        "SELECT max(runs.id) FROM workflow_steps JOIN runs ON runs.id = workflow_steps.run"
        " WHERE fingerprint = ? AND runs.state = 'complete' AND outcome = 'success'"
        " AND archived IS NULL AND files IS json_extract(outputs, '$.files')",
        (fingerprint,),
    ).fetchone()
    return found[0]


def emptied(connection: sqlite3.Connection, number: int) -> frozenset[str]:
    """The steps whose runs no longer have what they left, or are put away."""
    rows = connection.execute(
        "SELECT key FROM workflow_steps JOIN runs ON runs.id = workflow_steps.run"
        " WHERE workflow = ?"
        " AND (archived IS NOT NULL OR files IS NOT json_extract(outputs, '$.files'))",
        (number,),
    )
    return frozenset(row[0] for row in rows)


def runs_of(connection: sqlite3.Connection, number: int) -> tuple[int, ...]:
    """The runs a workflow made, oldest first."""
    rows = connection.execute(
        "SELECT id FROM runs WHERE made_by = ? ORDER BY id", (f"workflow:{number}",)
    )
    return tuple(row[0] for row in rows)


_STATE = "CASE WHEN state = 'complete' AND outcome <> 'success' THEN 'failed' ELSE state END"
"""Of a run; one that failed counts as that."""


def run_counts(connection: sqlite3.Connection, workflow: WorkflowRow) -> dict[str, int]:
    """How many of the runs a script made are in each state; those that failed count as that."""
    rows = connection.execute(
        f"SELECT {_STATE} AS word, count(*) FROM runs"
        " WHERE made_by = ? AND id IS NOT ? GROUP BY word",
        (f"workflow:{workflow.id}", workflow.run),
    )
    return dict(rows.fetchall())


def states_of(connection: sqlite3.Connection, runs: Sequence[int]) -> list[str]:
    """The states of these runs; those that failed count as that."""
    rows = connection.execute(
        f"SELECT {_STATE} FROM runs"
        " JOIN json_each(?) AS wanted ON runs.id = wanted.value ORDER BY runs.id",
        (to_json(list(runs)),),
    )
    return [row[0] for row in rows]


def children_of(connection: sqlite3.Connection, runs: Sequence[int]) -> tuple[int, ...]:
    """The runs that any of these made, oldest first."""
    found: list[int] = []
    for run in runs:
        rows = connection.execute("SELECT id FROM runs WHERE parent = ?", (run,))
        found += [row[0] for row in rows]
    return tuple(sorted(found))


def searches_of(connection: sqlite3.Connection, number: int) -> tuple[int, ...]:
    """The searches that a script or a step of a workflow began, and that are not over."""
    over = sorted(OVER)
    rows = connection.execute(
        f"SELECT id FROM searches WHERE state NOT IN ({placeholders(over)})"
        " AND json_extract(plan, '$.within') = ? ORDER BY id",
        (*over, number),
    )
    return tuple(row[0] for row in rows)


def active_runs_of(connection: sqlite3.Connection, number: int) -> tuple[int, ...]:
    """Those of them that are not over."""
    final = sorted(FINAL_STATES)
    rows = connection.execute(
        f"SELECT id FROM runs WHERE made_by = ? AND state NOT IN ({placeholders(final)})"
        " ORDER BY id",
        (f"workflow:{number}", *final),
    )
    return tuple(row[0] for row in rows)


def _select(
    connection: sqlite3.Connection, rest: str, values: tuple[object, ...]
) -> tuple[WorkflowRow, ...]:
    return tuple(
        WorkflowRow(
            *row[:8],
            command=tuple(from_json(row[8])),
            file=row[9],
            definition=row[10],
            params=from_json(row[11]),
            code=row[12],
            repos={label: (found[0], found[1]) for label, found in from_json(row[13]).items()},
            project=row[14],
            description=row[15],
            fresh=bool(row[16]),
            resumed=row[17],
            archived=row[18],
            within=row[19],
        )
        for row in connection.execute(f"SELECT {_COLUMNS} FROM workflows {rest}", values)
    )
