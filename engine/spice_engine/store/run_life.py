"""What a run's life needs of the store beside its states: attempts, resuming, putting away.

Every function runs inside `Database.write` or `Database.read`.
"""

from __future__ import annotations

import sqlite3

from spice_engine.store import trial_runs
from spice_engine.store.runs import RunRow, create, get, set_state


def next_attempt(connection: sqlite3.Connection, run: int, message: str) -> RunRow:
    """Counts another attempt of a run, which waits again.

    Raises:
        NotFound: there is no such run.
    """
    connection.execute(
        "UPDATE runs SET attempt = attempt + 1, state = 'queued', message = ?, outcome = NULL,"
        " exit_code = NULL WHERE id = ?",
        (message, run),
    )
    return get(connection, run)


def resume(connection: sqlite3.Connection, run: int, *, code: str, created: float) -> RunRow:
    """Adds a run that goes on where `run` was lost, with the files in `code`.

    Raises:
        NotFound: there is no such run.
    """
    old = get(connection, run)
    new = create(
        connection,
        kind=old.kind,
        name=old.name,
        command=old.command,
        cwd=old.cwd,
        state="requested",
        created=created,
        env=old.env,
        limits=old.limits,
        project=old.project,
        machine_type=old.machine_type,
        labels=old.labels,
        description=old.description,
        code=code,
        dependencies=old.dependencies,
        mounts=old.mounts,
        params=old.params,
        parent=old.parent,
        made_by=old.made_by,
        priority=old.priority,
        retries=old.retries,
        auto_resume=True,
        resumed_from=run,
        stop_conditions=old.stop_conditions,
        tensorboard=old.tensorboard,
        distributed=old.distributed,
        source=old.source,
        link=old.link,
    )
    connection.execute("UPDATE runs SET resumed_as = ? WHERE id = ?", (new.id, run))
    return new


def resumes_before(connection: sqlite3.Connection, run: int) -> int:
    """How many lost runs `run` goes on from."""
    count, number = 0, get(connection, run).resumed_from
    while number is not None:
        count, number = count + 1, get(connection, number).resumed_from
    return count


def end_here(
    connection: sqlite3.Connection, run: RunRow, state: str, message: str, moment: float
) -> RunRow:
    """Ends a run whose process is not ours; of one that is a trial the trial, too."""
    if run.kind == "trial":
        message = message or f"{state.capitalize()}."
        trial_runs.end_trial(connection, run, state, message, moment)
    return set_state(
        connection,
        run.id,
        state,
        outcome=state,
        message=message or "Ended here; its process was not told.",
        ended=moment,
    )


def archive(connection: sqlite3.Connection, run: int, moment: float | None) -> RunRow:
    """Puts a run away at `moment`, or takes it back (None)."""
    connection.execute("UPDATE runs SET archived = ? WHERE id = ?", (moment, run))
    return get(connection, run)
