"""All logs of a folder for those who look into them; large ones are gone through in a child."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path

from spice_engine.errors import DeadlineExceeded, InvalidRequest, NotFound
from spice_engine.protocol.views import (
    GetLineIndex,
    LineIndex,
    LogBytes,
    LogMatches,
    LogOffset,
    LogSource,
    LogSources,
    LogTimes,
    SearchLog,
)
from spice_engine.runs.log_sources import ENGINE, LogFiles, size_of
from spice_engine.runs.log_times import offset_at, times_from
from spice_engine.runs.logs import LOG_NAME
from spice_engine.runs.rank_jobs import log_of
from spice_engine.runs.service import Runs
from spice_engine.runs.states import info_of
from spice_engine.store import appendlog
from spice_engine.store import runs as table
from spice_engine.store.log_lines import STRIDE, Lines, index_lines
from spice_engine.store.runs import FINAL_STATES
from spice_engine.workers.pool import ChildPool

SMALL = 2**20
"""Bytes that are quicker looked at in a thread than sent for in a child."""

SEARCH_SECONDS = 10.0
"""A search answers within a second; what takes so long is stuck in one line."""

INDEX_SECONDS = 120.0
MOST_RUNS = 10_000


class Logs:
    """The service behind the operations on logs."""

    def __init__(self, runs: Runs, pools: Mapping[str, ChildPool]) -> None:
        self._runs = runs
        self._children = pools["query"]
        self._files = LogFiles(runs.location, runs.folder, pools)
        runs.logs.follow_also(self._files.path)

    def close(self) -> None:
        """Look at the sizes of logs no more."""
        self._runs.logs.close()

    async def sources(self, runs: int) -> LogSources:
        """The logs there are, of at most `runs` runs."""
        count = max(0, min(runs, MOST_RUNS))
        rows = await self._runs.database.read(
            lambda connection: table.list_newest(connection, count)
        )
        return await asyncio.to_thread(self._sources, rows)

    def _sources(self, rows: tuple[table.RunRow, ...]) -> LogSources:
        engine = self._files.path(ENGINE)
        found = [LogSource(ENGINE, "The engine", size_of(engine), True)]
        for row in rows:
            path = self._runs.folder(row.id) / LOG_NAME
            title = row.name or " ".join(info_of(row).command)
            live = row.state not in FINAL_STATES
            found.append(LogSource(f"run/{row.id}", title, size_of(path), live))
            for rank in range(row.distributed):
                path = log_of(self._runs.folder(row.id), rank)
                name = f"run/{row.id}/{rank}"
                found.append(LogSource(name, f"{title}, rank {rank}", size_of(path), live))
        for name, title, size, live in self._files.servers():
            found.append(LogSource(f"server/{name}", title, size, live))
        for name, size, live in self._files.children():
            found.append(LogSource(f"child/{name}", name, size, live))
        return LogSources(found)

    async def read(self, source: str, offset: int, limit: int) -> LogBytes:
        """At most 1 MiB of a log as it is.

        Raises:
            NotFound, InvalidRequest, StorageError: see `LogFiles.path`; it cannot be read.
        """
        _check_offset(offset)
        return await asyncio.to_thread(self._read, source, offset, limit)

    def _read(self, source: str, offset: int, limit: int) -> LogBytes:
        path = self._files.path(source)
        try:
            piece = appendlog.read_range(path, offset, limit)
        except NotFound:
            return LogBytes(0, b"", 0)
        return LogBytes(piece.offset, piece.data, piece.size)

    async def index(self, request: GetLineIndex) -> LineIndex:
        """Where lines begin.

        Raises:
            NotFound, InvalidRequest, StorageError: see `LogFiles.path`; it cannot be read.
        """
        _check_offset(request.offset)
        _check_offset(request.line)
        path, size = await asyncio.to_thread(self._look, request.source)
        if size - request.offset <= SMALL:
            lines = await asyncio.to_thread(index_lines, path, request.line, request.offset)
        else:
            lines = Lines(
                **await self._children.call(
                    "index_log",
                    {"path": str(path), "line": request.line, "offset": request.offset},
                    deadline=INDEX_SECONDS,
                )
            )
        return LineIndex(lines.line, STRIDE, lines.offsets, lines.lines, lines.end, lines.size)

    async def search(self, request: SearchLog) -> LogMatches:
        """Lines that match, or as far as it came in half a second.

        Raises:
            InvalidRequest: the pattern is none, or takes too long.
            NotFound, StorageError: see `LogFiles.path`; it cannot be read.
        """
        _check_offset(request.offset)
        path, size = await asyncio.to_thread(self._look, request.source)
        if not size:  # perhaps not begun
            return LogMatches([], 0, True, 0)
        try:
            found = await self._children.call(
                "search_log",
                {
                    "path": str(path),
                    "pattern": request.pattern,
                    "offset": min(request.offset, size),
                    "backwards": request.backwards,
                    "regex": request.regex,
                    "ignore_case": request.ignore_case,
                    "limit": request.limit,
                    "invert": request.invert,
                },
                deadline=SEARCH_SECONDS,
            )
        except DeadlineExceeded as error:
            raise InvalidRequest(
                f"the search took over {SEARCH_SECONDS:g} s and was stopped: "
                "the pattern tries too many ways to match a line.",
                hint="Write it without a repeat in a repeat, such as (a+)+; or search for text.",
            ) from error
        return LogMatches(found["offsets"], found["next"], found["done"], found["looked"])

    async def at(self, source: str, moment: float) -> LogOffset:
        """Where in a log what was written at a moment is.

        Raises:
            NotFound, InvalidRequest, StorageError: see `LogFiles.path`; it cannot be read.
        """
        return await asyncio.to_thread(self._at, source, moment)

    def _at(self, source: str, moment: float) -> LogOffset:
        offset, exact = offset_at(self._files.path(source), moment, stamped=source == ENGINE)
        return LogOffset(offset, exact)

    async def times(self, source: str, offset: int) -> LogTimes:
        """When the parts of a log were written.

        Raises:
            NotFound, InvalidRequest, StorageError: see `LogFiles.path`; it cannot be read.
        """
        _check_offset(offset)
        return await asyncio.to_thread(self._times, source, offset)

    def _times(self, source: str, offset: int) -> LogTimes:
        offsets, moments, done = times_from(self._files.path(source), offset)
        return LogTimes(offsets, moments, done)

    def _look(self, source: str) -> tuple[Path, int]:
        path = self._files.path(source)
        return path, size_of(path)


def _check_offset(number: int) -> None:
    if not 0 <= number < 2**63:
        raise InvalidRequest(f"{number} is no place in a log.")
