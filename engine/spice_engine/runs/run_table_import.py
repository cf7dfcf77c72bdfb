"""Runs of a table become runs here, of kind external; those that are here already stay."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path

from spice_engine.protocol.run_archives import ImportedRunTable
from spice_engine.runs.projects import Projects
from spice_engine.runs.requests import SHELL
from spice_engine.runs.run_rows import ToldRun, origin_of, told
from spice_engine.runs.service import Runs
from spice_engine.runs.tracking_import import UNFINISHED
from spice_engine.runs.tracking_views import owner_of
from spice_engine.store import runs as run_table
from spice_engine.store import tracking
from spice_engine.store.columns import placeholders
from spice_engine.store.metrics import Row
from spice_engine.store.runs import RunRow
from spice_engine.store.tracking import EXTERNAL

AT_ONCE = 200
"""Runs in one transaction, for others write meanwhile."""


async def take(runs: Runs, projects: Projects, lines: Path) -> ImportedRunTable:
    """Take the runs of a file of rows in, see `table_reading`. All are looked at before the first
    is taken; one whose import was cut short is taken in anew.

    Raises:
        InvalidRequest: a row cannot be; nothing was taken.
        StorageError: the disk is full; what came before stays.
    """
    count, over = await asyncio.to_thread(_check, lines)
    spelled: dict[str, str] = {}
    new = 0
    batches = _batches(lines)
    while batch := await asyncio.to_thread(next, batches, None):
        known = await runs.database.read(lambda found, some=batch: _known(found, some))
        for name in {run.project for run in batch if run.origin not in known} - {"", *spelled}:
            spelled[name] = (await projects.ensure(name)).name
        new += await _take(runs, batch, spelled)
    return ImportedRunTable(new, over - new, count - over)


def _check(lines: Path) -> tuple[int, int]:
    """How many rows there are, and how many of runs that were over."""
    count = over = 0
    for run in _rows(lines):
        count += 1
        over += run is not None
    return count, over


def _known(connection: sqlite3.Connection, batch: Sequence[ToldRun]) -> set[str]:
    """The origins of those that are here."""
    own = own_runs(connection, [run.created for run in batch])
    there = {run.origin for run in batch if tracking.find(connection, run.origin) is not None}
    return own.keys() | there


def _rows(lines: Path) -> Iterator[ToldRun | None]:
    with lines.open("rb") as rows:
        for line in rows:
            yield told(*json.loads(line))


def _batches(lines: Path) -> Iterator[list[ToldRun]]:
    batch: list[ToldRun] = []
    for run in _rows(lines):
        if run is not None:
            batch.append(run)
        if len(batch) == AT_ONCE:
            yield batch
            batch = []
    if batch:
        yield batch


async def _take(runs: Runs, batch: Sequence[ToldRun], projects: dict[str, str]) -> int:
    """Take some in; how many were new."""

    def begin(connection: sqlite3.Connection) -> dict[int, ToldRun]:
        own = own_runs(connection, [run.created for run in batch])
        taken: dict[int, ToldRun] = {}
        for run in batch:
            number = own.get(run.origin) or tracking.find(connection, run.origin)
            if number is None:
                number = _add(connection, run, projects)
            elif UNFINISHED not in tracking.tags_of(connection, [number])[number]:
                continue
            taken[number] = run
        return taken

    taken = await runs.database.write(begin)
    for number, run in taken.items():
        if run.metrics:
            moment = run.created if run.ended is None else run.ended
            points: list[Row] = [(name, one, 0, moment) for name, one in run.metrics.items()]
            await runs.metrics.remove(owner_of(number))
            await runs.metrics.take(owner_of(number), points)

    def finish(connection: sqlite3.Connection) -> Sequence[RunRow]:
        for number in taken:
            tracking.remove_tag(connection, number, UNFINISHED)
        return run_table.get_all(connection, list(taken))

    for row in await runs.database.write(finish):
        runs.known.note(row)
    return len(taken)


def own_runs(connection: sqlite3.Connection, moments: Sequence[float]) -> dict[str, int]:
    """Runs that this engine itself wrote into such a table, by their origin."""
    rows = connection.execute(
        f"SELECT id, created FROM runs WHERE created IN ({placeholders(moments)})", list(moments)
    )
    return {origin_of(number, created): number for number, created in rows}


def _add(connection: sqlite3.Connection, run: ToldRun, projects: dict[str, str]) -> int:
    row = run_table.create(
        connection,
        kind=EXTERNAL,
        name=run.name,
        command=(*SHELL, run.command) if run.command else (),
        cwd=run.cwd,
        state=run.state,
        created=run.created,
        project=projects.get(run.project),
        labels=run.labels,
        description=run.description,
        params=run.params,
        source=run.source,
    )
    for stage, seconds in run.stages.items():
        run_table.note_stage(connection, row.id, stage, seconds)
    run_table.set_state(
        connection,
        row.id,
        run.state,
        outcome=run.outcome,
        exit_code=run.exit_code,
        message=run.message,
        started=run.started,
        ended=run.ended,
    )
    tracking.put_away(connection, row.id, run.archived)
    tracking.note(connection, row.id, run.origin)
    tracking.set_tags(connection, row.id, {UNFINISHED: "not finished"})
    return row.id
