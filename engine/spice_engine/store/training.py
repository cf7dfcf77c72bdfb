"""Training runs, numbered per pod, and their episodes.

Every function runs inside `Database.write` or `Database.read`.
"""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Mapping
from typing import Any, Final

from spice_engine.errors import NotFound
from spice_engine.records import record
from spice_engine.store.columns import from_json, to_json

RUNNING: Final = "running"
INTERRUPTED: Final = "interrupted"
RUNS_KEPT: Final = 50

_RUN_COLUMNS = (
    "pod, number, algorithm, state, episodes_wanted, started, ended, error, message, fingerprint, "
    "evaluation, policy_version"
)
_EPISODE_COLUMNS = (
    "id, pod, number, episode, started, ended, score, actions, error, message, detail"
)


@record
class TrainingRow:
    """A training run as stored. Times are unix seconds; `error` is a stable code."""

    pod: str
    number: int
    algorithm: str
    state: str
    episodes_wanted: int
    started: float
    ended: float | None
    error: str | None
    message: str
    fingerprint: str
    evaluation: Mapping[str, Any] | None
    policy_version: int | None


@record
class EpisodeRow:
    """One episode as stored. `score` is NaN where the episode gave none."""

    id: int
    pod: str
    number: int
    episode: int
    started: float
    ended: float
    score: float
    actions: Mapping[str, int]
    error: str | None
    message: str
    detail: Mapping[str, Any]


def create_run(
    connection: sqlite3.Connection,
    *,
    pod: str,
    algorithm: str,
    episodes_wanted: int,
    started: float,
    fingerprint: str = "",
) -> TrainingRow:
    """Adds a run in state `running` under the pod's next number; none is given out twice."""
    (number,) = connection.execute(
        "INSERT INTO training_numbers (pod, last) VALUES (?, 1)"
        " ON CONFLICT (pod) DO UPDATE SET last = last + 1 RETURNING last",
        (pod,),
    ).fetchone()
    connection.execute(
        "INSERT INTO training_runs"
        " (pod, number, algorithm, state, episodes_wanted, started, fingerprint)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)",
        (pod, number, algorithm, RUNNING, episodes_wanted, started, fingerprint),
    )
    return get_run(connection, pod, number)


def finish(
    connection: sqlite3.Connection,
    pod: str,
    number: int,
    *,
    state: str,
    ended: float,
    error: str | None = None,
    message: str = "",
    evaluation: Mapping[str, Any] | None = None,
    policy_version: int | None = None,
    algorithm: str | None = None,
) -> TrainingRow:
    """Ends a run. `algorithm` replaces the one asked for, where `auto` has chosen.

    Raises:
        NotFound: there is no such run.
    """
    changed = connection.execute(
        "UPDATE training_runs SET state = ?, ended = ?, error = ?, message = ?, evaluation = ?,"
        " policy_version = coalesce(?, policy_version), algorithm = coalesce(?, algorithm)"
        " WHERE pod = ? AND number = ?",
        (
            state,
            ended,
            error,
            message,
            None if evaluation is None else to_json(dict(evaluation)),
            policy_version,
            algorithm,
            pod,
            number,
        ),
    ).rowcount
    if not changed:
        raise _no_such_run(pod, number)
    return get_run(connection, pod, number)


def get_run(connection: sqlite3.Connection, pod: str, number: int) -> TrainingRow:
    """The pod's training run with this number.

    Raises:
        NotFound: there is none, or it was pruned.
    """
    row = connection.execute(
        f"SELECT {_RUN_COLUMNS} FROM training_runs WHERE pod = ? AND number = ?", (pod, number)
    ).fetchone()
    if row is None:
        raise _no_such_run(pod, number)
    return _run(row)


def list_runs(
    connection: sqlite3.Connection, pod: str, count: int = RUNS_KEPT
) -> tuple[TrainingRow, ...]:
    """The pod's newest `count` training runs, newest first."""
    rows = connection.execute(
        f"SELECT {_RUN_COLUMNS} FROM training_runs WHERE pod = ? ORDER BY number DESC LIMIT ?",
        (pod, count),
    )
    return tuple(_run(row) for row in rows)


def add_episode(
    connection: sqlite3.Connection,
    *,
    pod: str,
    number: int,
    episode: int,
    started: float,
    ended: float,
    score: float | None,
    actions: Mapping[str, int] | None = None,
    error: str | None = None,
    message: str = "",
    detail: Mapping[str, Any] | None = None,
) -> int:
    """Adds an episode and gives its id, which counts up over all pods. One sent again replaces
    the first.

    Raises:
        NotFound: the run does not exist, or was pruned.
    """
    try:
        row = connection.execute(
            "INSERT INTO episodes"
            " (pod, number, episode, started, ended, score, actions, error, message, detail)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
            " ON CONFLICT (pod, number, episode) DO UPDATE SET started = excluded.started,"
            " ended = excluded.ended, score = excluded.score, actions = excluded.actions,"
            " error = excluded.error, message = excluded.message, detail = excluded.detail"
            " RETURNING id",
            (
                pod,
                number,
                episode,
                started,
                ended,
                score,
                to_json(dict(actions or {})),
                error,
                message,
                to_json(dict(detail or {})),
            ),
        ).fetchone()
    except sqlite3.IntegrityError as problem:
        if problem.sqlite_errorcode == sqlite3.SQLITE_CONSTRAINT_FOREIGNKEY:
            raise _no_such_run(pod, number) from problem
        raise
    return row[0]


def list_episodes(
    connection: sqlite3.Connection, pod: str, number: int, *, after: int = 0, count: int = 10_000
) -> tuple[EpisodeRow, ...]:
    """The run's episodes with a number over `after`, in order, at most `count`."""
    rows = connection.execute(
        f"SELECT {_EPISODE_COLUMNS} FROM episodes"
        " WHERE pod = ? AND number = ? AND episode > ? ORDER BY episode LIMIT ?",
        (pod, number, after, count),
    )
    return tuple(_episode(row) for row in rows)


def spread_episodes(
    connection: sqlite3.Connection, pod: str, number: int, most: int
) -> tuple[EpisodeRow, ...]:
    """The run's episodes in order; of more than `most` each so-manieth, and the newest."""
    found, newest = connection.execute(
        "SELECT count(*), max(episode) FROM episodes WHERE pod = ? AND number = ?", (pod, number)
    ).fetchone()
    step = -(-found // max(1, most))
    if step <= 1:
        return list_episodes(connection, pod, number)
    rows = connection.execute(
        f"SELECT {_EPISODE_COLUMNS} FROM episodes WHERE pod = ? AND number = ?"
        " AND (episode % ? = 1 OR episode = ?) ORDER BY episode",
        (pod, number, step, newest),
    )
    return tuple(_episode(row) for row in rows)


def last_episode(connection: sqlite3.Connection, pod: str, number: int) -> int:
    """The number of the run's newest episode, 0 where there is none."""
    (found,) = connection.execute(
        "SELECT coalesce(max(episode), 0) FROM episodes WHERE pod = ? AND number = ?",
        (pod, number),
    ).fetchone()
    return int(found)


def mark_interrupted(connection: sqlite3.Connection, ended: float) -> tuple[TrainingRow, ...]:
    """At start: runs that the last engine left `running` were cut off. Gives those."""
    rows = connection.execute(
        "UPDATE training_runs SET state = ?, ended = ?, error = 'interrupted',"
        " message = 'the engine ended while this training was running'"
        f" WHERE state = ? RETURNING {_RUN_COLUMNS}",
        (INTERRUPTED, ended, RUNNING),
    ).fetchall()
    return tuple(_run(row) for row in rows)


def prune(connection: sqlite3.Connection, pod: str, keep: int = RUNS_KEPT) -> tuple[int, ...]:
    """Removes the pod's runs, with their episodes, that are older than the newest `keep`.

    A run that is still running, or whose policy an alias names, stays. Gives the numbers removed.
    """
    rows = connection.execute(
        "DELETE FROM training_runs WHERE pod = :pod AND state <> :running AND number NOT IN"
        " (SELECT number FROM training_runs WHERE pod = :pod ORDER BY number DESC LIMIT :keep)"
        " AND number NOT IN (SELECT training_number FROM policies JOIN aliases USING (pod, version)"
        " WHERE pod = :pod AND training_number IS NOT NULL)"
        " RETURNING number",
        {"pod": pod, "running": RUNNING, "keep": keep},
    ).fetchall()
    return tuple(sorted(number for (number,) in rows))


def prune_all(connection: sqlite3.Connection) -> int:
    """Prunes every pod's runs; gives how many were removed. A pod whose trainings all fail is
    pruned by nobody else."""
    pods = connection.execute("SELECT DISTINCT pod FROM training_runs").fetchall()
    return sum(len(prune(connection, pod)) for (pod,) in pods)


def _no_such_run(pod: str, number: int) -> NotFound:
    return NotFound(
        f"pod {pod} has no training run {number}.",
        hint=f"It may be one of those removed when there were more than {RUNS_KEPT}.",
    )


def _run(row: tuple[Any, ...]) -> TrainingRow:
    return TrainingRow(*row[:10], evaluation=from_json(row[10]), policy_version=row[11])


def _episode(row: tuple[Any, ...]) -> EpisodeRow:
    return EpisodeRow(
        *row[:6],
        score=math.nan if row[6] is None else row[6],
        actions=from_json(row[7]),
        error=row[8],
        message=row[9],
        detail=from_json(row[10]),
    )
