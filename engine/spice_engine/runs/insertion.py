"""From an accepted request to the run that is stored."""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path

from spice_engine.protocol.runs import StartRun
from spice_engine.runs.preparation import Taken
from spice_engine.store import projects, request_keys
from spice_engine.store import runs as table
from spice_engine.store.runs import RunRow


def store_run(
    connection: sqlite3.Connection,
    request: StartRun,
    command: tuple[str, ...],
    cwd: Path,
    taken: Taken,
    key: str,
) -> RunRow:
    """Store a run as it was asked for. `key` says what it is the same as.

    Raises:
        NotFound: there is no such project.
    """
    row = table.create(
        connection,
        kind=request.kind,
        name=request.name,
        command=command,
        cwd=str(cwd),
        state="requested",
        created=time.time(),
        env=request.env,
        limits={"cpu": request.cpu, "memory": request.memory, "timeout": request.timeout},
        project=projects.name_for_run(connection, request.project),
        machine_type=request.machine_type,
        labels=request.labels,
        description=request.description,
        code=taken.code,
        dependencies=taken.dependencies,
        mounts=taken.mounts,
        params=request.params,
        parent=request.parent,
        made_by=request.made_by,
        priority=request.priority,
        after=sorted(set(request.after)),
        after_ok=request.after_ok,
        retries=request.retries,
        idempotent=key,
        auto_resume=request.auto_resume,
        stop_conditions=request.stop_conditions,
        tensorboard=request.tensorboard,
        distributed=request.distributed,
        source=taken.source or request.source,
        link=request.link,
    )
    request_keys.note(connection, request.request_key, "run", row.id)
    if taken.code and taken.seconds:
        table.note_stage(connection, row.id, "snapshot", taken.seconds)
    return row
