"""The life of every run: it waits for its turn, is prepared, runs, is followed to its end.

A run's process belongs to its shim, not to the engine. What happens while no engine is there is
read off the run's folder by the next one (see `spice_engine.workers.shims`).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
from collections.abc import Callable, Mapping
from pathlib import Path

from spice_engine.errors import (
    ChildFailed,
    Conflict,
    InvalidRequest,
    NotFound,
    Overloaded,
    SpiceError,
    StorageError,
)
from spice_engine.protocol.runs import RunInfo
from spice_engine.runs import attempts
from spice_engine.runs.known_runs import LOOK_AGAIN_SECONDS, KnownRuns
from spice_engine.runs.log_topics import LogTopics
from spice_engine.runs.machine_queue import Machine
from spice_engine.runs.machine_types import MachineTypes, machines_of
from spice_engine.runs.predecessors import Predecessors
from spice_engine.runs.rank_jobs import with_ranks
from spice_engine.runs.requests import job_of
from spice_engine.runs.stages import Stages
from spice_engine.runs.states import STOPPED_AS, WAITING
from spice_engine.store import runs as table
from spice_engine.store.database import Database
from spice_engine.store.runs import FINAL_STATES, RunRow
from spice_engine.workers.placement import Placed, Placement
from spice_engine.workers.shims import Exited, JobLost, Lost, NeverStarted

log = logging.getLogger(__name__)

LONGEST_PAUSE_SECONDS = 30.0

Variables = Callable[[RunRow], Mapping[str, str]]


class Life:
    """Lives of all runs. Belongs to the engine's loop.

    `folder` gives a run's folder, `answer` is told of each state that whoever started a run may
    want to hear first, `accept` is given the runs that go on from lost ones.
    """

    def __init__(
        self,
        database: Database,
        known: KnownRuns,
        stages: Stages,
        machines: MachineTypes,
        placement: Placement,
        logs: LogTopics,
        folder: Callable[[int], Path],
        answer: Callable[[RunInfo], None],
        accept: Callable[[RunRow], None],
    ) -> None:
        self._database = database
        self._known = known
        self._stages = stages
        self._machines = machines
        self._placement = placement
        self._logs = logs
        self._folder = folder
        self._answer = answer
        self._accept = accept
        self._predecessors = Predecessors(database, known, answer)
        self._placed: dict[int, Placed] = {}
        self.variables: list[Variables] = []

    async def live(self, row: RunRow, *, again: bool) -> None:
        """All of it; `again`: the run may have begun under an earlier engine."""
        try:
            await (self._take_up(row) if again else self._launch(row))
            # A run that is over may be forgotten already.
            while row.id in self._known and self._known[row.id].state not in FINAL_STATES:
                # It is tried again. Its machine is still its own.
                await self._launch(await self._stored(row.id))
        finally:
            self._placed.pop(row.id, None)
            self._machines.queue.give_back(row.id)

    async def _stored(self, number: int) -> RunRow:
        return await self._database.read(lambda connection: table.get(connection, number))

    async def signal(self, number: int, state: str, grace: float | None) -> None:
        """Have a run's process know that the run is to stop, or is killed."""
        placed = self._placed.get(number)
        if placed is None or state == "saving":
            # It waits for a machine, is being prepared, or starts just now and sees the state then.
            self._machines.queue.leave(number)
            self._stages.give_up(number)
            return
        try:
            if state == "killing":
                await self._placement.kill(placed)
            else:
                await self._placement.stop(placed, grace)
        except Conflict:
            pass  # it ended just now
        except (ChildFailed, Overloaded) as error:
            log.warning("run %s could not be told to stop: %s", number, error)

    async def pause(self, number: int) -> None:
        """Have a run's processes do nothing more until they are killed.

        Raises:
            ChildFailed, Overloaded: it could not be told.
        """
        placed = self._placed.get(number)
        if placed is not None:
            with contextlib.suppress(Conflict):  # it ended just now
                await self._placement.signal(placed, signal.SIGSTOP)

    async def tell_waiting(self, machine_type: str) -> None:
        """Say anew what the runs wait for that wait for a machine of a type that changed."""
        for number in self._machines.queue.waiting(machine_type):
            count = max(1, self._known[number].distributed)
            await self._known.queued(number, self._machines.words(machine_type, count))

    async def _launch(self, row: RunRow) -> None:
        """Start an accepted run's process when it has a machine, and follow it to its end."""
        folder = self._folder(row.id)
        try:
            reason = await self._predecessors.wait(row)
            if reason:
                await self._stages.not_begun(row, "failed", reason)
                return
            machine = await self._machine_for(row)
            if machine is None:
                await self._stages.stopped(row, STOPPED_AS[self._known[row.id].state])
                return
            reservation = self._placement.reserve([self._machines.room(row)])
        except (Overloaded, InvalidRequest, NotFound) as error:
            await self._not_started(row, error)
            return
        try:
            await asyncio.to_thread(attempts.make_room, folder, row.attempt, 1 + row.retries)
            prepared = await self._stages.prepare(row)
            if prepared is None:
                return
            more = {name: text for give in self.variables for name, text in give(row).items()}
            job = job_of(row, prepared, machine.devices, more)
            job = with_ranks(job, row, reservation.parts[0].cpu)
            placed = await self._placement.start(reservation, 0, folder, job)
        except (ChildFailed, Conflict) as error:
            # A shim may have got to work all the same, or may yet: its folder decides.
            await self._take_up(row, error)
        except (InvalidRequest, StorageError) as error:
            await self._not_started(row, error)
        else:
            if not await self._follow(row, placed):
                await self._take_up(row)
        finally:
            self._placement.release(reservation)

    async def _machine_for(self, row: RunRow) -> Machine | None:
        """The machine a run gets when its turn comes; None if it is to stop before that.

        Raises:
            NotFound: its type is gone.
            InvalidRequest: this machine has less than its type by now.
        """
        if self._known[row.id].state in STOPPED_AS:
            return None
        count = machines_of(row)
        turn = self._machines.ask(row.id, row.machine_type, count, row.priority)
        if turn.done():
            return turn.result()
        info = await self._known.queued(row.id, self._machines.words(row.machine_type, count))
        if info.state in STOPPED_AS:
            return None
        self._answer(info)
        machine = await turn
        return None if self._known[row.id].state in STOPPED_AS else machine

    async def _not_started(self, row: RunRow, error: SpiceError) -> None:
        log.warning("run %s was not started: %s", row.id, error)
        await self._stages.not_begun(row, "failed", str(error))

    async def _take_up(self, row: RunRow, failure: SpiceError | None = None) -> None:
        """Find out what became of a run, and follow it to its end.

        It may be one that another engine left, one whose start failed (`failure`), or one whose
        shim stopped answering.
        """
        folder, pause = self._folder(row.id), LOOK_AGAIN_SECONDS
        while True:
            try:
                # What lies there may be of the attempt before: the engine died between the two.
                await asyncio.to_thread(attempts.turn, folder, row.attempt, 1 + row.retries)
                found = await self._placement.find(folder)
            except NotFound:
                found = NeverStarted()
            except (ChildFailed, StorageError, OSError) as error:
                # Its end must not be missed because its shim is stopped or swapped out just now.
                log.warning("run %s: %s; looking again", row.id, error)
                await asyncio.sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
                continue
            match found:
                case Placed() as placed:
                    if not await self._follow(row, placed):
                        continue
                case Exited(exit_):
                    await self._stages.ended(row, exit_)
                case Lost(message):
                    await self._lost(row, message)
                case NeverStarted():
                    await self._never_started(row, failure)
            return

    async def _never_started(self, row: RunRow, failure: SpiceError | None) -> None:
        """End a run that has no process and never will, or start one that may have it yet."""
        info = self._known[row.id]
        begun = row.started is not None and row.attempt == 1
        if failure is not None:
            await self._not_started(row, failure)
        elif info.state in WAITING:
            # Accepted, but the engine died before its process was there: it starts now.
            await asyncio.to_thread(attempts.clear, self._folder(row.id), row.attempt)
            await self._launch(row)
        elif info.state in STOPPED_AS and not begun:
            await self._stages.stopped(row, STOPPED_AS[info.state])
        else:
            # It ran once and must not run again.
            await self._lost(row, "Its folder is gone, and its end with it.")

    async def _follow(self, row: RunRow, placed: Placed) -> bool:
        """Follow a process to its end; False when the hold on it was lost before that."""
        number = row.id
        self._placed[number] = placed
        info = await self._known.running(number)
        self._answer(info)
        if info.state in STOPPED_AS:
            await self.signal(number, info.state, None)
        # A command that has ended meanwhile takes no subscription: `wait` knows its exit.
        with contextlib.suppress(ChildFailed, Conflict, Overloaded):
            await self._placement.follow(placed, lambda _: self._logs.changed(number))
        try:
            exit_ = await self._placement.wait(placed)
        except JobLost as lost:
            await self._lost(row, lost.message)
        except (ChildFailed, Conflict) as error:
            log.warning("run %s: %s; looking again", number, error)
            await asyncio.sleep(LOOK_AGAIN_SECONDS)
            return False
        else:
            await self._stages.ended(row, exit_)
        return True

    async def _lost(self, row: RunRow, message: str) -> None:
        """Record that a run was interrupted, and let another one go on for it if it is to."""
        successor = await self._stages.lost(row, message)
        if successor is not None:
            self._accept(successor)
