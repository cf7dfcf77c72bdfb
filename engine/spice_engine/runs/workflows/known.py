"""The workflows an engine has in mind: every state is stored first, then told to who follows."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import sqlite3
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any

from spice_engine.errors import Conflict, NotFound, SpiceError
from spice_engine.events import Bus
from spice_engine.protocol.views import Lineage
from spice_engine.protocol.workflows import StepInfo, WorkflowInfo
from spice_engine.runs.workflows import graph, reading
from spice_engine.runs.workflows.plan import Plan
from spice_engine.store import request_keys
from spice_engine.store import workflows as table
from spice_engine.store.database import Database
from spice_engine.store.workflows import StepRow, WorkflowRow

RECENT = 100
"""Workflows that the `workflows` topic shows, newest ones."""


class KnownWorkflows:
    """By number: the newest that are not put away."""

    def __init__(self, database: Database, bus: Bus) -> None:
        self._database = database
        self._recent: OrderedDict[int, WorkflowInfo] = OrderedDict()
        self._changed: dict[int, asyncio.Event] = {}
        self._topic = bus.topic("workflows", "state", self._snapshot)

    def names(self) -> list[str]:
        """Their numbers, newest first."""
        return [str(number) for number in reversed(self._recent)]

    def state_of(self, number: int) -> str:
        """The state of one; empty where it is not in mind."""
        found = self._recent.get(number)
        return found.state if found else ""

    def _snapshot(self) -> dict[str, Any]:
        return {str(number): dataclasses.asdict(info) for number, info in self._recent.items()}

    async def open(self) -> None:
        """Bring to mind what the store has."""
        newest = await self._database.read(lambda connection: table.list_newest(connection, RECENT))
        for row in reversed(newest):
            await self.note(row)

    async def row(self, number: int) -> WorkflowRow:
        """A workflow as stored.

        Raises:
            NotFound: there is none.
        """
        if not 0 < number < 2**63:
            raise NotFound(f"there is no workflow {number}.")
        return await self._database.read(lambda connection: table.get(connection, number))

    async def check_within(self, number: int | None) -> None:
        """Look whether anything may still be begun in a workflow.

        Raises:
            NotFound: there is no such workflow.
            Conflict: it is over, or ends.
        """
        if number is not None and (row := await self.row(number)).state != "running":
            raise Conflict(f"workflow {number} is over or ends ({row.state}).")

    async def begun(self, key: str) -> WorkflowInfo | None:
        """The workflow that a request with this key began, if there was one."""
        row = await self._database.read(lambda connection: begun_by(connection, key))
        return None if row is None else await self.info(row)

    async def write(self, change: Callable[[sqlite3.Connection], WorkflowRow]) -> WorkflowInfo:
        """Store a change, and tell of it."""
        return await self.note(await self._database.write(change))

    async def end(self, number: int, state: str, message: str) -> WorkflowInfo:
        """Store and tell that a workflow is over."""
        now = time.time()
        return await self.write(
            lambda connection: table.set_state(
                connection, number, state, message=message, ended=now
            )
        )

    async def note(self, row: WorkflowRow) -> WorkflowInfo:
        """Remember and publish a workflow's state, which the store has already."""
        counts = await self._database.read(lambda connection: _counts(connection, row))
        info = _bare(row, counts)
        if row.id in self._changed:
            self._changed[row.id].set()
        if row.archived is not None:
            if self._recent.pop(row.id, None) is not None:
                self._topic.remove(str(row.id))
            return info
        self._recent[row.id] = info
        self._topic.set(str(row.id), info)
        while len(self._recent) > RECENT:
            oldest, _ = self._recent.popitem(last=False)
            self._topic.remove(str(oldest))
        return info

    def tell_steps(self, number: int, states: Iterable[str]) -> None:
        """Publish how far the steps of one are."""
        known = self._recent.get(number)
        if known is not None:
            info = self._recent[number] = dataclasses.replace(known, counts=dict(Counter(states)))
            self._topic.set(str(number), info)

    async def info(self, row: WorkflowRow) -> WorkflowInfo:
        """A workflow with its steps, as it crosses the doors."""

        def read(connection: sqlite3.Connection) -> tuple[tuple[StepRow, ...], dict[str, int]]:
            return table.steps(connection, row.id), _counts(connection, row)

        steps, counts = await self._database.read(read)
        plan: Plan | None = None
        if row.kind == "declared":
            with contextlib.suppress(SpiceError):
                plan = await asyncio.to_thread(_plan_of, row)
        found = [_step_info(step, plan) for step in steps]
        return dataclasses.replace(_bare(row, counts), steps=found)

    async def over(self, number: int) -> WorkflowInfo:
        """What a workflow is when it is over.

        Raises:
            NotFound: there is none.
        """
        while (row := await self.row(number)).state in table.ACTIVE:
            changed = self._changed.setdefault(number, asyncio.Event())
            changed.clear()
            # Looked at once more: it may have ended before anybody waited.
            if (await self.row(number)).state in table.ACTIVE:
                await changed.wait()
        self._changed.pop(number, None)
        return await self.info(row)

    async def graph(self, row: WorkflowRow) -> Lineage:
        """A workflow as nodes and what links them."""
        info = await self.info(row)
        if row.kind != "declared":
            made = await self._database.read(lambda connection: graph.made_by(connection, info))
            return graph.of_runs(info, made)
        return graph.of_plan(await asyncio.to_thread(_plan_of, row), info.steps)

    async def listed(self, count: int, *, archived: bool) -> list[WorkflowInfo]:
        """The newest workflows, without their steps, oldest of them first."""

        def read(connection: sqlite3.Connection) -> list[WorkflowInfo]:
            rows = table.list_newest(connection, count, archived=archived)
            return [_bare(row, _counts(connection, row)) for row in reversed(rows)]

        return await self._database.read(read)


def begun_by(connection: sqlite3.Connection, key: str) -> WorkflowRow | None:
    """The workflow that a request with this key began. One whose engine died before its script
    was there is none."""
    number = request_keys.made(connection, key, "workflow")
    if number is None:
        return None
    row = table.get(connection, int(number))
    return None if (row.kind, row.state, row.run) == ("script", "failed", None) else row


def _plan_of(row: WorkflowRow) -> Plan:
    return _parsed(row.definition, row.file, json.dumps(dict(row.params)))


@lru_cache(maxsize=32)
def _parsed(definition: str, file: str, params: str) -> Plan:
    """It is asked for at each step's change."""
    return reading.parse(definition, file, json.loads(params)).plan


def _counts(connection: sqlite3.Connection, row: WorkflowRow) -> dict[str, int]:
    if row.kind != "declared":
        return table.run_counts(connection, row)
    return dict(Counter(step.state for step in table.steps(connection, row.id)))


def _bare(row: WorkflowRow, counts: dict[str, int]) -> WorkflowInfo:
    return WorkflowInfo(
        id=row.id,
        kind=row.kind,
        name=row.name,
        state=row.state,
        message=row.message,
        created=row.created,
        ended=row.ended,
        run=row.run,
        command=list(row.command),
        file=row.file,
        params=dict(row.params),
        description=row.description,
        resumed=row.resumed,
        counts=counts,
        repos={label: found[0] for label, found in row.repos.items()},
        archived=row.archived,
        within=row.within,
    )


def _step_info(step: StepRow, plan: Plan | None) -> StepInfo:
    node = plan.nodes.get(step.key) if plan else None
    return StepInfo(
        key=step.key,
        state=step.state,
        run=step.run,
        message=step.message,
        needs=[*node.needs, *node.watched] if node else [],
        params=dict(node.params) if node else {},
    )
