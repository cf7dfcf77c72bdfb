"""What happens to a run before its command begins and after it ended: preparing, saving."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from spice_engine.errors import InvalidRequest, NotFound, StorageError
from spice_engine.protocol.runs import RunInfo
from spice_engine.runs import attempts
from spice_engine.runs.environment_script import EnvironmentFailed
from spice_engine.runs.known_runs import LOOK_AGAIN_SECONDS, KnownRuns
from spice_engine.runs.preparation import Preparation, Prepared
from spice_engine.runs.rank_jobs import ended_with
from spice_engine.runs.resuming import MOST_RESUMES
from spice_engine.runs.states import STOPPED_AS, WAITING, ending_of
from spice_engine.store.runs import OutputsRow, RunRow
from spice_engine.workers.shims import Exit

log = logging.getLogger(__name__)


class Stages:
    """The stages of all runs but the running itself. Belongs to the engine's loop.

    `answer` is told of every state that whoever started the run may want to hear first.
    """

    def __init__(
        self,
        known: KnownRuns,
        preparation: Preparation,
        folder: Callable[[int], Path],
        answer: Callable[[RunInfo], None],
    ) -> None:
        self._known = known
        self._preparation = preparation
        self._folder = folder
        self._answer = answer
        self._preparing: dict[int, asyncio.Task[Prepared]] = {}
        self.settling: list[Callable[[RunRow], Awaitable[None]]] = []
        """Awaited when a run's process has ended, before anything of it is kept or removed. They
        wait for a disk that refuses, and raise nothing."""

    async def prepare(self, row: RunRow) -> Prepared | None:
        """Make the files and the environment of a run; None if it is over instead."""
        waited = row.attempt == 1 and self._known[row.id].state == "queued"
        queued = {"queued": max(0.0, time.time() - row.created)} if waited else {}
        state = "building" if row.dependencies else "mounting" if row.mounts else ""
        if state:
            cached = state == "building" and await self._preparation.is_cached(row)
            message = "retrieves its cached environment." if cached else ""
            self._answer(await self._known.preparing(row.id, state, message))
        begin = time.perf_counter()
        task = asyncio.create_task(self._preparation.make(row, self._folder(row.id)))
        self._preparing[row.id] = task
        try:
            prepared = await task
        except asyncio.CancelledError:
            if (state := self._known[row.id].state) not in STOPPED_AS:
                raise
            await self.stopped(row, STOPPED_AS[state])
        except EnvironmentFailed as error:
            took = {**queued, "environment": time.perf_counter() - begin}
            await self._known.prepared(row.id, took, "")
            await self.not_begun(row, "build_failed", str(error))
        except (NotFound, InvalidRequest) as error:
            await self.not_begun(row, "mount_failed", str(error))
        else:
            await self._known.prepared(row.id, {**queued, **prepared.stages}, prepared.environment)
            return prepared
        finally:
            task.cancel()
            del self._preparing[row.id]
        return None

    def give_up(self, number: int) -> None:
        """Prepare a run no longer; its state says that it is to end."""
        if number in self._preparing:
            self._preparing[number].cancel()

    async def stopped(self, row: RunRow, state: str) -> None:
        """End a run, or an attempt of it, that was stopped or killed before its command began."""
        word = "began" if row.attempt == 1 else "was tried again"
        await self.not_begun(row, state, f"{state.capitalize()} before it {word}.")

    async def not_begun(self, row: RunRow, state: str, message: str) -> None:
        """End a run, or an attempt of it, whose command does not begin. What earlier attempts left
        is kept, unless it was killed."""
        await self._dropped(row)
        kept = row.code and row.attempt > 1 and state != "killed"
        outputs = await self._saved(row, last=True) if kept else None
        self._answer(await self._known.over(row.id, state, message, outputs))

    async def settle(self, row: RunRow) -> None:
        """Take in what the process of a run sent before it ended."""
        for settle in self.settling:
            await settle(row)

    async def ended(self, row: RunRow, exit_: Exit) -> None:
        """Keep what a run left, unless it was killed, and record its end; or that it is tried
        again, when its state is none of an end."""
        await self.settle(row)
        exit_ = await asyncio.to_thread(ended_with, row, self._folder(row.id), exit_)
        again = self._fails_with_tries_left(row, exit_)
        outputs = None
        if row.code and (await self._known.saving(row.id, exit_)).state == "killing":
            await self._dropped(row)
        elif row.code:
            outputs = await self._saved(row, last=not again)
        else:
            await self._dropped(row)
        if again:
            words = (
                f"Attempt {row.attempt} ended with exit code {exit_.exit_code}; it is tried again."
            )
            if (await self._known.again(row.id, exit_, words)).state in WAITING:
                return
            outputs = await self._saved(row, last=True) if outputs is not None else None
        self._answer(await self._known.ended(row.id, exit_, outputs))

    def _fails_with_tries_left(self, row: RunRow, exit_: Exit) -> bool:
        """Whether a command failed by itself that may be tried again."""
        info = self._known[row.id]
        if row.attempt > row.retries or exit_.reason == "not started":
            return False
        return ending_of(info.state, exit_, info.outcome)[:2] == ("complete", "failed")

    async def lost(self, row: RunRow, message: str) -> RunRow | None:
        """Keep what a run left whose shim is gone, and record that it was interrupted. Gives the
        run that goes on for it, if one is to."""
        log.warning("run %s was lost: %s", row.id, message)
        await self.settle(row)
        outputs = await self._saved(row, last=True) if row.code else None
        if not row.code:
            await self._dropped(row)
        wanted = row.auto_resume and self._known[row.id].state not in STOPPED_AS
        resume = wanted and await self._known.resumes_before(row.id) < MOST_RESUMES
        code = await self._preparation.code_after(row, self._folder(row.id)) if resume else ""
        return await self._known.lost(row, message, outputs, code, resume=resume)

    async def _saved(self, row: RunRow, *, last: bool) -> OutputsRow:
        """What a run left, however long the disk refuses it; with `last`, in all its attempts."""
        folder = self._folder(row.id)
        while True:
            try:
                if last and row.attempt > 1:
                    await asyncio.to_thread(attempts.gather, folder, row.attempt, 1 + row.retries)
                return await self._preparation.save(row, folder)
            except StorageError as error:
                log.warning("run %s: its outputs wait for the disk: %s", row.id, error)
                await asyncio.sleep(LOOK_AGAIN_SECONDS)

    async def _dropped(self, row: RunRow) -> None:
        try:
            await self._preparation.drop(self._folder(row.id))
        except StorageError as error:
            log.warning("run %s: %s", row.id, error)
