"""What tracking clients change of runs, inside `Database.write`; where they keep it and we do."""

from __future__ import annotations

import contextlib
import secrets
import sqlite3
from collections.abc import Mapping
from pathlib import Path

from spice_engine.errors import InvalidRequest, NotFound
from spice_engine.runs.tracking_checks import MOST_PARAMS_BYTES, check_run_name
from spice_engine.runs.tracking_views import NAME, NOTE, PARENT, text_of
from spice_engine.store import runs as run_table
from spice_engine.store import tracking as table
from spice_engine.store.columns import to_json
from spice_engine.store.runs import RunRow


def active(connection: sqlite3.Connection, number: int) -> RunRow:
    """A run that takes something in.

    Raises:
        NotFound: there is no such run.
        InvalidRequest: it is put away.
    """
    row = run_table.get(connection, number)
    if row.archived is not None:
        raise InvalidRequest(
            f"The run {number} must be in 'active' lifecycle_stage.", hint="Restore it first."
        )
    return row


def set_params(connection: sqlite3.Connection, row: RunRow, params: Mapping[str, str]) -> None:
    """Gives a run more parameters.

    Raises:
        InvalidRequest: one has another value already, or they are too many.
    """
    if not params:
        return
    before = {name: text_of(value) for name, value in row.params.items()}
    for name, value in params.items():
        if before.get(name, value) != value:
            raise InvalidRequest(
                f"Changing param values is not allowed. Param with key={name[:100]!r} was already "
                f"logged with value={before[name][:200]!r} for run {row.id}. "
                f"Attempted logging new value {value[:200]!r}."
            )
    after = {**params, **row.params}
    if len(to_json(after)) > MOST_PARAMS_BYTES:
        raise InvalidRequest(
            f"the params of run {row.id} are over {MOST_PARAMS_BYTES} bytes together.",
            hint="Log them as an artifact.",
        )
    table.set_params(connection, row.id, after)


def set_tags(connection: sqlite3.Connection, number: int, tags: Mapping[str, str]) -> None:
    """Gives a run tags. Those that say what we keep elsewhere go there.

    Raises:
        InvalidRequest: one is a name that a run cannot have.
    """
    check_run_name(tags.get(NAME, ""))
    parent = None
    if PARENT in tags:
        with contextlib.suppress(NotFound):
            parent = table.number_of(connection, tags[PARENT])
    table.describe(
        connection, number, name=tags.get(NAME), description=tags.get(NOTE), parent=parent
    )
    others = {key: value for key, value in tags.items() if key not in {NAME, NOTE}}
    table.set_tags(connection, number, others)


def set_aside(folder: Path) -> None:
    """Make room for a new run: what is there is of a database that is gone. Blocks."""
    with contextlib.suppress(FileNotFoundError):
        folder.rename(folder.with_name(f"{folder.name}.{secrets.token_hex(4)}.old"))
