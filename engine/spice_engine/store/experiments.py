"""Experiments: projects as tracking clients see them, by number, with tags.

Every project has one: the database makes it with the project. Number 0 is that of runs without a
project. Every function runs inside `Database.write` or `Database.read`.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from typing import Any, Final

from spice_engine.errors import NotFound
from spice_engine.records import record
from spice_engine.store.columns import from_json, to_json

DEFAULT: Final = 0
DEFAULT_NAME: Final = "Default"
"""What clients call the experiment of runs without a project."""

_SELECT = """
SELECT e.id, e.project, coalesce(p.created, e.changed), e.changed, p.archived, e.tags
FROM experiments e LEFT JOIN projects p ON p.name = e.project
"""


@record
class Experiment:
    """An experiment as stored; times are unix seconds. A project that is archived is `deleted`."""

    id: int
    project: str
    created: float
    changed: float
    deleted: float | None
    tags: Mapping[str, str]

    @property
    def name(self) -> str:
        """As clients know it."""
        return self.project or DEFAULT_NAME


def get(connection: sqlite3.Connection, experiment: int) -> Experiment:
    """The experiment with this number.

    Raises:
        NotFound: there is none.
    """
    row = connection.execute(f"{_SELECT} WHERE e.id = ?", (experiment,)).fetchone()
    if row is None:
        raise NotFound(f"No Experiment with id={experiment} exists")
    return _experiment(row)


def named(connection: sqlite3.Connection, name: str) -> Experiment | None:
    """The experiment of this name, in whatever case, if there is one."""
    if name == DEFAULT_NAME:
        return get(connection, DEFAULT)
    row = connection.execute(f"{_SELECT} WHERE p.key = ?", (name.casefold(),)).fetchone()
    return None if row is None else _experiment(row)


def list_all(connection: sqlite3.Connection) -> list[Experiment]:
    """All of them, the newest first."""
    return [_experiment(row) for row in connection.execute(f"{_SELECT} ORDER BY 3 DESC, 1 DESC")]


def set_tags(
    connection: sqlite3.Connection, experiment: int, tags: Mapping[str, str], now: float
) -> None:
    """What an experiment's tags are from now on."""
    connection.execute(
        "UPDATE experiments SET tags = ?, changed = ? WHERE id = ?",
        (to_json(dict(tags)), now, experiment),
    )


def _experiment(row: tuple[Any, ...]) -> Experiment:
    return Experiment(*row[:5], tags=from_json(row[5]))
