"""The operations on runs."""

from __future__ import annotations

import asyncio
import sqlite3

from spice_engine.errors import InvalidRequest
from spice_engine.operations import operation
from spice_engine.protocol.runs import (
    ArchiveRun,
    FindRun,
    LabelRun,
    ListRuns,
    LogChunk,
    ReadLog,
    RunId,
    RunInfo,
    RunList,
    StartRun,
    StopRun,
)
from spice_engine.runs.listing import rows_of
from spice_engine.runs.logs import LOG_NAME, read_chunk
from spice_engine.runs.rank_jobs import check_rank, log_of
from spice_engine.runs.service import Runs
from spice_engine.runs.states import asked_with, info_of
from spice_engine.store import runs as table
from spice_engine.store.runs import RunRow

MAX_LABELS = 100
MAX_LABEL_CHARACTERS = 200


def _check_number(number: int) -> None:
    if not 0 < number < 2**63:
        raise InvalidRequest(f"{number} is no run's number.")


def _refuse_workspace(kind: str, name: str) -> None:
    # Its server has a port and a token of its own.
    if kind == "workspace":
        raise InvalidRequest(
            "a workspace is not started as a run.",
            hint=f"spice-tui jupyter start {name or 'NAME'}",
        )


@operation("runs.start", http="POST /api/v1/runs")
async def start(runs: Runs, request: StartRun) -> RunInfo:
    """Start a command; the answer comes when its process runs, waits for a machine, or ended."""
    _refuse_workspace(request.kind, request.name)
    _check_labels(request.labels)
    return await runs.start(request)


@operation("runs.list", http="GET /api/v1/runs")
async def list_runs(runs: Runs, request: ListRuns) -> RunList:
    """List the newest runs, oldest of them first, or those that match, in an order."""
    rows = await rows_of(runs.database, runs.metrics, request, runs.location.root.name)
    return RunList([info_of(row) for row in rows])


@operation("runs.get", http="GET /api/v1/runs/{id}")
async def get(runs: Runs, request: RunId) -> RunInfo:
    """Tell everything about one run."""
    _check_number(request.id)
    return info_of(await runs.database.read(lambda connection: table.get(connection, request.id)))


@operation("runs.find", http="GET /api/v1/run-numbers")
async def find(runs: Runs, request: FindRun) -> RunId:
    """The number of the one run of a name that is not archived."""
    return RunId(await runs.find(request.name))


@operation("runs.asked", http="GET /api/v1/runs/{id}/request")
async def asked(runs: Runs, request: RunId) -> StartRun:
    """What a run was asked for with: the same again, in the folder as it had it."""
    _check_number(request.id)
    row = await runs.database.read(lambda connection: table.get(connection, request.id))
    _refuse_workspace(row.kind, row.name)
    return asked_with(row)


@operation("runs.archive", http="POST /api/v1/runs/{id}/archive")
async def archive(runs: Runs, request: ArchiveRun) -> RunInfo:
    """Put a run that is over away, so that lists leave it out; or take it back."""
    _check_number(request.id)
    return await runs.archive(request.id, archived=request.archived)


@operation("runs.stop", http="POST /api/v1/runs/{id}/stop")
async def stop(runs: Runs, request: StopRun) -> RunInfo:
    """Ask a run to end, and end it after `grace` seconds; its outputs are kept."""
    _check_number(request.id)
    if not 0 <= request.grace <= 3600:
        raise InvalidRequest("grace: must be between 0 and 3600 seconds.")
    return await runs.end(request.id, kill=False, grace=request.grace)


@operation("runs.kill", http="POST /api/v1/runs/{id}/kill")
async def kill(runs: Runs, request: RunId) -> RunInfo:
    """End a run at once, with everything it started."""
    _check_number(request.id)
    return await runs.end(request.id, kill=True)


@operation("runs.label", http="POST /api/v1/runs/{id}/labels")
async def label(runs: Runs, request: LabelRun) -> RunInfo:
    """Add labels to a run and remove others."""
    _check_number(request.id)
    _check_labels(request.add)
    _check_labels(request.remove)

    def change(connection: sqlite3.Connection) -> RunRow:
        table.remove_labels(connection, request.id, request.remove)
        table.add_labels(connection, request.id, request.add)
        return table.get(connection, request.id)

    return runs.known.note(await runs.database.write(change))


@operation("runs.log", http="GET /api/v1/runs/{id}/log")
async def read_log(runs: Runs, request: ReadLog) -> LogChunk:
    """Read a piece of a run's log: from a byte offset, or its last lines."""
    _check_number(request.id)
    row = await runs.database.read(lambda connection: table.get(connection, request.id))
    path = runs.folder(request.id) / LOG_NAME
    if request.rank is not None:
        check_rank(row, request.rank)
        path = log_of(runs.folder(request.id), request.rank)
    return await asyncio.to_thread(read_chunk, path, request.offset, request.limit, request.tail)


def _check_labels(labels: list[str]) -> None:
    if len(labels) > MAX_LABELS:
        raise InvalidRequest(f"more than {MAX_LABELS} labels in one call.")
    for text in labels:
        if not text.strip() or len(text) > MAX_LABEL_CHARACTERS or not text.isprintable():
            raise InvalidRequest(
                f"{text[:40]!r} cannot be a label.",
                hint=f"Printable text of 1 to {MAX_LABEL_CHARACTERS} characters.",
            )
