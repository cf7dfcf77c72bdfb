"""Searches and workflows that another engine carried out, as they are taken in, with what their
runs are to them.

Every function runs inside `Database.write` or `Database.read`.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from spice_engine.store import references, workflows
from spice_engine.store.columns import insert, to_json
from spice_engine.store.searches import SearchRow, TrialRow
from spice_engine.store.workflows import StepRow, WorkflowRow


def find_search(connection: sqlite3.Connection, search: SearchRow) -> int | None:
    """The number of this search here; it is known by what it is and when it was asked for."""
    found = connection.execute(
        "SELECT id FROM searches WHERE created = ? AND method = ? AND source = ?",
        (search.created, search.method, search.source),
    ).fetchone()
    return None if found is None else found[0]


def add_search(
    connection: sqlite3.Connection, search: SearchRow, trials: Sequence[TrialRow]
) -> int:
    """Adds a search that is over; gives its number here."""
    columns: dict[str, object] = {
        "method": search.method,
        "source": search.source,
        "name": search.name,
        "description": search.description,
        "state": search.state,
        "message": search.message,
        "created": search.created,
        "ended": search.ended,
        "archived": search.archived,
        "plan": to_json(dict(search.plan)),
        "dependencies": None if search.dependencies is None else to_json(search.dependencies),
    }
    number = insert(connection, "searches", columns)
    connection.executemany(
        "INSERT INTO trials (search, number, params, state, value, run, attempt, asked, ended,"
        " message, why, last) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [
            (
                number,
                trial.number,
                to_json(dict(trial.params)),
                trial.state,
                trial.value,
                trial.run,
                trial.attempt,
                trial.asked,
                trial.ended,
                trial.message,
                to_json(dict(trial.why)),
                None if trial.last is None else to_json(list(trial.last)),
            )
            for trial in trials
        ],
    )
    return number


def find_workflow(connection: sqlite3.Connection, workflow: WorkflowRow) -> int | None:
    """The number of this workflow here; it is known by what it is and when it was asked for."""
    found = connection.execute(
        "SELECT id FROM workflows WHERE created = ? AND kind = ? AND name = ?",
        (workflow.created, workflow.kind, workflow.name),
    ).fetchone()
    return None if found is None else found[0]


def add_workflow(
    connection: sqlite3.Connection, workflow: WorkflowRow, steps: Sequence[StepRow]
) -> int:
    """Adds a workflow that is over; gives its number here. The objects it has are kept."""
    columns: dict[str, object] = {
        "kind": workflow.kind,
        "name": workflow.name,
        "state": workflow.state,
        "message": workflow.message,
        "created": workflow.created,
        "ended": workflow.ended,
        "run": workflow.run,
        "command": to_json(list(workflow.command)),
        "file": workflow.file,
        "definition": workflow.definition,
        "params": to_json(dict(workflow.params)),
        "code": workflow.code,
        "project": workflow.project,
        "description": workflow.description,
        "fresh": workflow.fresh,
        "resumed": workflow.resumed,
        "archived": workflow.archived,
        "within": workflow.within,
    }
    number = insert(connection, "workflows", columns)
    if workflow.code:
        references.add(connection, workflow.code, f"workflow:{number}")
    workflows.put_steps(connection, number, steps)
    return number


def place_run(
    connection: sqlite3.Connection,
    number: int,
    *,
    kind: str,
    made_by: str,
    parent: int | None,
    after: Sequence[int],
    resumed_from: int | None,
    resumed_as: int | None,
) -> None:
    """Says what a run that was taken in is to others that were."""
    connection.execute(
        "UPDATE runs SET kind = ?, made_by = ?, parent = ?, after = ?, resumed_from = ?,"
        " resumed_as = ? WHERE id = ?",
        (kind, made_by, parent, to_json(list(after)), resumed_from, resumed_as, number),
    )


def forget_run(connection: sqlite3.Connection, number: int) -> int:
    """Removes a run that could not be taken in whole."""
    references.drop_owner(connection, f"run:{number}")
    return connection.execute("DELETE FROM runs WHERE id = ?", (number,)).rowcount
