"""Searches over parameters and their trials.

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
from spice_engine.store.columns import from_json, placeholders, to_json
from spice_engine.store.runs import MountRow

OVER: Final = frozenset({"complete", "failed", "stopped", "killed"})
"""A search in one of these is over."""

TRIAL_OVER: Final = OVER | {"pruned"}
"""A trial in one of these is over."""

_SEARCH = (
    "id, method, source, name, description, state, message, created, ended, archived, plan, code, "
    "dependencies, mounts, sampler_state"
)
_TRIAL = "search, number, params, state, value, run, attempt, asked, ended, message, why, last, key"


@record
class SearchRow:
    """A search as stored. `plan` is all that it was asked for with; `code`, `dependencies` and
    `mounts` are what each of its runs gets, frozen when it began."""

    id: int
    method: str
    source: str
    name: str
    description: str
    state: str
    message: str
    created: float
    ended: float | None
    archived: float | None
    plan: Mapping[str, Any]
    code: str
    dependencies: dict[str, Any] | None
    mounts: tuple[MountRow, ...]
    sampler_state: bytes | None


@record
class TrialRow:
    """A trial as stored. `last` is the step and value it was pruned at, or reported last before it
    was told, `key` of whoever asked."""

    search: int
    number: int
    params: Mapping[str, Any]
    state: str
    value: float | None
    run: int | None
    attempt: int
    asked: float
    ended: float | None
    message: str
    why: Mapping[str, Any]
    last: tuple[int, float] | None
    key: str | None


def create(
    connection: sqlite3.Connection,
    *,
    method: str,
    source: str,
    name: str,
    description: str,
    created: float,
    plan: Mapping[str, Any],
    code: str = "",
    dependencies: Mapping[str, Any] | None = None,
    mounts: Sequence[MountRow] = (),
) -> SearchRow:
    """Adds a search that runs. The objects its runs need are kept as long as it is."""
    cursor = connection.execute(
        "INSERT INTO searches (method, source, name, description, state, created, plan, code,"
        " dependencies, mounts) VALUES (?, ?, ?, ?, 'running', ?, ?, ?, ?, ?)",
        (
            method,
            source,
            name,
            description,
            created,
            to_json(dict(plan)),
            code,
            None if dependencies is None else to_json(dict(dependencies)),
            to_json([list(astuple(mount)) for mount in mounts]),
        ),
    )
    search = cursor.lastrowid or 0
    for needed in {code, *(mount.object for mount in mounts)} - {""}:
        references.add(connection, needed, _owner(search))
    return get(connection, search)


def get(connection: sqlite3.Connection, search: int) -> SearchRow:
    """The search with this id.

    Raises:
        NotFound: there is none.
    """
    rows = _searches(connection, "WHERE id = ?", (search,))
    if not rows:
        raise NotFound(
            f"there is no search {search}.", hint="`spice-tui hyper list` lists the searches."
        )
    return rows[0]


def list_all(connection: sqlite3.Connection, *, archived: bool = False) -> tuple[SearchRow, ...]:
    """All searches, oldest first; those that are archived, or those that are not."""
    return _searches(
        connection, f"WHERE archived IS {'NOT ' if archived else ''}NULL ORDER BY id", ()
    )


def active(connection: sqlite3.Connection) -> tuple[SearchRow, ...]:
    """Every search that is not over, oldest first."""
    over = sorted(OVER)
    return _searches(
        connection, f"WHERE state NOT IN ({placeholders(list(over))}) ORDER BY id", tuple(over)
    )


def goes_on(connection: sqlite3.Connection, search: int) -> bool:
    """Whether trials of a search still begin."""
    found = connection.execute("SELECT state FROM searches WHERE id = ?", (search,)).fetchone()
    return found == ("running",)


def set_state(
    connection: sqlite3.Connection,
    search: int,
    state: str,
    *,
    message: str = "",
    ended: float | None = None,
) -> SearchRow:
    """Puts a search in a state; the objects of one that is over are needed no more."""
    connection.execute(
        "UPDATE searches SET state = ?, message = ?, ended = coalesce(?, ended) WHERE id = ?",
        (state, message, ended, search),
    )
    if state in OVER:
        references.drop_owner(connection, _owner(search))
    return get(connection, search)


def archive(connection: sqlite3.Connection, search: int, at: float) -> SearchRow:
    """Takes a search out of the list."""
    connection.execute("UPDATE searches SET archived = ? WHERE id = ?", (at, search))
    return get(connection, search)


def add_trial(
    connection: sqlite3.Connection,
    search: int,
    params: Mapping[str, Any],
    *,
    state: str,
    asked: float,
    why: Mapping[str, Any],
    sampler_state: bytes | None = None,
    key: str | None = None,
    run: int | None = None,
) -> TrialRow:
    """Stores the next point of a search, with what the one after it goes on from."""
    (number,) = connection.execute(
        "SELECT coalesce(max(number), 0) + 1 FROM trials WHERE search = ?", (search,)
    ).fetchone()
    connection.execute(
        "INSERT INTO trials (search, number, params, state, asked, why, key, run)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (search, number, to_json(dict(params)), state, asked, to_json(dict(why)), key, run),
    )
    if sampler_state is not None:
        connection.execute(
            "UPDATE searches SET sampler_state = ? WHERE id = ?", (sampler_state, search)
        )
    return get_trial(connection, search, number)


def get_trial(connection: sqlite3.Connection, search: int, number: int) -> TrialRow:
    """One trial.

    Raises:
        NotFound: there is none of that number.
    """
    found = _trials(connection, "WHERE search = ? AND number = ?", (search, number))
    if not found:
        raise NotFound(f"search {search} has no trial {number}.")
    return found[0]


def trials(
    connection: sqlite3.Connection, search: int, *, first: int = 1, count: int = -1
) -> tuple[TrialRow, ...]:
    """The trials of a search in the order of their numbers."""
    return _trials(
        connection,
        "WHERE search = ? AND number >= ? ORDER BY number LIMIT ?",
        (search, first, count),
    )


def set_trial(
    connection: sqlite3.Connection,
    search: int,
    number: int,
    state: str,
    *,
    value: float | None = None,
    message: str | None = None,
    ended: float | None = None,
    last: tuple[int, float] | None = None,
) -> TrialRow:
    """Puts a trial in a state; what is None stays as it was."""
    connection.execute(
        "UPDATE trials SET state = ?, value = coalesce(?, value), message = coalesce(?, message),"
        " ended = coalesce(?, ended), last = coalesce(?, last) WHERE search = ? AND number = ?",
        (
            state,
            value,
            message,
            ended,
            None if last is None else to_json(list(last)),
            search,
            number,
        ),
    )
    return get_trial(connection, search, number)


def set_run(
    connection: sqlite3.Connection, search: int, number: int, run: int, *, attempt: int = 1
) -> TrialRow:
    """Notes which run a trial is."""
    connection.execute(
        "UPDATE trials SET run = ?, attempt = ?, state = 'running' WHERE search = ? AND number = ?",
        (run, attempt, search, number),
    )
    return get_trial(connection, search, number)


def runs_named(connection: sqlite3.Connection, made_by: str, name: str) -> tuple[int | None, int]:
    """The newest of the runs of this name that a search made, and how many there are."""
    return connection.execute(
        "SELECT max(id), count(*) FROM runs WHERE made_by = ? AND name = ?", (made_by, name)
    ).fetchone()


def counts(connection: sqlite3.Connection, search: int) -> dict[str, int]:
    """How many trials of a search are in each state."""
    return dict(
        connection.execute(
            "SELECT state, count(*) FROM trials WHERE search = ? GROUP BY state", (search,)
        ).fetchall()
    )


def best(connection: sqlite3.Connection, search: int, goal: str) -> TrialRow | None:
    """The complete trial with the best value, the first of several; None if there is none."""
    order = "ASC" if goal == "min" else "DESC"
    found = _trials(
        connection,
        "WHERE search = ? AND state = 'complete' AND value IS NOT NULL"
        f" ORDER BY value {order}, number LIMIT 1",
        (search,),
    )
    return found[0] if found else None


def _owner(search: int) -> str:
    return f"search:{search}"


def _searches(
    connection: sqlite3.Connection, rest: str, values: tuple[object, ...]
) -> tuple[SearchRow, ...]:
    return tuple(
        SearchRow(
            *row[:10],
            plan=from_json(row[10]),
            code=row[11],
            dependencies=from_json(row[12]),
            mounts=tuple(MountRow(*mount) for mount in from_json(row[13])),
            sampler_state=row[14],
        )
        for row in connection.execute(f"SELECT {_SEARCH} FROM searches {rest}", values)
    )


def _trials(
    connection: sqlite3.Connection, rest: str, values: tuple[object, ...]
) -> tuple[TrialRow, ...]:
    return tuple(
        TrialRow(
            row[0],
            row[1],
            from_json(row[2]),
            *row[3:10],
            why=from_json(row[10]),
            last=None if row[11] is None else tuple(from_json(row[11])),
            key=row[12],
        )
        for row in connection.execute(f"SELECT {_TRIAL} FROM trials {rest}", values)
    )
