"""The operation that finds the event files of runs, for a TensorBoard."""

from __future__ import annotations

import asyncio
from pathlib import Path

from spice_engine.errors import InvalidRequest
from spice_engine.operations import operation
from spice_engine.protocol.event_folders import EventFolder
from spice_engine.protocol.runs import RunId
from spice_engine.runs.event_folder import files_in, places
from spice_engine.runs.service import Runs
from spice_engine.store import runs as table
from spice_engine.store.runs import FINAL_STATES


@operation("runs.event_folder", http="GET /api/v1/runs/{id}/event-folder")
async def event_folder(runs: Runs, request: RunId) -> EventFolder:
    """Tell where a run has its event files: in its TensorBoard folder, or anywhere it wrote."""
    if not 0 < request.id < 2**63:
        raise InvalidRequest(f"{request.id} is no run's number.")
    row = await runs.database.read(lambda connection: table.get(connection, request.id))
    copied = (runs.folder(row.id), runs.location.root) if row.code else None
    cwd = Path(row.cwd)
    if row.tensorboard:
        found = places(row.tensorboard, cwd, copied)
    elif copied is not None:
        found = places(".", copied[1], copied)
    else:
        found = ()

    def look() -> str:
        return next((str(folder) for folder in found if files_in([folder])), "")

    return EventFolder(row.id, await asyncio.to_thread(look), row.state in FINAL_STATES)
