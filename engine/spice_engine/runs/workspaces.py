"""Workspaces: notebook servers as runs that stay, found by name, stopped when nobody uses them.

A workspace is its newest run, of kind `workspace`, which is not archived; there is nothing else
stored of it. It works in the app folder itself: what is written in a notebook is the user's own.
The server's token and settings are in `.spice/workspaces/NAME`.
"""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from spice_engine.errors import Conflict, InvalidRequest, NotFound, SpiceError
from spice_engine.events import Bus
from spice_engine.protocol.runs import RunInfo, StartRun
from spice_engine.protocol.workspaces import (
    StartWorkspace,
    WorkspaceAddress,
    WorkspaceInfo,
    WorkspaceList,
)
from spice_engine.runs import made_places
from spice_engine.runs import notebook_server as server
from spice_engine.runs.logs import LOG_NAME, read_chunk
from spice_engine.runs.notebook_server import Activity, NoAnswer
from spice_engine.runs.preparation import Taken
from spice_engine.runs.service import Runs
from spice_engine.runs.states import STOPPED_AS
from spice_engine.runs.states import info_of as run_info_of
from spice_engine.runs.workspace_folders import WorkspaceFolders
from spice_engine.runs.workspace_look import end_if_idle, look, pause
from spice_engine.runs.workspace_states import (
    KIND,
    differing,
    has_died,
    info_of,
    is_over,
    last_words,
    needed_by,
    port_of,
    python_of,
    settings_of,
    uses_this_python,
)
from spice_engine.store import run_lists
from spice_engine.store import runs as table
from spice_engine.store.runs import RunRow
from spice_engine.workers.pool_names import check_pool_name

log = logging.getLogger(__name__)

RESERVED = frozenset({"list", "start", "stop", "rm", "open"})
"""Names that the command line takes for what is to be done."""

LONGEST_SECONDS = 30 * 86400.0
_WORDS = 20
"""Lines of the log of a server that died, in which the reason is looked for."""


class Workspaces:
    """All workspaces of one app folder. Belongs to the engine's loop."""

    def __init__(self, runs: Runs, bus: Bus) -> None:
        self._runs = runs
        self._folders = WorkspaceFolders(runs.location.state)
        self._known: dict[str, RunInfo] = {}
        self._seen: dict[str, Activity | NoAnswer] = {}
        self._words: dict[str, str] = {}
        self._changing = asyncio.Lock()
        self._woken: dict[str, asyncio.Event] = {}
        self._watchers: set[asyncio.Task[None]] = set()
        self._topic = bus.topic("workspaces", "state", self._snapshot)
        self._leave = runs.listen(self._heard)

    async def open(self) -> None:
        """Know those that an earlier engine left, and look after the ones that run."""
        chosen = run_lists.Filter(kinds=[KIND])
        rows = await self._runs.database.read(
            lambda connection: run_lists.newest(connection, chosen, 10_000)
        )
        for row in reversed(rows):
            self._heard(run_info_of(row))
        for name, run in self._known.items():
            folder = self._runs.folder(run.id)
            if has_died(run) or (
                is_over(run) and await asyncio.to_thread(made_places.some, folder)
            ):
                self._watch(name, run.id)

    async def close(self) -> None:
        """Look after them no longer; their runs are the runs' own matter."""
        self._leave()
        for task in self._watchers:
            task.cancel()
        await asyncio.gather(*self._watchers, return_exceptions=True)

    # -- what is known

    def names(self) -> list[str]:
        """All names."""
        return sorted(self._known)

    def list(self) -> WorkspaceList:
        """All of them, by name."""
        return WorkspaceList([self.info(name) for name in self.names()])

    def info(self, name: str) -> WorkspaceInfo:
        """One workspace.

        Raises:
            NotFound: there is none of that name.
        """
        return info_of(self._find(name), self._seen.get(name), self._words.get(name))

    async def address(self, name: str) -> WorkspaceAddress:
        """Where it is open, with its token.

        Raises:
            NotFound: there is none of that name.
            Conflict: it does not run.
        """
        info = self.info(name)
        if is_over(self._find(name)):
            raise Conflict(
                f"workspace {name} does not run ({info.state}).",
                hint=f"spice-tui jupyter start {name}",
            )
        token = await asyncio.to_thread(self._folders.token, name)
        return WorkspaceAddress(info.address, info.port, token)

    # -- what can be done

    async def start(self, request: StartWorkspace) -> WorkspaceInfo:
        """Make a workspace or start it; the answer comes when its run is accepted.

        Raises:
            InvalidRequest, NotFound, StorageError: as `Runs.start`; the name or a time is none.
            Conflict: it runs already and is asked for otherwise, or its port is in use.
            NotInstalled: there is no notebook server.
        """
        check_pool_name(request.name)
        if request.name in RESERVED:
            raise InvalidRequest(f"{request.name!r} cannot name a workspace: it is a command.")
        run = self._known.get(request.name)
        if run is not None and run.state in STOPPED_AS:
            await self._runs.wait_over(run.id)  # it comes back when it has gone
        async with self._changing:
            return await self._start(request)

    async def _start(self, request: StartWorkspace) -> WorkspaceInfo:
        name, last = request.name, self._known.get(request.name)
        asked = {
            field.name: value
            for field in dataclasses.fields(request)
            if field.name != "name" and (value := getattr(request, field.name)) is not None
        }
        had = settings_of(None if last is None else await self._row(last.id))
        wanted = had | asked
        if last is not None and not is_over(last):
            if changed := differing(had, wanted, self._runs.location.root):
                raise Conflict(
                    f"workspace {name} runs already, with run {last.id}, and otherwise: "
                    f"{', '.join(changed)}.",
                    hint=f"Stop it to change it: spice-tui jupyter stop {name}",
                )
            return self.info(name)
        for time_name in ("idle_kernel_timeout", "no_activity_timeout"):
            if not 0 <= wanted[time_name] <= LONGEST_SECONDS:
                raise InvalidRequest(f"{time_name}: between 0 (never) and 30 days.")
        if wanted["interface"] not in server.MODULES:
            raise InvalidRequest("interface: lab or notebook.")
        await self._run(name, wanted, request.port)
        if last is not None:
            with suppress(SpiceError):
                await self._runs.archive(last.id, archived=True)
        return self.info(name)

    async def _run(self, name: str, wanted: Mapping[str, Any], port: int | None) -> None:
        interface, needed = wanted["interface"], needed_by(wanted)
        taken = [port_of(run) for run in self._known.values() if not is_over(run)]
        root = self._runs.location.root
        port = await asyncio.to_thread(server.free_port, port, wanted["port"], taken, root)
        if needed is None or uses_this_python(needed):
            python = await asyncio.to_thread(server.python_with, interface)
        else:
            python = python_of(needed)
        await asyncio.to_thread(self._folders.make, name)
        request = StartRun(
            server.command(python, interface, port),
            name=name,
            kind=KIND,
            cwd=wanted["cwd"],
            env={**wanted["env"], **self._folders.variables(name)},
            machine_type=wanted["machine_type"],
            cpu=wanted["cpu"],
            memory=wanted["memory"],
            mounts=wanted["mounts"],
            dependencies=needed,
            description=wanted["description"],
            in_place=True,
            params={
                "interface": interface,
                "port": port,
                "idle_kernel_timeout": wanted["idle_kernel_timeout"],
                "no_activity_timeout": wanted["no_activity_timeout"],
            },
            link=f"http://{server.HOST}:{port}{server.PAGES[interface]}",
        )
        self._words.pop(name, None)
        self._seen.pop(name, None)
        try:
            await self._runs.start(request, await self._taken(request))
        except SpiceError:
            if name not in self._known:
                await asyncio.to_thread(self._folders.remove, name)
            raise

    async def _taken(self, request: StartRun) -> Taken:
        """What a workspace is asked for with: as a run in the folder itself, and its mounts."""
        root = self._runs.location.root
        cwd = Path(os.path.normpath(root / request.cwd))
        if not cwd.is_relative_to(root) or not await asyncio.to_thread(os.path.isdir, cwd):
            raise InvalidRequest(
                f"{str(cwd)[:200]} is no folder in {root}.", hint="Set another cwd."
            )
        preparation = self._runs.preparation
        taken = await preparation.take(dataclasses.replace(request, mounts=[]), cwd)
        return dataclasses.replace(taken, mounts=await preparation.mounts_in_place(request, cwd))

    async def _row(self, number: int) -> RunRow:
        return await self._runs.database.read(lambda connection: table.get(connection, number))

    async def stop(self, name: str) -> WorkspaceInfo:
        """Ask a workspace's server to end; with it its kernels do.

        Raises:
            NotFound: there is none of that name.
            Conflict: it does not run.
        """
        run = self._find(name)
        if is_over(run):
            raise Conflict(f"workspace {name} does not run.")
        await self._runs.end(run.id, kill=False)
        return self.info(name)

    async def remove(self, name: str) -> None:
        """Forget a workspace that does not run; its runs are archived. Its notebooks stay: they
        are in the app folder.

        Raises:
            NotFound: there is none of that name.
            Conflict: it runs.
            StorageError: its settings cannot be removed.
        """
        async with self._changing:
            run = self._find(name)
            if not is_over(run):
                raise Conflict(
                    f"workspace {name} runs.", hint=f"Stop it first: spice-tui jupyter stop {name}"
                )
            await asyncio.to_thread(self._folders.remove, name)
            # Heard of by the listener, which forgets it.
            await self._runs.archive(run.id, archived=True)

    # -- looking after them

    def _watch(self, name: str, number: int) -> None:
        task = asyncio.create_task(self._look_after(name, number), name=f"workspace {name}")
        self._watchers.add(task)
        task.add_done_callback(self._unwatch)

    def _unwatch(self, task: asyncio.Task[None]) -> None:
        self._watchers.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("a workspace is no longer looked after", exc_info=error)

    async def _look_after(self, name: str, number: int) -> None:
        over = asyncio.create_task(self._runs.wait_over(number))
        token = await asyncio.to_thread(self._folders.token, name)
        woken = self._woken.setdefault(name, asyncio.Event())
        try:
            # A newer run may take the name, and then this one is only waited for.
            while not over.done() and self._is_newest(name, number):
                woken.clear()
                run = self._known[name]
                if run.state == "running":
                    await self._look(name, run, token)
                await self._rest(over, woken, pause(run, self._seen.get(name)))
            await self._ended(name, await over)
        finally:
            over.cancel()

    def _is_newest(self, name: str, number: int) -> bool:
        return name in self._known and self._known[name].id == number

    @staticmethod
    async def _rest(over: asyncio.Task[RunInfo], woken: asyncio.Event, seconds: float) -> None:
        """Wait for the next look, which a new state of the run or `hurry` brings about at once."""
        wake = asyncio.create_task(woken.wait())
        try:
            await asyncio.wait({over, wake}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            wake.cancel()

    def hurry(self, name: str) -> None:
        """Look at a workspace now."""
        if name in self._woken:
            self._woken[name].set()

    async def _look(self, name: str, run: RunInfo, token: str) -> None:
        """Ask the server how it does, and end what idles for too long."""
        before = self._seen.get(name)
        try:
            seen = await look(run, token)
        except NoAnswer as error:
            if before is not None:
                self._seen[name] = error
                self._publish(name)
            return
        self._seen[name] = seen
        if seen != before:
            self._publish(name)
        await end_if_idle(self._runs, run, seen)

    async def _ended(self, name: str, run: RunInfo) -> None:
        folder = self._runs.folder(run.id)
        await asyncio.to_thread(made_places.clear, folder, self._mounted(run.id))
        words = ""
        # A signal is its own reason.
        if has_died(run) and run.message.startswith("exited"):
            chunk = await asyncio.to_thread(read_chunk, folder / LOG_NAME, 0, 0, _WORDS)
            words = last_words(chunk.text)
        # Somebody may have started it again meanwhile.
        if self._is_newest(name, run.id):
            self._seen.pop(name, None)
            self._words[name] = words
            self._publish(name)

    def _mounted(self, but: int) -> dict[str, Path]:
        """Where workspaces that go on, but for one run, have mounts; with the folders of theirs."""
        others = [run for run in self._known.values() if run.id != but and not is_over(run)]
        return {
            str(Path(run.cwd, text.rpartition(":")[2])): self._runs.folder(run.id)
            for run in others
            for text in run.mounts
        }

    # -- state

    def _heard(self, run: RunInfo) -> None:
        # Another client may start runs that say they are one.
        if run.kind == KIND and run.name and port_of(run):
            self._note(run)

    def _note(self, run: RunInfo) -> None:
        newest = self._known.get(run.name)
        if newest is not None and run.id < newest.id:
            return
        if run.archived is None:
            self._known[run.name] = run
            self._publish(run.name)
            if is_over(run) or (newest is not None and newest.id == run.id):
                self.hurry(run.name)
            else:
                self._watch(run.name, run.id)
        elif newest is not None:
            del self._known[run.name]
            self._seen.pop(run.name, None)
            self._words.pop(run.name, None)
            self._woken.pop(run.name, None)
            self._topic.remove(run.name)

    def _publish(self, name: str) -> None:
        if name in self._known:
            self._topic.set(name, self.info(name))

    def _snapshot(self) -> dict[str, Any]:
        return {name: dataclasses.asdict(self.info(name)) for name in self.names()}

    def _find(self, name: str) -> RunInfo:
        run = self._known.get(name)
        if run is None:
            there = f"There are: {', '.join(self.names())}." if self._known else "There are none."
            raise NotFound(f"there is no workspace {name[:80]!r}.", hint=there)
        return run
