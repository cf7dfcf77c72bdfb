"""Runs of trials that no process of ours does: code does them, or the engine itself.

Such a run has no command. It begins, ends and is ended with its trial, in one transaction.
Every function runs inside `Database.write`.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from typing import Any, Final

from spice_engine.store import runs
from spice_engine.store.columns import placeholders
from spice_engine.store.runs import RunRow
from spice_engine.store.searches import TRIAL_OVER, TrialRow

_ENDS: Final[Mapping[str, tuple[str, str]]] = {
    "complete": ("complete", "success"),
    "failed": ("failed", "failed"),
    "pruned": ("stopped", "stopped"),
    "stopped": ("stopped", "stopped"),
    "killed": ("killed", "killed"),
}
"""State and outcome of the run of a trial that ended so."""


def begin(
    connection: sqlite3.Connection,
    *,
    params: Mapping[str, Any],
    name: str,
    made_by: str,
    moment: float,
    description: str = "",
    parent: int | None = None,
) -> RunRow:
    """Makes the run of a trial; one that the code of a run asks for is in the project of that.

    Raises:
        NotFound: there is no run `parent`.
    """
    project = None if parent is None else runs.get(connection, parent).project
    return runs.create(
        connection,
        kind="trial",
        name=name,
        command=(),
        machine_type="",
        created=moment,
        started=moment,
        state="running",
        project=project,
        description=description,
        params=params,
        parent=parent,
        made_by=made_by,
    )


def end(connection: sqlite3.Connection, trial: TrialRow) -> RunRow | None:
    """Ends the run of a trial that is over, as the trial ended; None if it has none."""
    if trial.run is None:
        return None
    state, outcome = _ENDS[trial.state]
    return runs.set_state(
        connection,
        trial.run,
        state,
        outcome=outcome,
        message=trial.message or ("Pruned." if trial.state == "pruned" else ""),
        ended=trial.ended,
    )


def lose(connection: sqlite3.Connection, trial: TrialRow, message: str, moment: float) -> RunRow:
    """Ends the run of a trial that is begun anew, with another run."""
    assert trial.run is not None
    return runs.set_state(
        connection, trial.run, "interrupted", outcome="failed", message=message, ended=moment
    )


def end_trial(
    connection: sqlite3.Connection, run: RunRow, state: str, message: str, moment: float
) -> None:
    """Ends the trial whose run is ended by a person."""
    over = sorted(TRIAL_OVER)
    connection.execute(
        "UPDATE trials SET state = ?, message = ?, ended = ? WHERE run = ?"
        f" AND state NOT IN ({placeholders(over)})",
        (state, message, moment, run.id, *over),
    )
