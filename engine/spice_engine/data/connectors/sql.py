"""The `sql` connector: the rows of a query on an SQLite file of the app folder.

The file is opened for reading only, and the query may do nothing but read its tables: a manifest
from elsewhere reaches no other file by it. The names of the columns are the selectors.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import quote

from spice_engine.data.cells import table_of
from spice_engine.data.connectors.file import opened, resolve
from spice_engine.data.selection import Selection
from spice_engine.data.table import Table, joined
from spice_engine.errors import InvalidData, Place
from spice_engine.records import record

SECONDS = 60.0
"""A query that takes longer is stopped."""
MAX_ROWS = 20_000_000
_ROWS_AT_A_TIME = 50_000
_STEPS_BETWEEN_LOOKS = 10_000
_ALLOWED = frozenset(
    {sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION, sqlite3.SQLITE_RECURSIVE}
)
_FORBIDDEN_FUNCTIONS = frozenset({"load_extension", "readfile", "writefile", "edit"})


@record
class Query:
    """A query on a file, and where the manifest says so."""

    path: str
    query: str
    path_place: Place | None = None
    query_place: Place | None = None


def identity(app_folder: Path, query: Query) -> tuple[Any, ...]:
    """What tells the file from any other state of it; newest rows may be in its `-wal`.

    Raises InvalidData as the `file` connector does.
    """
    with opened(app_folder, query.path, query.path_place) as file:
        found: tuple[Any, ...] = file.identity
    try:
        status = Path(f"{found[0]}-wal").stat()
    except OSError:
        return found
    return (*found, status.st_mtime_ns, status.st_size)


def read(
    app_folder: Path, query: Query, selection: Selection, *, seconds: float = SECONDS
) -> Table:
    """The rows of the query; blocks on the disk, at most `seconds`.

    Raises InvalidData where the file is missing or no SQLite file, the query fails, takes too
    long, does more than read, or gives no column that is needed.
    """
    identity(app_folder, query)  # its checks
    full = resolve(app_folder, query.path, query.path_place)
    deadline = time.monotonic() + seconds
    try:
        with closing(
            sqlite3.connect(f"file:{quote(str(full))}?mode=ro", uri=True, timeout=5)
        ) as connection:
            connection.text_factory = _text
            connection.set_authorizer(_authorize)
            connection.set_progress_handler(
                lambda: time.monotonic() > deadline, _STEPS_BETWEEN_LOOKS
            )
            return joined(list(_tables(connection.execute(query.query), query, selection)))
    except (sqlite3.Error, sqlite3.Warning) as error:
        raise _failed(query, error, late=time.monotonic() > deadline, seconds=seconds) from error


def _tables(cursor: sqlite3.Cursor, query: Query, selection: Selection) -> Iterator[Table]:
    if cursor.description is None:
        raise InvalidData(
            "The query gives no rows.",
            hint="Write a SELECT that gives a time and the measurements.",
            place=query.query_place,
        )
    headers = [str(column[0]) for column in cursor.description]
    selection.require(headers, query.path)
    wanted = {name: headers.index(name) for name in selection.selectors if name in headers}
    count = 0
    while True:
        rows = cursor.fetchmany(_ROWS_AT_A_TIME)
        if not rows and count:
            return
        columns = {name: [row[index] for row in rows] for name, index in wanted.items()}
        yield table_of(columns, selection, range(count + 1, count + 1 + len(rows)))
        count += len(rows)
        if not rows:
            return
        if count > MAX_ROWS:
            raise InvalidData(
                f"The query gives more than {MAX_ROWS} rows.",
                hint="Narrow it down to the pod's period.",
                place=query.query_place,
            )


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "replace")


def _authorize(action: int, _: str | None, function: str | None, *_others: object) -> int:
    if action not in _ALLOWED:
        return sqlite3.SQLITE_DENY
    forbidden = action == sqlite3.SQLITE_FUNCTION and function in _FORBIDDEN_FUNCTIONS
    return sqlite3.SQLITE_DENY if forbidden else sqlite3.SQLITE_OK


def _failed(query: Query, error: Exception, *, late: bool, seconds: float) -> InvalidData:
    if late:
        return InvalidData(
            f"The query on '{query.path}' took longer than {seconds:g} s and was stopped.",
            hint="Narrow it down, or add an index to its table.",
            place=query.query_place,
        )
    hint = "Check the query."
    if "not authorized" in str(error) or "prohibited" in str(error):
        hint = "It may read the tables of its own file, and nothing else."
    elif "not a database" in str(error) or "malformed" in str(error):
        hint = f"Check that '{query.path}' is a whole SQLite file."
    return InvalidData(
        f"The query on '{query.path}' failed: {error}.", hint=hint, place=query.query_place
    )
