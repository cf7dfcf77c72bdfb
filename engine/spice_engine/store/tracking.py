"""Runs as tracking clients see them: under an id of text, in an experiment, with tags.

An experiment is a project. A run that such a client made has an id of its own; that of every
other run follows from its number. Every function runs inside `Database.write` or `Database.read`.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from spice_engine.errors import NotFound
from spice_engine.records import record
from spice_engine.store.columns import from_json, placeholders, to_json

EXTERNAL: Final = "external"
"""The kind of a run whose process is not ours."""

_NUMBER = re.compile(r"0{13}\d{19}|\d{1,19}")

_COLUMNS = """
r.id, coalesce(t.uuid, printf('%032d', r.id)), r.kind, r.name, r.description, r.state, r.outcome,
r.created, r.started, r.ended, r.archived, e.id, r.params, r.command,
CASE WHEN r.parent IS NULL THEN NULL ELSE coalesce(p.uuid, printf('%032d', r.parent)) END
"""

_TABLES = """
runs r LEFT JOIN tracked_runs t ON t.run_id = r.id LEFT JOIN tracked_runs p ON p.run_id = r.parent
JOIN experiments e ON e.project = coalesce(r.project, '')
"""


@record
class TrackedRow:
    """A run as stored, in a client's terms. Times are unix seconds. A search goes through all of
    them, and reads the JSON of few."""

    number: int
    uuid: str
    kind: str
    name: str
    description: str
    state: str
    outcome: str | None
    created: float
    started: float | None
    ended: float | None
    archived: float | None
    experiment: int
    params_text: str
    command_text: str
    parent: str | None

    @property
    def params(self) -> Mapping[str, Any]:
        """Name to any JSON."""
        return from_json(self.params_text)

    @property
    def command(self) -> tuple[str, ...]:
        """The words of its command; none of a run whose process is not ours."""
        return tuple(from_json(self.command_text))


def uuid_of(number: int) -> str:
    """The id of a run that no such client made."""
    return f"{number:032d}"


def number_of(connection: sqlite3.Connection, uuid: str) -> int:
    """The number of the run with this id; a number of ours is taken as well.

    Raises:
        NotFound: there is none.
    """
    tracked = find(connection, uuid)
    if tracked is not None:
        return tracked
    number = int(uuid) if _NUMBER.fullmatch(uuid) and uuid.isascii() else 0
    if 0 < number < 2**63:
        found = connection.execute("SELECT id FROM runs WHERE id = ?", (number,)).fetchone()
        if found is not None:
            return number
    raise NotFound(f"Run with id={uuid[:100]} not found", hint="`spice-tui ps` lists the runs.")


def find(connection: sqlite3.Connection, uuid: str) -> int | None:
    """The number of the run that was given this id."""
    row = connection.execute("SELECT run_id FROM tracked_runs WHERE uuid = ?", (uuid,)).fetchone()
    return None if row is None else row[0]


def given(connection: sqlite3.Connection, numbers: Sequence[int]) -> dict[int, str]:
    """The ids that these runs were given, of those that were."""
    found: dict[int, str] = {}
    for start in range(0, len(numbers), 1000):
        some = list(numbers[start : start + 1000])
        found.update(
            connection.execute(
                f"SELECT run_id, uuid FROM tracked_runs WHERE run_id IN ({placeholders(some)})",
                some,
            ).fetchall()
        )
    return found


def note(connection: sqlite3.Connection, number: int, uuid: str) -> None:
    """Gives a run an id of its own."""
    connection.execute("INSERT INTO tracked_runs (run_id, uuid) VALUES (?, ?)", (number, uuid))


def get_all(connection: sqlite3.Connection, numbers: Sequence[int]) -> list[TrackedRow]:
    """These runs, in this order; those that are not there are left out."""
    found: dict[int, TrackedRow] = {}
    for start in range(0, len(numbers), 1000):
        some = list(numbers[start : start + 1000])
        for row in connection.execute(
            f"SELECT {_COLUMNS} FROM {_TABLES} WHERE r.id IN ({placeholders(some)})", some
        ):
            found[row[0]] = TrackedRow(*row)
    return [found[number] for number in numbers if number in found]


def of_experiments(
    connection: sqlite3.Connection, experiments: Sequence[int], archived: bool | None
) -> Iterable[TrackedRow]:
    """All runs of these experiments, the one that began last first; archived ones, others, or
    (None) both."""
    stage = {None: "", True: "AND r.archived IS NOT NULL", False: "AND r.archived IS NULL"}
    cursor = connection.execute(
        f"SELECT {_COLUMNS} FROM {_TABLES} WHERE e.id IN ({placeholders(list(experiments))})"
        f" {stage[archived]} ORDER BY coalesce(r.started, r.created) DESC, 2",
        tuple(experiments),
    )
    return (TrackedRow(*row) for row in cursor)


def tags_of(connection: sqlite3.Connection, numbers: Sequence[int]) -> dict[int, dict[str, str]]:
    """The tags of each of these runs."""
    found: dict[int, dict[str, str]] = {number: {} for number in numbers}
    for start in range(0, len(numbers), 1000):
        some = list(numbers[start : start + 1000])
        for number, key, value in connection.execute(
            f"SELECT run_id, key, value FROM run_tags WHERE run_id IN ({placeholders(some)})", some
        ):
            found[number][key] = value
    return found


def tagged(connection: sqlite3.Connection, key: str) -> dict[int, str]:
    """The value of a tag in every run that has it."""
    return dict(connection.execute("SELECT run_id, value FROM run_tags WHERE key = ?", (key,)))


def set_tags(connection: sqlite3.Connection, number: int, tags: Mapping[str, str]) -> None:
    """Gives a run tags, or those it has another value."""
    connection.executemany(
        "INSERT INTO run_tags (run_id, key, value) VALUES (?, ?, ?)"
        " ON CONFLICT DO UPDATE SET value = excluded.value",
        [(number, key, value) for key, value in tags.items()],
    )


def remove_tag(connection: sqlite3.Connection, number: int, key: str) -> bool:
    """Takes a tag off a run; False if it has none of that key."""
    return bool(
        connection.execute(
            "DELETE FROM run_tags WHERE run_id = ? AND key = ?", (number, key)
        ).rowcount
    )


def set_params(connection: sqlite3.Connection, number: int, params: Mapping[str, Any]) -> None:
    """What a run's parameters are from now on."""
    connection.execute("UPDATE runs SET params = ? WHERE id = ?", (to_json(dict(params)), number))


def describe(
    connection: sqlite3.Connection,
    number: int,
    *,
    name: str | None = None,
    description: str | None = None,
    parent: int | None = None,
    project: str | None = None,
) -> None:
    """Sets what is given of a run; a `project` of '' takes it out of its project."""
    connection.execute(
        "UPDATE runs SET name = coalesce(:name, name),"
        " description = coalesce(:description, description), parent = coalesce(:parent, parent),"
        " project = CASE WHEN :project IS NULL THEN project ELSE nullif(:project, '') END"
        " WHERE id = :run",
        {
            "name": name,
            "description": description,
            "parent": parent,
            "project": project,
            "run": number,
        },
    )


def set_external(
    connection: sqlite3.Connection,
    number: int,
    state: str,
    outcome: str | None,
    ended: float | None,
) -> None:
    """What a client says of its run; unlike other runs it may go on after its end."""
    exit_code = {"success": 0, "failed": 1}.get(outcome or "")
    connection.execute(
        "UPDATE runs SET state = ?, outcome = ?, ended = ?, exit_code = ?, message = '',"
        " started = coalesce(started, created) WHERE id = ?",
        (state, outcome, ended, exit_code, number),
    )


def put_away(connection: sqlite3.Connection, number: int, moment: float | None) -> None:
    """Puts a run away at `moment`, or takes it back (None)."""
    connection.execute("UPDATE runs SET archived = ? WHERE id = ?", (moment, number))


def going_on(connection: sqlite3.Connection, final: Iterable[str]) -> list[int]:
    """The runs of clients that are not over."""
    states = sorted(final)
    rows = connection.execute(
        f"SELECT id FROM runs WHERE kind = ? AND state NOT IN ({placeholders(states)})",
        (EXTERNAL, *states),
    )
    return [row[0] for row in rows]
