"""Takes an existing folder of TensorBoard's event files in, as a run that is over."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from dataclasses import dataclass
from pathlib import Path

from spice_engine.errors import NotFound
from spice_engine.protocol.runs import RunInfo
from spice_engine.runs.event_folder import EventReader, files_in
from spice_engine.runs.metric_feeds import owner_of
from spice_engine.runs.service import Runs
from spice_engine.store import runs as table
from spice_engine.store import tracking
from spice_engine.store.disk import storage_error
from spice_engine.store.metrics import Row
from spice_engine.store.runs import RunRow

LONGEST_NAME = 200


@dataclass(slots=True)
class _File:
    path: Path
    reader: EventReader
    rows: list[Row]


async def import_events(runs: Runs, folder: Path, name: str) -> RunInfo:
    """Make a run of kind external whose metrics are the numbers in the folder's event files.

    Raises:
        NotFound: there are none.
        StorageError: they cannot be read, or the disk is full; the run says that it failed.
    """
    try:
        files = await asyncio.to_thread(_begun, folder)
    except OSError as error:
        raise storage_error(error, "read event files", folder) from error
    if not files:
        raise NotFound(
            f"{folder} holds no numbers of TensorBoard's.",
            hint="Its event files have `tfevents` in their names.",
        )
    plain = "".join(one for one in name or folder.name if one.isprintable()).strip()
    times = [row[3] for file in files for row in file.rows]
    began, ended = min(times), max(times)

    def make(connection: sqlite3.Connection) -> int:
        row = table.create(
            connection,
            kind=tracking.EXTERNAL,
            name=plain[:LONGEST_NAME],
            command=(),
            created=began,
            state="failed",
            description=f"Imported from {folder}.",
        )
        tracking.set_external(connection, row.id, "failed", "failed", time.time())
        return row.id

    number = await runs.database.write(make)
    for file in files:
        while file.rows:
            await runs.metrics.take(owner_of(number), file.rows)
            ended = max(ended, *(row[3] for row in file.rows))
            file.rows = await asyncio.to_thread(_next, file)

    def finish(connection: sqlite3.Connection) -> RunRow:
        tracking.set_external(connection, number, "complete", "success", ended)
        return table.get(connection, number)

    return runs.known.note(await runs.database.write(finish))


def _begun(folder: Path) -> list[_File]:
    """The files that hold numbers, each with the first of them."""
    found: list[_File] = []
    for name, path in files_in([folder]).items():
        file = _File(path, EventReader(name), [])
        file.rows = _next(file)
        if file.rows:
            found.append(file)
    return found


def _next(file: _File) -> list[Row]:
    """The next points; none at the file's end."""
    while True:
        before = file.reader.offset
        rows = file.reader.read(file.path)
        if rows or file.reader.offset == before:
            return rows
