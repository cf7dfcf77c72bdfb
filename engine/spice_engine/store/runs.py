"""Runs: what was asked for, in which state each is, and its labels.

Every function runs inside `Database.write` or `Database.read`.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import astuple
from typing import Any, Final

from spice_engine.errors import NotFound
from spice_engine.protocol.machine_types import DEFAULT_MACHINE_TYPE
from spice_engine.protocol.run_states import OVER
from spice_engine.records import record
from spice_engine.store import references
from spice_engine.store.columns import from_json, insert, placeholders, to_json

FINAL_STATES: Final = OVER
"""A run in one of these is over and never changes its state again."""

_COLUMNS = (
    "id, kind, name, command, cwd, state, outcome, exit_code, message, created, started, ended, "
    "env, limits, project, machine_type, description, code, dependencies, mounts, environment, "
    "stages, outputs, params, parent, made_by, priority, after, after_ok, retries, attempt, "
    "archived, idempotent, auto_resume, resumed_from, resumed_as, stop_conditions, tensorboard, "
    "distributed, source, link"
)


@record
class MountRow:
    """A resource that a run sees at `path`, as it was when the run was asked for. `source` is where
    that lay, with every reference and link followed."""

    resource: str
    path: str
    object: str
    source: str = ""

    @property
    def run(self) -> int | None:
        """The run that left it, if one did."""
        kind, _, rest = (self.source or self.resource).partition("/")
        number = rest.partition("/")[0]
        return int(number) if kind == "runs" and number.isdecimal() else None


@record
class OutputsRow:
    """What a run left: how many files, and their bytes."""

    files: int
    size: int


@record
class RunRow:
    """A run as stored. Times are unix seconds; labels are sorted.

    `code` is the object of the folder as it was, empty for a run in the folder itself;
    `dependencies` is what its environment holds, None for the engine's own environment; `stages`
    are seconds. `parent` is the run that made it and `made_by` the search or workflow; `after` are
    the runs it waits for; `idempotent` is the hash of all it was asked with, where it matters.
    """

    id: int
    kind: str
    name: str
    command: tuple[str, ...]
    cwd: str
    state: str
    outcome: str | None
    exit_code: int | None
    message: str
    created: float
    started: float | None
    ended: float | None
    env: Mapping[str, str]
    limits: Mapping[str, Any]
    project: str | None
    machine_type: str
    description: str
    code: str
    dependencies: Mapping[str, Any] | None
    mounts: tuple[MountRow, ...]
    environment: str
    stages: Mapping[str, float]
    outputs: OutputsRow | None
    params: Mapping[str, Any]
    parent: int | None
    made_by: str
    priority: int
    after: tuple[int, ...]
    after_ok: bool
    retries: int
    attempt: int
    archived: float | None
    idempotent: str
    auto_resume: bool
    resumed_from: int | None
    resumed_as: int | None
    stop_conditions: tuple[str, ...]
    tensorboard: str
    distributed: int
    source: str
    link: str
    labels: tuple[str, ...]


def create(
    connection: sqlite3.Connection,
    *,
    kind: str,
    command: Sequence[str],
    created: float,
    state: str,
    started: float | None = None,
    name: str = "",
    cwd: str = "",
    env: Mapping[str, str] | None = None,
    limits: Mapping[str, Any] | None = None,
    project: str | None = None,
    machine_type: str = DEFAULT_MACHINE_TYPE,
    labels: Sequence[str] = (),
    description: str = "",
    code: str = "",
    dependencies: Mapping[str, Any] | None = None,
    mounts: Sequence[MountRow] = (),
    params: Mapping[str, Any] | None = None,
    parent: int | None = None,
    made_by: str = "",
    priority: int = 0,
    after: Sequence[int] = (),
    after_ok: bool = False,
    retries: int = 0,
    idempotent: str = "",
    auto_resume: bool = False,
    resumed_from: int | None = None,
    stop_conditions: Sequence[str] = (),
    tensorboard: str = "",
    distributed: int = 0,
    source: str = "",
    link: str = "",
) -> RunRow:
    """Adds a run and gives it its id, which no other run ever had. The objects it needs are kept
    as long as it is."""
    columns: dict[str, object] = {
        "kind": kind,
        "name": name,
        "command": to_json(list(command)),
        "cwd": cwd,
        "state": state,
        "created": created,
        "started": started,
        "env": to_json(dict(env or {})),
        "limits": to_json(dict(limits or {})),
        "project": project,
        "machine_type": machine_type,
        "description": description,
        "code": code,
        "dependencies": None if dependencies is None else to_json(dict(dependencies)),
        "mounts": to_json([list(astuple(mount)) for mount in mounts]),
        "params": to_json(dict(params or {})),
        "parent": parent,
        "made_by": made_by,
        "priority": priority,
        "after": to_json(list(after)),
        "after_ok": after_ok,
        "retries": retries,
        "idempotent": idempotent,
        "auto_resume": auto_resume,
        "resumed_from": resumed_from,
        "stop_conditions": to_json(list(stop_conditions)),
        "tensorboard": tensorboard,
        "distributed": distributed,
        "source": source,
        "link": link,
    }
    run = insert(connection, "runs", columns)
    if labels:
        add_labels(connection, run, labels)
    for needed in {code, *(mount.object for mount in mounts)} - {""}:
        references.add(connection, needed, f"run:{run}")
    return get(connection, run)


def get(connection: sqlite3.Connection, run: int) -> RunRow:
    """The run with this id.

    Raises:
        NotFound: there is none.
    """
    rows = select(connection, "WHERE id = ?", (run,))
    if not rows:
        raise _no_such_run(run)
    return rows[0]


def get_all(connection: sqlite3.Connection, runs: Sequence[int]) -> tuple[RunRow, ...]:
    """The runs with these ids, in the order of their ids.

    Raises:
        NotFound: one is not there.
    """
    wanted = sorted(set(runs))
    where = "WHERE id IN (SELECT value FROM json_each(?)) ORDER BY id"
    rows = select(connection, where, (to_json(wanted),))
    missing = set(wanted) - {row.id for row in rows}
    if missing:
        raise _no_such_run(min(missing))
    return rows


def list_newest(connection: sqlite3.Connection, count: int) -> tuple[RunRow, ...]:
    """The newest `count` runs, newest first; see `run_lists` for those that match."""
    return select(connection, "ORDER BY id DESC LIMIT ?", (count,))


def active(connection: sqlite3.Connection) -> tuple[RunRow, ...]:
    """Every run that is not over, oldest first: what an engine takes up again when it starts. Not
    those whose process was never ours."""
    final = sorted(FINAL_STATES)
    return select(
        connection,
        f"WHERE state NOT IN ({placeholders(list(final))})"
        " AND kind <> 'external' AND command <> '[]' ORDER BY id",
        tuple(final),
    )


def set_state(
    connection: sqlite3.Connection,
    run: int,
    state: str,
    *,
    outcome: str | None = None,
    exit_code: int | None = None,
    message: str | None = None,
    started: float | None = None,
    ended: float | None = None,
) -> RunRow:
    """Puts the run in `state`; what is None stays as it was.

    Raises:
        NotFound: there is no such run.
    """
    changed = connection.execute(
        "UPDATE runs SET state = ?, outcome = coalesce(?, outcome),"
        " exit_code = coalesce(?, exit_code), message = coalesce(?, message),"
        " started = coalesce(?, started), ended = coalesce(?, ended) WHERE id = ?",
        (state, outcome, exit_code, message, started, ended, run),
    ).rowcount
    if not changed:
        raise _no_such_run(run)
    return get(connection, run)


def note_environment(connection: sqlite3.Connection, run: int, key: str) -> None:
    """The environment that the run got."""
    connection.execute("UPDATE runs SET environment = ? WHERE id = ?", (key, run))


def note_stage(connection: sqlite3.Connection, run: int, stage: str, seconds: float) -> None:
    """How long a stage of the run took; of one that comes again the last time counts."""
    connection.execute(
        "UPDATE runs SET stages = json_set(stages, ?, ?) WHERE id = ?",
        (f"$.{stage}", seconds, run),
    )


def note_outputs(connection: sqlite3.Connection, run: int, outputs: OutputsRow) -> None:
    """What the run left."""
    connection.execute(
        "UPDATE runs SET outputs = ? WHERE id = ?",
        (to_json({"files": outputs.files, "size": outputs.size}), run),
    )


def add_labels(connection: sqlite3.Connection, run: int, labels: Sequence[str]) -> None:
    """Adds labels; one the run has already stays.

    Raises:
        NotFound: there is no such run.
    """
    _require(connection, run)
    connection.executemany(
        "INSERT INTO run_labels (run_id, label) VALUES (?, ?) ON CONFLICT DO NOTHING",
        [(run, label) for label in labels],
    )


def remove_labels(connection: sqlite3.Connection, run: int, labels: Sequence[str]) -> int:
    """Removes labels and says how many the run had.

    Raises:
        NotFound: there is no such run.
    """
    _require(connection, run)
    return sum(
        connection.execute(
            "DELETE FROM run_labels WHERE run_id = ? AND label = ?", (run, label)
        ).rowcount
        for label in labels
    )


def _require(connection: sqlite3.Connection, run: int) -> None:
    if connection.execute("SELECT 1 FROM runs WHERE id = ?", (run,)).fetchone() is None:
        raise _no_such_run(run)


def _no_such_run(run: int) -> NotFound:
    return NotFound(f"there is no run {run}.", hint="`spice-tui ps` lists the runs.")


def select(
    connection: sqlite3.Connection, rest: str, values: tuple[object, ...]
) -> tuple[RunRow, ...]:
    """The runs of a query that goes on with `rest`; for the modules beside this one."""
    rows = connection.execute(f"SELECT {_COLUMNS} FROM runs {rest}", values).fetchall()
    labels: dict[int, list[str]] = {row[0]: [] for row in rows}
    # One query a thousand runs, which stays under SQLite's limit of variables.
    ids = list(labels)
    for start in range(0, len(ids), 1000):
        some = ids[start : start + 1000]
        for run, label in connection.execute(
            f"SELECT run_id, label FROM run_labels WHERE run_id IN ({placeholders(list(some))})"
            " ORDER BY run_id, label",
            some,
        ):
            labels[run].append(label)
    return tuple(
        RunRow(
            id=row[0],
            kind=row[1],
            name=row[2],
            command=tuple(from_json(row[3])),
            cwd=row[4],
            state=row[5],
            outcome=row[6],
            exit_code=row[7],
            message=row[8],
            created=row[9],
            started=row[10],
            ended=row[11],
            env=from_json(row[12]),
            limits=from_json(row[13]),
            project=row[14],
            machine_type=row[15],
            description=row[16],
            code=row[17],
            dependencies=None if row[18] is None else from_json(row[18]),
            mounts=tuple(MountRow(*mount) for mount in from_json(row[19])),
            environment=row[20],
            stages=from_json(row[21]),
            outputs=None if row[22] is None else OutputsRow(**from_json(row[22])),
            params=from_json(row[23]),
            parent=row[24],
            made_by=row[25],
            priority=row[26],
            after=tuple(from_json(row[27])),
            after_ok=bool(row[28]),
            retries=row[29],
            attempt=row[30],
            archived=row[31],
            idempotent=row[32],
            auto_resume=bool(row[33]),
            resumed_from=row[34],
            resumed_as=row[35],
            stop_conditions=tuple(from_json(row[36])),
            tensorboard=row[37],
            distributed=row[38],
            source=row[39],
            link=row[40],
            labels=tuple(labels[row[0]]),
        )
        for row in rows
    )
