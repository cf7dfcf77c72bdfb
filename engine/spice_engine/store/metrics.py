"""The metric store: points are gathered in memory for a moment and written in batches."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import sqlite3
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar

from spice_engine.errors import InvalidRequest, Overloaded, Place, StorageError
from spice_engine.store import metric_sources, series
from spice_engine.store.database import Database, DatabaseStats
from spice_engine.store.series import Point, Sample, StoredPoint

log = logging.getLogger(__name__)
T = TypeVar("T")

FLUSH_SECONDS: Final = 0.25
FLUSH_POINTS: Final = 1000
BATCH_POINTS: Final = 10_000
"""Points in one write at most, so that one write takes some tens of milliseconds."""
WAITING_POINTS: Final = 200_000
"""Points held in memory at most, while the disk is slow, full or gone."""
ROLL_UP_DAYS: Final = 7.0
KNOWN_SERIES: Final = 50_000

LARGEST_INDEX: Final = 2**53

_Waiting = tuple[str, str, int | None, float, float | str]
Row = Sequence[Any]
"""A point to take in: name, value (a float or a text), index (None: the next one), time."""
Kept = tuple[str, str, int, float, float | str]
"""A point on the disk: owner, name, index, time, value."""
Watcher = Callable[[Sequence[Kept]], None]


class MetricStore:
    """Made by `MetricStore.open`, used from that event loop only; `close` it at the end.

    `add` takes points into memory; they are on disk after at most 0.25 s, or when `flush` or
    `close` returns. Points that cannot be written stay in memory and are tried again.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._path = database.path
        self._waiting: list[_Waiting] = []
        self._next_index: dict[tuple[str, str], int] = {}
        self._some = asyncio.Event()
        self._many = asyncio.Event()
        self._flushing = asyncio.Lock()
        self._watchers: dict[str, list[Watcher]] = {}
        self._closing = False
        self._task = asyncio.create_task(self._flush_for_ever(), name="metric store")

    @classmethod
    async def open(cls, path: Path) -> MetricStore:
        """Opens or creates the metrics database.

        Raises:
            IncompatibleVersion, StorageError: as `Database.open`.
        """
        return cls(await Database.open(path, "metrics", "NORMAL"))

    @property
    def waiting(self) -> int:
        """Points that are in memory only."""
        return len(self._waiting)

    def add(self, owner: str, points: Iterable[Point]) -> int:
        """Takes points of `owner` (`run:42`) into memory and says how many. Takes all or none.

        A point without an index gets the one after the series' last.

        Raises:
            InvalidRequest: a point has an index or a value that cannot be kept.
            Overloaded: too many points wait for the disk.
            StorageError: the store is closed.
        """
        new = [_checked(owner, point) for point in points]
        if self._task.done():
            raise StorageError("the metric store is closed.", place=Place(str(self._path)))
        if len(self._waiting) + len(new) > WAITING_POINTS:
            raise Overloaded(
                "too many metric points wait for the disk.",
                hint="Send fewer, or check that the disk is not full.",
            )
        self._waiting += new
        self._some.set()
        if len(self._waiting) >= FLUSH_POINTS:
            self._many.set()
        return len(new)

    async def flush(self) -> None:
        """Writes every point added before the call; once it returns, they survive any crash.

        Raises:
            StorageError: the disk is full or broken; the points are kept and tried again later.
        """
        async with self._flushing:
            remaining = len(self._waiting)
            while remaining > 0:
                batch = self._waiting[:BATCH_POINTS]
                await self._resolve_indexes(batch)
                ready = self._with_indexes(batch)
                # Their indexes stay, so that a second try writes the same rows.
                self._waiting[: len(batch)] = ready
                await self._database.write(partial(series.add_points, points=ready))
                del self._waiting[: len(batch)]
                remaining -= len(batch)
                self._tell(ready)

    async def take(
        self, owner: str, rows: Sequence[Row], reached: Mapping[str, int] | None = None
    ) -> None:
        """Writes points at once; with them, how far their files are taken in.

        The rows must be such as SQLite can hold: finite times, indexes of at most 2^53
        either way (those of MLflow may be below 0), real text.

        Raises:
            StorageError: the disk is full or broken, or the store closed; nothing was kept.
        """
        async with self._flushing:
            following = self._following_of(owner, {row[0] for row in rows})
            watched = owner in self._watchers
            # All of it in the writer's thread: the loop has no time for each point.
            work = partial(_take, owner, rows, dict(reached or {}), following, watched)
            following, kept = await self._database.write(work)
            if len(self._next_index) + len(following) > KNOWN_SERIES:
                self._next_index.clear()
            self._next_index.update({(owner, name): n for name, n in following.items()})
            self._tell(kept)

    def _following_of(self, owner: str, names: set[str]) -> dict[str, int]:
        """The next indexes of an owner's series, as far as they are known."""
        known = self._next_index
        return {name: known[owner, name] for name in names if (owner, name) in known}

    def watch(self, owner: str, watcher: Watcher) -> Callable[[], None]:
        """Tell `watcher` of every point of `owner` once it is on the disk, until what comes back
        is called. It must not raise nor take long."""
        watchers = self._watchers.setdefault(owner, [])
        watchers.append(watcher)

        def end() -> None:
            if watcher in watchers:
                watchers.remove(watcher)
            if not watchers and self._watchers.get(owner) is watchers:
                del self._watchers[owner]

        return end

    def _tell(self, kept: Sequence[Kept]) -> None:
        if not self._watchers:
            return
        theirs: dict[str, list[Kept]] = {}
        for point in kept:
            if point[0] in self._watchers:
                theirs.setdefault(point[0], []).append(point)
        for owner, points in theirs.items():
            for watcher in tuple(self._watchers.get(owner, ())):
                watcher(points)

    async def offsets(self, owner: str) -> dict[str, int]:
        """How far an owner's files are taken in, in bytes, by their names."""
        return await self._database.read(
            lambda connection: metric_sources.offsets(connection, owner)
        )

    async def forget_sources(self, owner: str) -> None:
        """Forget how far an owner's files are taken in.

        Raises:
            StorageError: the disk is full or broken.
        """
        await self._database.write(lambda connection: metric_sources.forget(connection, owner))

    async def read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """What `work` reads of the metrics database, in a thread."""
        return await self._database.read(work)

    async def names(self, owner: str) -> tuple[str, ...]:
        """The names of the owner's series, sorted."""
        return await self._database.read(lambda connection: series.names(connection, owner))

    async def points(
        self,
        owner: str,
        name: str,
        *,
        after: tuple[int, float] | None = None,
        count: int = 10_000,
    ) -> tuple[StoredPoint, ...]:
        """Points as they came, in order of (index, time); see `series.read_points`."""
        return await self._database.read(
            lambda connection: series.read_points(connection, owner, name, after=after, count=count)
        )

    async def samples(
        self,
        owner: str,
        name: str,
        *,
        first: int | None = None,
        last: int | None = None,
        most: int = 2000,
    ) -> tuple[Sample, ...]:
        """A series for drawing, in at most `most` samples; see `series.read_samples`."""
        return await self._database.read(
            lambda connection: series.read_samples(
                connection, owner, name, first=first, last=last, most=most
            )
        )

    async def last_numbers(self, name: str) -> dict[str, float]:
        """The last number of every owner's series of this name; what waits in memory counts."""
        await self.flush()
        return await self._database.read(lambda connection: series.last_numbers(connection, name))

    async def roll_up(self, *, days: float = ROLL_UP_DAYS, now: float | None = None) -> None:
        """Merges points older than `days` into one sample a minute, a part at a time, so that
        new points are not kept waiting."""
        before = (time.time() if now is None else now) - days * 86_400
        left = 1
        while left:
            left = await self._database.write(partial(series.roll_up, before=before))

    async def remove_series(self, owner: str, names: Collection[str]) -> int:
        """Removes some series of an owner that sends no more points; gives how many were there."""
        async with self._flushing:
            for name in names:
                self._next_index.pop((owner, name), None)
            work = partial(series.remove_some, owner=owner, names=list(names))
            return await self._database.write(work)

    async def remove(self, owner: str) -> int:
        """Removes all series of an owner, waiting points too; gives how many were on disk."""
        async with self._flushing:
            self._waiting = [point for point in self._waiting if point[0] != owner]
            for key in [key for key in self._next_index if key[0] == owner]:
                del self._next_index[key]

            def remove(connection: sqlite3.Connection) -> int:
                metric_sources.forget(connection, owner)
                return series.remove_owner(connection, owner)

            return await self._database.write(remove)

    def stats(self) -> DatabaseStats:
        """The counters of the database below."""
        return self._database.stats()

    async def close(self) -> None:
        """Writes what waits and closes the database. May be repeated.

        Raises:
            StorageError: the disk is full or broken, and `waiting` points could not be kept.
        """
        self._closing = True
        self._some.set()
        self._many.set()
        try:
            await self._task
            await self.flush()
        finally:
            await self._database.close()

    async def _flush_for_ever(self) -> None:
        failed = False
        while not self._closing:
            await self._some.wait()  # idle costs nothing
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(FLUSH_SECONDS):
                    await self._many.wait()
            if self._closing:
                return
            self._some.clear()
            self._many.clear()
            try:
                await self.flush()
                failed = False
            except (StorageError, Overloaded) as error:
                if not failed:
                    log.error("metrics are kept in memory for now: %s", error)
                failed = True
                self._some.set()

    async def _resolve_indexes(self, batch: list[_Waiting]) -> None:
        """Reads the last index of series that need one and are not known yet."""
        wanted = {
            (owner, name)
            for owner, name, index, _, _ in batch
            if index is None and (owner, name) not in self._next_index
        }
        if not wanted:
            return
        if len(self._next_index) + len(wanted) > KNOWN_SERIES:
            self._next_index.clear()  # they are read again when needed
            wanted = {(owner, name) for owner, name, index, _, _ in batch if index is None}
        self._next_index.update(
            await self._database.read(
                lambda connection: {key: series.last_index(connection, *key) + 1 for key in wanted}
            )
        )

    def _with_indexes(self, batch: list[_Waiting]) -> list[Kept]:
        """The batch with an index for every point; the next ones count on from there."""
        ready: list[Kept] = []
        following = self._next_index
        for owner, name, index, at, value in batch:
            key = (owner, name)
            known = following[key] if index is None else index
            if key in following:
                following[key] = max(following[key], known + 1)
            ready.append((owner, name, known, at, value))
        return ready


def _take(
    owner: str,
    rows: Sequence[Row],
    reached: Mapping[str, int],
    following: Mapping[str, int],
    watched: bool,
    connection: sqlite3.Connection,
) -> tuple[dict[str, int], list[Kept]]:
    """Adds rows in a transaction; gives the next indexes, and the points where they are watched."""
    ready, after = series.with_indexes(connection, owner, rows, following)
    series.insert_points(connection, ready)
    metric_sources.note(connection, owner, reached)
    if not watched:
        return after, []
    return after, [
        (owner, row[0], point[1], row[3], row[1]) for row, point in zip(rows, ready, strict=True)
    ]


def _checked(owner: str, point: Point) -> _Waiting:
    """The point as SQLite can hold it: one bad point must not stop the good ones behind it."""
    value, index = point.value, point.index
    try:
        if not isinstance(value, str):
            value = float(value)
        "\0".join((owner, point.name, value if isinstance(value, str) else "")).encode()
        at = float(point.time)
    except (TypeError, ValueError, OverflowError) as error:
        raise InvalidRequest(f"metric {point.name!r}: {error}.") from error
    if index is not None and not 0 <= index <= LARGEST_INDEX:
        raise InvalidRequest(f"metric {point.name!r}: index {index} is not in 0 .. 2^53.")
    if not math.isfinite(at):
        raise InvalidRequest(f"metric {point.name!r}: its time is not a finite number.")
    return owner, point.name, index, at, value
