"""A pool of warm children of one module: each does one call at a time, and dies alone.

The other end is `spice_engine.workers.child`. A child that is killed, hangs or breaks fails the
one call it had; the next call gets a new child.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path
from typing import Any, TypeVar

from spice_engine.errors import ChildFailed, DeadlineExceeded, Overloaded, SpiceError
from spice_engine.records import record
from spice_engine.workers.warm_child import WarmChild, start_child

_CANCEL_SECONDS = 1.0
_T = TypeVar("_T")


@record
class PoolStats:
    """Gauges (`alive`, `busy`, `waiting`) and counters of a pool."""

    name: str
    size: int
    alive: int
    busy: int
    waiting: int
    starts: int
    deaths: int
    calls: int
    failures: int


class ChildPool:
    """Up to `size` children of `module`, started when needed as `python -I -m module`.

    `folder` takes their logs (`<name>-<n>.log`). `env` is added to a small part of the engine's
    environment, `threads` bounds what numeric libraries start by themselves, `memory_bytes` a
    child's address space (0: no limit). A child with nothing to do leaves after `idle_seconds`.
    """

    def __init__(
        self,
        name: str,
        module: str,
        size: int,
        *,
        folder: Path,
        idle_seconds: float = 600.0,
        env: Mapping[str, str] | None = None,
        threads: int = 1,
        memory_bytes: int = 0,
        nice: int = 10,
        max_waiting: int = 256,
        start_seconds: float = 120.0,
    ) -> None:
        self.name = name
        self.module = module
        self.size = size
        self._folder = folder
        self._idle_seconds = idle_seconds
        self._env = dict(env or {})
        self._threads = threads
        self._memory_bytes = memory_bytes
        self._nice = nice
        self._max_waiting = max_waiting
        self._start_seconds = start_seconds
        self._slots = asyncio.Semaphore(size)
        self._children: dict[int, WarmChild] = {}
        self._idle: list[WarmChild] = []
        self._timers: dict[WarmChild, asyncio.TimerHandle] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        self._closing = False
        self._waiting = self._busy = self._starts = self._deaths = self._calls = self._failures = 0

    @property
    def pids(self) -> list[int]:
        """The processes of all children that live."""
        return [child.pid for child in self._children.values()]

    @property
    def logs(self) -> list[Path]:
        """The logs of all children that live."""
        return [child.log for child in self._children.values()]

    def stats(self) -> PoolStats:
        """The pool's figures now."""
        return PoolStats(
            self.name,
            self.size,
            len(self._children),
            self._busy,
            self._waiting,
            self._starts,
            self._deaths,
            self._calls,
            self._failures,
        )

    async def warm(self, count: int | None = None) -> None:
        """Starts children until `count` (default: all) are ready.

        Raises:
            ChildFailed: one did not get ready.
        """
        wanted = min(self.size, self.size if count is None else count)
        missing = range(len(self._children), wanted)
        await asyncio.gather(*(self._warm_one(wanted) for _ in missing))

    async def call(
        self,
        method: str,
        params: Mapping[str, Any],
        *,
        on_progress: Callable[[Any], None] | None = None,
        deadline: float | None = None,
    ) -> Any:
        """Has a child call a method and gives its result.

        `on_progress` gets each report on the loop, in order. `deadline` is in seconds from now,
        the wait for a free child included; the child is killed when it passes. If the caller is
        cancelled the child is told, and killed if it does not stop within a second.

        Raises:
            Overloaded: too many calls wait already.
            DeadlineExceeded: the deadline passed.
            ChildFailed: the child died, or raised something that is no `SpiceError`.
            SpiceError: what the child raised, as the same class.
        """
        self._calls += 1
        loop = asyncio.get_running_loop()
        ends_at = None if deadline is None else loop.time() + deadline
        try:
            async with asyncio.timeout_at(ends_at):
                return await self._call(method, dict(params), on_progress, ends_at)
        except TimeoutError:
            self._failures += 1
            raise DeadlineExceeded(
                f"the {self.name} did not finish {method!r} in {deadline:g} s and was stopped",
                hint="Give it more time, or less to do.",
            ) from None
        except SpiceError:
            self._failures += 1
            raise

    async def close(self) -> None:
        """Kills what is at work, lets the rest leave, and waits for all of them."""
        self._closing = True
        for child in list(self._children.values()):
            if child in self._idle:
                self._retire(child)
            else:
                child.kill()
        while self._tasks or self._children:
            await asyncio.gather(*self._tasks, return_exceptions=True)
            await asyncio.gather(*(child.gone() for child in list(self._children.values())))

    async def _call(
        self,
        method: str,
        params: dict[str, Any],
        on_progress: Callable[[Any], None] | None,
        ends_at: float | None,
    ) -> Any:
        child = await self._borrow()
        self._busy += 1
        kept = False
        try:
            return await child.call(method, params, on_progress)
        except asyncio.CancelledError:
            kept = True
            late = ends_at is not None and asyncio.get_running_loop().time() >= ends_at
            self._spawn_job(self._stop_call(child, 0.0 if late else _CANCEL_SECONDS))
            raise
        finally:
            self._busy -= 1
            if not kept:
                self._give_back(child)

    async def _warm_one(self, wanted: int) -> None:
        self._give_back(await self._borrow(wanted))

    async def _borrow(self, wanted: int = 0) -> WarmChild:
        """A slot and a child for it: an idle one, or a new one if fewer than `wanted` live."""
        await self._take_slot()
        while self._idle and len(self._children) >= wanted:
            # The last one used is the warmest.
            child = self._idle.pop()
            self._timers.pop(child).cancel()
            if child.alive:
                return child
        start = self._spawn_job(self._start())
        try:
            return await asyncio.shield(start)
        except asyncio.CancelledError:
            # The start goes on and keeps its slot; the child waits for the next call.
            start.add_done_callback(self._started_for_nobody)
            raise
        except BaseException:
            self._slots.release()
            raise

    def _give_back(self, child: WarmChild) -> None:
        self._rest(child)
        self._slots.release()

    async def _take_slot(self) -> None:
        if self._closing:
            raise ChildFailed(f"the pool of {self.name} is closed")
        if self._slots.locked() and self._waiting >= self._max_waiting:
            raise Overloaded(
                f"{self._waiting} calls already wait for a {self.name}", hint="Try again later."
            )
        self._waiting += 1
        try:
            await self._slots.acquire()
        finally:
            self._waiting -= 1

    async def _start(self) -> WarmChild:
        if self._closing:
            raise ChildFailed(f"the pool of {self.name} is closed")
        number = next(n for n in range(len(self._children) + 1) if n not in self._children)
        child = WarmChild(self.name, self._folder / f"{self.name}-{number}.log")
        self._children[number] = child
        self._starts += 1
        try:
            async with asyncio.timeout(self._start_seconds):
                await start_child(
                    child,
                    self.module,
                    env=self._env,
                    threads=self._threads,
                    memory_bytes=self._memory_bytes,
                    nice=self._nice,
                )
        except TimeoutError:
            child.kill()
            raise ChildFailed(
                f"a {self.name} was not ready after {self._start_seconds:g} s",
                hint=f"Its log is {child.log}.",
            ) from None
        finally:
            self._spawn_job(self._bury(number, child))
        return child

    async def _bury(self, number: int, child: WarmChild) -> None:
        """Waits for a child's end, whenever that is, and forgets it."""
        await child.gone()
        if self._children.get(number) is child:
            del self._children[number]
        if not child.retired:
            self._deaths += 1
        if child in self._idle:
            self._idle.remove(child)
            self._timers.pop(child).cancel()

    async def _stop_call(self, child: WarmChild, seconds: float) -> None:
        """Ends a call that nobody waits for, and gives back its slot."""
        try:
            if not await child.cancel(seconds):
                child.kill()
                await child.gone()
        finally:
            self._give_back(child)

    def _rest(self, child: WarmChild) -> None:
        if not child.alive:
            return
        self._idle.append(child)
        loop = asyncio.get_running_loop()
        self._timers[child] = loop.call_later(self._idle_seconds, self._retire, child)
        if self._closing:
            self._retire(child)

    def _started_for_nobody(self, start: asyncio.Task[WarmChild]) -> None:
        if not start.cancelled() and start.exception() is None:
            self._rest(start.result())
        self._slots.release()

    def _retire(self, child: WarmChild) -> None:
        self._idle.remove(child)
        self._timers.pop(child).cancel()
        child.retire()

    def _spawn_job(self, work: Coroutine[Any, Any, _T]) -> asyncio.Task[_T]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task
