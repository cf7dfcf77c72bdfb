"""Builds of environments and of what lies below them: jobs with shims, in folders by key.

Each is made in `<key>/<attempt>`, where it stays, for scripts in it name their place. It counts
once the file `ready` is beside the attempts, which names the one that succeeded and is written
whole. A job outlives the engine, and the next one waits for it instead of beginning anew.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Generator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import field
from pathlib import Path
from typing import Any

from spice_engine.errors import ChildFailed, Conflict, Overloaded
from spice_engine.records import record
from spice_engine.runs import environment_folder as folders
from spice_engine.runs.environment_folder import Ready
from spice_engine.runs.environment_script import EnvironmentFailed
from spice_engine.store.disk import storage_error
from spice_engine.workers.jobs import Job
from spice_engine.workers.placement import Placed, Placement, Resources
from spice_engine.workers.shims import Exit, Exited, JobLost

log = logging.getLogger(__name__)

BUILD_SECONDS = 3600.0
LOG_BYTES = 16 * 2**20
_AT_ONCE = 4
PATIENCE_SECONDS = 10.0
"""How long something is made on for nobody."""

Write = Callable[[Path], Job]
"""Writes what an attempt needs into its folder, and gives its job. Blocks."""


@record
class Recipe:
    """How something is made. `failed` gives another way to try, or raises why it failed; `finish`
    completes an attempt that went well. Both block. `below` are the keys it stands on."""

    write: Write
    failed: Callable[[Path, Exit], Write | None]
    finish: Callable[[Path], None]
    asked: Mapping[str, Any] = field(default_factory=dict[str, Any])
    below: tuple[str, ...] = ()


class Builds:
    """The builds of one app folder. Not thread-safe: it belongs to the engine's loop."""

    def __init__(self, folder: Path, placement: Placement) -> None:
        self.folder = folder
        self._placement = placement
        self._tasks: dict[str, asyncio.Task[Ready]] = {}
        self._running: dict[str, Placed] = {}
        self._waiting: Counter[str] = Counter()
        self._held: Counter[str] = Counter()
        self._given_up: set[str] = set()
        self._kills: set[asyncio.Task[None]] = set()
        self._room = asyncio.Semaphore(_AT_ONCE)

    @property
    def keys(self) -> tuple[str, ...]:
        """Of what is being made now."""
        return tuple(self._tasks)

    @property
    def busy(self) -> set[str]:
        """What is being made now, and what is held."""
        return {*self._tasks, *self._held}

    @contextmanager
    def hold(self, *keys: str) -> Generator[None]:
        """Meanwhile these count as busy."""
        self._held.update(keys)
        try:
            yield
        finally:
            self._held -= Counter(keys)

    async def made(
        self,
        key: str,
        is_whole: Callable[[Path], bool],
        recipe: Callable[[], Awaitable[Recipe]],
    ) -> tuple[Ready, bool]:
        """What a key stands for, and whether it was there; made by the recipe if it was not, or
        if it is not whole any more.

        Requests for the same one share the work; it goes on where one of them is cancelled, and
        is given up when all of them were and nobody asks again for a while.

        Raises:
            EnvironmentFailed: it cannot be made.
            StorageError: the disk is full or broken.
        """
        while key in self._given_up:
            await asyncio.wait([self._tasks[key]])
        if key not in self._tasks:
            ready = await asyncio.to_thread(self._found, key, is_whole)
            if ready is not None:
                return ready, True
        if key not in self._tasks:
            task = asyncio.create_task(self._make(key, is_whole, recipe), name=f"environment {key}")
            self._tasks[key] = task
            task.add_done_callback(lambda done: self._ended(key, done))
        task = self._tasks[key]
        self._waiting[key] += 1
        try:
            return await asyncio.shield(task), False
        finally:
            self._waiting[key] -= 1
            if not self._waiting[key]:
                del self._waiting[key]
                if not task.done():
                    loop = asyncio.get_running_loop()
                    loop.call_later(PATIENCE_SECONDS, self._look_again, key, task)

    async def close(self, *, leave: bool) -> None:
        """Wait for nothing more. With `leave` the next engine takes the work up."""
        if not leave:
            for placed in list(self._running.values()):
                await self._kill(placed)
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*self._kills, return_exceptions=True)
        await asyncio.gather(*tasks, return_exceptions=True)

    def _found(self, key: str, is_whole: Callable[[Path], bool]) -> Ready | None:
        place = self.folder / key
        ready = folders.read_ready(place)
        if ready is None or not is_whole(ready.attempt):
            folders.forget(place)
            return None
        for used in (key, *ready.below):
            folders.use(self.folder / used)
        return ready

    def _look_again(self, key: str, task: asyncio.Task[Ready]) -> None:
        """Give up what nobody waits for any more."""
        waited_for = key in self._waiting or key in self._given_up
        if self._tasks.get(key) is not task or waited_for:
            return
        self._given_up.add(key)
        log.info("environment %s is given up: nobody waits for it", key)
        placed = self._running.get(key)
        if placed is None:
            task.cancel()
            return
        kill = asyncio.create_task(self._kill(placed))
        self._kills.add(kill)
        kill.add_done_callback(self._kills.discard)

    async def _kill(self, placed: Placed) -> None:
        with suppress(Conflict, ChildFailed, Overloaded):
            await self._placement.kill(placed)

    def _ended(self, key: str, task: asyncio.Task[Ready]) -> None:
        self._tasks.pop(key, None)
        self._given_up.discard(key)
        # Those who waited may all have gone; then nobody else asks how it ended.
        if not task.cancelled() and (error := task.exception()) is not None:
            log.warning("environment %s: %s", key, error)

    async def _make(
        self,
        key: str,
        is_whole: Callable[[Path], bool],
        recipe: Callable[[], Awaitable[Recipe]],
    ) -> Ready:
        begin = time.perf_counter()
        how = await recipe()
        place = self.folder / key
        async with self._room:
            attempt, ended = await self._take_up(key, is_whole) or await self._attempt(
                key, how.write
            )
            while ended.exit_code or ended.reason != "exited":
                try:
                    another = await asyncio.to_thread(how.failed, attempt, ended)
                finally:
                    await asyncio.to_thread(folders.empty, attempt)
                if another is None:
                    raise EnvironmentFailed(f"it ended with code {ended.exit_code}.")
                attempt, ended = await self._attempt(key, another)
            seconds = time.perf_counter() - begin
            await asyncio.to_thread(how.finish, attempt)
            await asyncio.to_thread(
                folders.write_ready, place, attempt, seconds, how.asked, how.below
            )
            ready = await asyncio.to_thread(folders.read_ready, place)
        if ready is None:
            raise EnvironmentFailed(f"what was made in {place} is gone.", hint="Try again.")
        log.info("environment %s made in %.2f s", key, seconds)
        return ready

    async def _take_up(
        self, key: str, is_whole: Callable[[Path], bool]
    ) -> tuple[Path, Exit] | None:
        """The attempt that an earlier engine left, if it goes on or went well; others are
        removed."""
        for attempt in await asyncio.to_thread(folders.attempts, self.folder / key):
            found = await self._placement.find(attempt)
            if isinstance(found, Placed):
                return attempt, await self._wait(key, found)
            if isinstance(found, Exited) and not found.exit.exit_code and is_whole(attempt):
                return attempt, found.exit
            await asyncio.to_thread(folders.remove_tree, attempt)
        return None

    async def _attempt(self, key: str, write: Write) -> tuple[Path, Exit]:
        attempt = self.folder / key / f"{time.time_ns() // 1_000_000:x}"
        job = await asyncio.to_thread(_written, attempt, write)
        # No room is counted for it: it is short, and steps back for what serves.
        reservation = self._placement.reserve([Resources(slots=0)])
        try:
            placed = await self._placement.start(reservation, 0, attempt, job)
            return attempt, await self._wait(key, placed)
        finally:
            self._placement.release(reservation)

    async def _wait(self, key: str, placed: Placed) -> Exit:
        self._running[key] = placed
        try:
            return await self._placement.wait(placed)
        except JobLost as lost:
            raise EnvironmentFailed(
                f"the work on the environment was lost: {lost.message}.", hint="Try again."
            ) from lost
        finally:
            self._running.pop(key, None)


def _written(attempt: Path, write: Write) -> Job:
    try:
        attempt.mkdir(parents=True)
        return write(attempt)
    except OSError as error:
        raise storage_error(error, "make an environment", attempt) from error
