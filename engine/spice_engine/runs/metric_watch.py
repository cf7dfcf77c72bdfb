"""Heeds metrics as they come: stops a run when a condition is met, and tells who waits for a value.

Points are seen once they are on the disk, whichever way they came. After a restart of the engine
the newest stored points are looked at first, for the last ones may not have been judged.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sqlite3
from collections.abc import Awaitable, Callable, Sequence

from spice_engine.errors import Conflict, InvalidRequest, NotFound, SpiceError
from spice_engine.protocol.run_metrics import Condition, MetricReached
from spice_engine.protocol.runs import RunInfo
from spice_engine.runs import stop_conditions
from spice_engine.runs.metric_feeds import owner_of
from spice_engine.runs.service import Runs
from spice_engine.runs.stop_conditions import Term, Watch
from spice_engine.store import series_figures
from spice_engine.store.metrics import Kept
from spice_engine.store.runs import FINAL_STATES
from spice_engine.store.series_figures import Comparison

log = logging.getLogger(__name__)

LOOK_BACK = 10_000
"""Newest points of each series that are judged when a run is taken up."""
_COMPARISONS: dict[Condition, Comparison] = {
    "eq": "==",
    "gt": ">",
    "gte": ">=",
    "lt": "<",
    "lte": "<=",
}


class MetricWatches:
    """The stop conditions of all runs, and those who wait. `close` it at the end."""

    def __init__(self, runs: Runs, catch_up: Callable[[int], Awaitable[None]]) -> None:
        """`catch_up` takes in all that a run has sent so far."""
        self._runs = runs
        self._metrics = runs.metrics
        self._catch_up = catch_up
        self._watched: dict[int, Callable[[], None]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._leaving = asyncio.Event()
        self._end_listening = runs.listen(self._hear)

    async def close(self) -> None:
        """Stop no more runs."""
        self._end_listening()
        for end in self._watched.values():
            end()
        self._watched.clear()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    # -- stop conditions

    def _hear(self, info: RunInfo) -> None:
        if info.state in FINAL_STATES:
            if (end := self._watched.pop(info.id, None)) is not None:
                end()
        elif info.state == "running" and info.stop_conditions and info.id not in self._watched:
            try:
                watch = Watch(stop_conditions.parse_all(info.stop_conditions))
            except InvalidRequest as error:  # it was checked when the run was asked for
                log.error("run %s: %s", info.id, error)
                return
            self._begin(info.id, watch)

    def _begin(self, number: int, watch: Watch) -> None:
        def see(points: Sequence[Kept]) -> None:
            for _, name, index, _, value in points:
                if watch.add(name, index, value):
                    self._watched.pop(number, end)()
                    self._start(self._stop(number, watch.met))
                    return

        end = self._watched[number] = self._metrics.watch(owner_of(number), see)
        self._start(self._look_back(number, watch, see))

    async def _look_back(
        self, number: int, watch: Watch, see: Callable[[Sequence[Kept]], None]
    ) -> None:
        """Judge what was stored before anybody watched."""
        owner = owner_of(number)

        def read(connection: sqlite3.Connection) -> list[Kept]:
            found: list[Kept] = [
                (owner, name, point.index, point.time, point.value)
                for name in watch.metrics
                for point in series_figures.newest(connection, owner, name, LOOK_BACK)
            ]
            return sorted(found, key=lambda point: point[3])

        with contextlib.suppress(SpiceError):
            points = await self._metrics.read(read)
            if number in self._watched:
                see(points)

    def _start(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _stop(self, number: int, met: str) -> None:
        log.info("run %s is stopped: %s", number, met)
        try:
            await self._runs.end(number, kill=False, reason=f"Stop condition met: {met}.")
        except (Conflict, NotFound):
            pass  # it is over already
        except SpiceError as error:
            log.warning("run %s could not be stopped: %s", number, error)

    # -- those who wait

    def let_go(self) -> None:
        """Have nobody wait any longer: the engine ends, and the next one is asked again."""
        self._leaving.set()

    async def wait(
        self, number: int, name: str, condition: Condition, value: float, seconds: float
    ) -> MetricReached:
        """Wait until a point of a run's metric meets a condition, the run is over, or `seconds`
        have passed.

        A point that came before counts, so that it does not matter who was first.

        Raises:
            NotFound: there is no such run.
        """
        term = Term(name, _COMPARISONS[condition], value)
        met: asyncio.Future[MetricReached] = asyncio.get_running_loop().create_future()

        def see(points: Sequence[Kept]) -> None:
            for _, metric, index, _, found in points:
                if metric == name and not isinstance(found, str) and term.holds(found):
                    if not met.done():
                        met.set_result(_reached(index, found))
                    return

        end = self._metrics.watch(owner_of(number), see)
        over = asyncio.ensure_future(self._runs.wait_over(number))
        leaving = asyncio.ensure_future(self._leaving.wait())
        try:
            if (reached := await self._reached(number, term)) is not None:
                return reached
            await asyncio.wait(
                [met, over, leaving], timeout=seconds, return_when=asyncio.FIRST_COMPLETED
            )
            if met.done():
                return met.result()
            if not over.done():
                return MetricReached(False)
            run = over.result()
            reached = await self._reached(number, term)
        finally:
            end()
            for task in (over, leaving):
                task.cancel()
            await asyncio.gather(over, leaving, return_exceptions=True)
        if reached is not None:
            return reached
        how = run.state.replace("_", " ")
        error = f"run {number} is {how}, and {term} was never met."
        return MetricReached(False, over=True, error=error)

    async def _reached(self, number: int, term: Term) -> MetricReached | None:
        await self._catch_up(number)
        comparison: Comparison = term.comparison  # pyright: ignore[reportAssignmentType]
        point = await self._metrics.read(
            lambda connection: series_figures.first_reached(
                connection, owner_of(number), term.metric, comparison, term.value
            )
        )
        if point is None or isinstance(point.value, str):
            return None
        return _reached(point.index, point.value)


def _reached(index: int, value: float) -> MetricReached:
    return MetricReached(True, index=index, value=value)
