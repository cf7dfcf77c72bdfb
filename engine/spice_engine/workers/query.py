"""Read-only SQL over the store's tables, run in a child so that no query holds the loop.

The same children look through logs (`workers.log_calls`), which may be large.

`engine.db` is the main schema, `metrics.db` is attached as `metrics`. The connection is opened
read-only and an authorizer refuses everything but reading, so a query can change nothing and
reach no other file.
"""

from __future__ import annotations

import math
import sqlite3
from pathlib import Path
from typing import Any

from spice_engine.errors import InvalidRequest, StorageError
from spice_engine.workers.child import Report, serve
from spice_engine.workers.log_calls import index_log, search_log

MAX_ROWS = 100_000
MAX_CELL = 64 * 1024
"""Characters of a text cell that are sent; the rest is cut."""

MAX_ANSWER = 8 * 2**20
"""Bytes of a whole answer; rows beyond are left out and the answer says so. A frame holds more."""

MAX_VALUE = 64 * 2**20
"""Bytes of any value a query may make on its way, so that none takes the machine's memory."""

_ALLOWED = {
    sqlite3.SQLITE_SELECT,
    sqlite3.SQLITE_READ,
    sqlite3.SQLITE_FUNCTION,
    sqlite3.SQLITE_RECURSIVE,
}


def _authorize(action: int, first: str | None, second: str | None, *_: str | None) -> int:
    if action == sqlite3.SQLITE_READ and (first, second) == ("servers", "token"):
        return sqlite3.SQLITE_IGNORE  # it reads as NULL: what a query answers is shown and sent on
    if action == sqlite3.SQLITE_FUNCTION and (second or "").lower() in {"load_extension", "edit"}:
        return sqlite3.SQLITE_DENY
    if action == sqlite3.SQLITE_PRAGMA and (first or "").lower() == "table_info":
        return sqlite3.SQLITE_OK
    return sqlite3.SQLITE_OK if action in _ALLOWED else sqlite3.SQLITE_DENY


def query(params: dict[str, Any], report: Report) -> dict[str, Any]:
    """`{"columns", "rows", "truncated"}` of one statement.

    Raises:
        InvalidRequest: it is no single readable statement, or wants more than to read.
        StorageError: the database cannot be opened.
    """
    state = Path(params["state"])
    limit = max(1, min(int(params["limit"]), MAX_ROWS))
    try:
        connection = sqlite3.connect(f"{(state / 'engine.db').as_uri()}?mode=ro", uri=True)
        connection.execute("ATTACH ? AS metrics", (f"{(state / 'metrics.db').as_uri()}?mode=ro",))
    except sqlite3.Error as error:
        raise StorageError(f"the store cannot be read: {error}.") from error
    try:
        connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, MAX_VALUE)
        connection.set_authorizer(_authorize)
        connection.set_progress_handler(lambda: int(report.cancelled), 10_000)
        cursor = connection.execute(str(params["sql"]))
        columns = [str(item[0]) for item in cursor.description or ()]
        rows: list[list[Any]] = []
        weight = 0
        for row in cursor:
            cells = [_plain(cell) for cell in row]
            weight += sum(len(cell.encode()) if isinstance(cell, str) else 9 for cell in cells)
            if len(rows) >= limit or weight > MAX_ANSWER:
                return {"columns": columns, "rows": rows, "truncated": True}
            rows.append(cells)
    except sqlite3.Error as error:
        report.check()
        raise InvalidRequest(
            f"the query cannot be run: {str(error).rstrip('.')}.",
            hint="One SELECT over the tables of the store; "
            "SELECT name, sql FROM sqlite_master shows them.",
        ) from error
    finally:
        connection.close()
    return {"columns": columns, "rows": rows, "truncated": False}


def _plain(cell: Any) -> Any:
    if isinstance(cell, bytes):
        return cell[: MAX_CELL // 2].hex()
    if isinstance(cell, str):
        return cell[:MAX_CELL]
    if isinstance(cell, float) and not math.isfinite(cell):
        return str(cell)
    return cell


if __name__ == "__main__":
    serve({"query": query, "index_log": index_log, "search_log": search_log})
