"""Workflows that a script drives: a run of kind `workflow`, or a process of the user's."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import os
import sqlite3
import time
from pathlib import Path, PurePosixPath

from spice_engine.errors import Conflict, InvalidRequest, NotFound, SpiceError
from spice_engine.protocol.runs import RunInfo, StartRun
from spice_engine.protocol.workflows import (
    CreateWorkflow,
    FinishWorkflow,
    StartWorkflowRun,
    WorkflowInfo,
)
from spice_engine.runs.preparation import Taken
from spice_engine.runs.requests import command_of
from spice_engine.runs.service import Runs
from spice_engine.runs.states import STOPPED_AS, info_of
from spice_engine.runs.workflows.known import KnownWorkflows, begun_by
from spice_engine.runs.workflows.repos import Repos
from spice_engine.store import projects, request_keys
from spice_engine.store import runs as run_table
from spice_engine.store import workflows as table
from spice_engine.store.objects import ObjectStore
from spice_engine.store.runs import FINAL_STATES
from spice_engine.store.workflows import WorkflowRow


class ScriptWorkflows:
    """Those of one app folder. Belongs to the engine's loop."""

    def __init__(self, runs: Runs, objects: ObjectStore, known: KnownWorkflows) -> None:
        self._runs = runs
        self._objects = objects
        self._known = known
        self._repos = Repos(runs.location.root, objects, runs.preparation.sources)
        self._managing: set[int] = set()

    async def take_up(self, row: WorkflowRow) -> None:
        """Find what became of the script of a workflow that an earlier engine left."""

        def find(connection: sqlite3.Connection) -> RunInfo | None:
            number = row.run
            if number is None:
                made = table.runs_of(connection, row.id)
                number = made[0] if made else None
            return None if number is None else info_of(run_table.get(connection, number))

        info = await self._runs.database.read(find)
        if info is None:
            await self._known.end(row.id, "failed", "The engine ended before its script began.")
            return
        if row.run is None:
            await self._known.write(lambda connection: table.set_run(connection, row.id, info.id))
        self._managing.add(info.id)
        await self.heard(row.id, info)

    async def create(self, request: CreateWorkflow) -> WorkflowInfo:
        """Begin a script's workflow, but for one that a request with its key began already.

        Raises:
            SpiceError: as `Runs.start`, or a repository cannot be had.
        """
        if (before := await self._known.begun(request.request_key)) is not None:
            return before
        await self._known.check_within(request.within)
        run = StartRun(
            command=request.command,
            kind="workflow",
            name=request.name,
            cwd=request.cwd,
            env=request.env,
            labels=request.labels,
            project=request.project,
            description=request.description,
            machine_type=request.machine_type,
            dependencies=request.dependencies,
            mounts=request.mounts,
            git=request.git,
            git_ref=request.git_ref,
        )
        command_of(run)
        self._runs.machines.check(request.machine_type, None, None)
        if project := request.project:
            await self._runs.database.read(lambda connection: projects.get(connection, project))
        taken = await self._taken(run)
        repos = await self._repos.take(request.repos)
        words = [request.command] if isinstance(request.command, str) else request.command

        def insert(connection: sqlite3.Connection) -> WorkflowRow | None:
            if begun_by(connection, request.request_key) is not None:
                return None
            row = table.create(
                connection,
                kind="local" if request.local else "script",
                created=time.time(),
                name=request.name,
                command=words,
                code=taken.code,
                repos=repos,
                project=request.project,
                description=request.description,
                within=request.within,
            )
            request_keys.note(connection, request.request_key, "workflow", row.id)
            return row

        row = await self._runs.database.write(insert)
        if row is None:  # asked for twice at once
            return await self.create(request)
        if request.local:
            return await self._known.note(row)
        try:
            info = await self._runs.start(
                dataclasses.replace(run, made_by=f"workflow:{row.id}"), taken
            )
        except SpiceError as error:
            await self._known.end(row.id, "failed", str(error))
            raise
        self._managing.add(info.id)
        await self._known.write(lambda connection: table.set_run(connection, row.id, info.id))
        # Its end may have been told before it was known to manage anything.
        now = await self._runs.database.read(lambda connection: run_table.get(connection, info.id))
        await self.heard(row.id, info_of(now))
        return await self._known.info(await self._known.row(row.id))

    async def _taken(self, run: StartRun) -> Taken:
        """What a script is to run on; what it starts is on the same files."""
        preparation = self._runs.preparation
        if run.git:
            _, taken = await preparation.take_commit(run)
            return taken
        root = self._runs.location.root
        cwd = Path(os.path.normpath(root / run.cwd))
        if not cwd.is_relative_to(root) or not await asyncio.to_thread(os.path.isdir, cwd):
            raise InvalidRequest(
                f"{run.cwd[:200]!r} is no directory of the app folder.", hint="Set another cwd."
            )
        await preparation.snapshots.check(cwd)
        return await preparation.take(run, cwd, await preparation.snapshot())

    async def start_run(self, request: StartWorkflowRun) -> RunInfo:
        """Start a run of a workflow that its script, or a step, asks for, on the workflow's code.

        Raises:
            Conflict: the workflow is over.
            NotFound: it has no such label.
            SpiceError: as `Runs.start`.
        """
        row = await self._known.row(request.id)
        if row.state != "running":
            raise Conflict(f"workflow {row.id} is over or ends ({row.state}).")
        parent = row.run if request.run.parent is None else request.run.parent
        run = dataclasses.replace(
            request.run,
            parent=parent,
            made_by=f"workflow:{row.id}",
            request_key=request.request_key or request.run.request_key,
        )
        if run.in_place or run.git or run.code_of is not None:
            return await self._runs.start(run)
        code = row.code
        if request.label:
            if request.label not in row.repos:
                known = ", ".join(row.repos) or "none"
                raise NotFound(
                    f"workflow {row.id} has no code labelled {request.label[:100]!r}.",
                    hint=f"It has: {known}. `--repo LABEL=PATH` gives it some.",
                )
            code = row.repos[request.label][1]
        root = self._runs.location.root
        cwd = (root / run.cwd).absolute()
        inner = PurePosixPath(cwd.relative_to(root)) if cwd.is_relative_to(root) else None
        if inner is None or not await asyncio.to_thread(self._objects.has_folder, code, inner):
            raise InvalidRequest(f"cwd: {run.cwd[:200]!r} is no folder of the workflow's code.")
        taken = await self._runs.preparation.take(run, cwd, code)
        return await self._runs.start(run, taken)

    async def finish(self, request: FinishWorkflow) -> WorkflowInfo:
        """Note that the script of a local workflow has ended.

        Raises:
            Conflict: it is not a local one, or over.
        """
        row = await self._known.row(request.id)
        if row.kind != "local" or row.state not in table.ACTIVE:
            raise Conflict(f"workflow {row.id} is over, or the engine runs its script.")
        if row.state in STOPPED_AS:
            return await self._known.end(row.id, STOPPED_AS[row.state], "")
        if request.exit_code == 0:
            return await self._known.end(row.id, "complete", "")
        return await self._known.end(
            row.id, "failed", f"Its script ended with exit code {request.exit_code}."
        )

    async def heard(self, number: int, info: RunInfo) -> None:
        """A run of such a workflow has a new state."""
        if info.id not in self._managing:
            state = self._known.state_of(number)
            if state in STOPPED_AS and info.state not in FINAL_STATES:
                # One that a script asked for while it was told to stop.
                await self.end_runs([info.id], kill=state == "killing")
            await self._known.note(await self._known.row(number))
        elif (run := info.resumed_as) is not None:
            self._managing.discard(info.id)
            self._managing.add(run)
            await self._known.write(lambda connection: table.set_run(connection, number, run))
        elif info.state in FINAL_STATES:
            self._managing.discard(info.id)
            await self._script_over(number, info)

    async def _script_over(self, number: int, info: RunInfo) -> None:
        if (info.state, info.outcome) == ("complete", "success"):
            await self._known.end(number, "complete", "")
        elif info.state in {"stopped", "killed"}:
            await self._known.end(number, info.state, info.message)
        else:
            ended = info.state == "complete" and info.exit_code is not None
            message = f"Its script ended with exit code {info.exit_code}." if ended else ""
            await self._known.end(number, "failed", message or info.message)

    async def end(self, row: WorkflowRow, *, kill: bool) -> None:
        """End a workflow's script and every run it made."""
        made = await self._runs.database.read(
            lambda connection: table.active_runs_of(connection, row.id)
        )
        # The script first, so that it makes no more.
        await self.end_runs(sorted(made, key=lambda run: run != row.run), kill=kill)
        if row.kind == "local":
            await self._known.end(row.id, "killed" if kill else "stopped", "")

    async def end_runs(self, numbers: list[int], *, kill: bool) -> None:
        """End these runs, if they are not over."""
        for number in numbers:
            with contextlib.suppress(Conflict, NotFound):
                await self._runs.end(number, kill=kill)
