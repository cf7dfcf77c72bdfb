"""Takes in what runs write for their metrics: the lines of `send_metric`, and event files.

While a run goes on its files are looked at a few times a second; what they hold is stored with
how far they were read, so that a crash of the engine neither loses a point nor doubles one. When
the process has ended everything is taken in before the end is recorded.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

from spice_engine.errors import SpiceError
from spice_engine.protocol.runs import RunInfo
from spice_engine.runs import event_folder, metric_lines
from spice_engine.runs.rounds import Rounds
from spice_engine.runs.service import Runs
from spice_engine.runs.states import has_process
from spice_engine.store.disk import storage_error
from spice_engine.store.metrics import Row
from spice_engine.store.runs import FINAL_STATES, RunRow
from spice_engine.store.series import MEASURED

log = logging.getLogger(__name__)

LOOK_SECONDS = 0.2
AGAIN_SECONDS = 1.0
"""Between tries while the disk refuses."""
MOST_SERIES = 10_000
"""Of one run; a script that makes a new name for each point must not fill the store."""
EVENTS_EVERY = 5
"""Event files are looked for each so many looks."""


def metric_file(folder: Path, attempt: int) -> Path:
    """Where an attempt of a run with this folder writes its points."""
    return folder / f"metrics.{attempt}.jsonl"


def owner_of(number: int) -> str:
    """The name of a run's series in the metric store."""
    return f"runs/{number}"


@dataclass(slots=True)
class _Feed:
    """What is known of the files of one run."""

    number: int
    file: Path
    events: tuple[Path, ...] = ()
    offsets: dict[str, int] | None = None
    names: set[str] = field(default_factory=set[str])
    readers: dict[str, event_folder.EventReader] = field(
        default_factory=dict[str, "event_folder.EventReader"]
    )
    since: float = 0.0
    bad: int = 0
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


class MetricFeeds:
    """The files of all runs. `start` first, `close` at the end; belongs to the engine's loop."""

    def __init__(self, runs: Runs) -> None:
        self._runs = runs
        self._metrics = runs.metrics
        self._feeds: dict[int, _Feed] = {}
        self._turn = 0
        self._rounds = Rounds(
            "metrics of runs",
            self._look,
            seconds=lambda: LOOK_SECONDS,
            needed=lambda: self._feeds,
        )
        self._end_listening: Callable[[], None] = runs.listen(self._hear)
        runs.settling.append(self._settle)

    def start(self) -> None:
        """Begin; on the running loop."""
        self._rounds.start()

    async def close(self) -> None:
        """End it; what is not taken in yet is taken in by the next engine."""
        self._end_listening()
        await self._rounds.close()

    async def catch_up(self, number: int) -> None:
        """Take in all that a run has written so far.

        Raises:
            StorageError: the disk is full or broken.
        """
        feed = self._feeds.get(number)
        if feed is not None:
            await self._take(feed, ended=False, events=True)
        await self._metrics.flush()

    def _hear(self, info: RunInfo) -> None:
        if info.state in FINAL_STATES:
            self._feeds.pop(info.id, None)
        elif info.state == "running" and has_process(info) and info.id not in self._feeds:
            self._feeds[info.id] = self._feed(info)
            self._rounds.wake()

    def _feed(self, run: RunInfo | RunRow) -> _Feed:
        folder = self._runs.folder(run.id)
        in_place = run.in_place if isinstance(run, RunInfo) else not run.code
        copied = None if in_place else (folder, self._runs.location.root)
        events = event_folder.places(run.tensorboard, Path(run.cwd), copied)
        return _Feed(run.id, metric_file(folder, run.attempt), events, since=run.created)

    async def _look(self) -> None:
        """Take in what is new of the files that grew."""
        self._turn += 1
        events = self._turn % EVENTS_EVERY == 0
        feeds = list(self._feeds.values())
        grown = await asyncio.to_thread(lambda: [feed for feed in feeds if _grew(feed, events)])
        for feed in grown:
            try:
                await self._take(feed, ended=False, events=events)
            except SpiceError as error:
                log.warning("run %s: its metrics wait: %s", feed.number, error)
                await asyncio.sleep(AGAIN_SECONDS)

    async def _settle(self, row: RunRow) -> None:
        """Take in the rest of what a run wrote; its process has ended."""
        feed = self._feeds.pop(row.id, None)
        if feed is None:
            feed = self._feed(row)
        if not await asyncio.to_thread(_exists, feed):
            return
        await self._insist(lambda: self._take(feed, ended=True, events=True))
        await asyncio.to_thread(_remove, feed.file)
        await self._insist(lambda: self._metrics.forget_sources(owner_of(row.id)))

    async def _insist(self, work: Callable[[], Awaitable[None]]) -> None:
        """Do it, however long the disk refuses."""
        while True:
            try:
                return await work()
            except SpiceError as error:
                log.warning("metrics of a run wait for the disk: %s", error)
                await asyncio.sleep(AGAIN_SECONDS)

    async def _take(self, feed: _Feed, *, ended: bool, events: bool) -> None:
        async with feed.lock:
            if feed.offsets is None:
                owner = owner_of(feed.number)
                names = await self._metrics.names(owner)
                feed.names = {name for name in names if not name.startswith(MEASURED)}
                feed.offsets = await self._metrics.offsets(owner)
            try:
                await self._take_lines(feed, feed.offsets, ended=ended)
                if events and feed.events:
                    await self._take_events(feed, feed.offsets)
            except OSError as error:
                raise storage_error(error, "read a run's metrics", feed.file) from error

    async def _take_lines(self, feed: _Feed, offsets: dict[str, int], *, ended: bool) -> None:
        """As far as the file goes now: a run that never pauses must not keep the others waiting."""
        name = feed.file.name
        size = await asyncio.to_thread(_size, feed.file)
        while offsets.get(name, 0) < size:
            chunk = await asyncio.to_thread(
                metric_lines.read_chunk, feed.file, offsets.get(name, 0), whole=ended
            )
            if chunk is None:
                return
            if chunk.bad and not feed.bad:
                log.warning("run %s: lines of %s are no metrics", feed.number, feed.file)
            feed.bad += chunk.bad
            await self._store(feed, offsets, chunk.rows, {name: chunk.end})

    async def _take_events(self, feed: _Feed, offsets: dict[str, int]) -> None:
        found = await asyncio.to_thread(event_folder.files_in, feed.events)
        for name, path in found.items():
            reader = feed.readers.get(name)
            if reader is None:
                start = offsets.get(f"events/{name}", 0)
                reader = feed.readers[name] = event_folder.EventReader(
                    name, start, since=feed.since
                )
            while True:
                begin = reader.offset
                rows = await asyncio.to_thread(reader.read, path)
                if reader.offset == begin:
                    break
                try:
                    await self._store(feed, offsets, rows, {f"events/{name}": reader.offset})
                except SpiceError:
                    reader.offset = begin
                    raise

    async def _store(
        self, feed: _Feed, offsets: dict[str, int], rows: list[Row], reached: dict[str, int]
    ) -> None:
        new = {row[0] for row in rows} - feed.names
        if len(feed.names) + len(new) > MOST_SERIES:
            log.warning(
                "run %s: more than %s metrics; others are left out", feed.number, MOST_SERIES
            )
            new = set(sorted(new)[: max(0, MOST_SERIES - len(feed.names))])
            rows = [row for row in rows if row[0] in feed.names or row[0] in new]
        await self._metrics.take(owner_of(feed.number), rows, reached)
        feed.names |= new
        offsets.update(reached)


def _grew(feed: _Feed, events: bool) -> bool:
    if events and feed.events:
        return True
    return _size(feed.file) > (feed.offsets or {}).get(feed.file.name, 0)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _exists(feed: _Feed) -> bool:
    return feed.file.exists() or any(place.exists() for place in feed.events)


def _remove(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        log.warning("%s stays: %s", path, error)
