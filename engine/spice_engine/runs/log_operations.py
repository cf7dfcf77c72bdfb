"""The operations on logs: the engine's, runs' and children's."""

from __future__ import annotations

from spice_engine.operations import operation
from spice_engine.protocol.views import (
    GetLineIndex,
    GetLogSources,
    GetLogTimes,
    LineIndex,
    LogBytes,
    LogMatches,
    LogOffset,
    LogSources,
    LogTime,
    LogTimes,
    ReadBytes,
    SearchLog,
)
from spice_engine.runs.log_views import Logs


@operation("logs.sources", http="GET /api/v1/logs")
async def sources(logs: Logs, request: GetLogSources) -> LogSources:
    """List all logs that can be read: the engine's, of runs, of child processes."""
    return await logs.sources(request.runs)


@operation("logs.read", http="GET /api/v1/logs/read")
async def read(logs: Logs, request: ReadBytes) -> LogBytes:
    """Read bytes of a log as they are, at most 1 MiB."""
    return await logs.read(request.source, request.offset, request.limit)


@operation("logs.index", http="GET /api/v1/logs/index")
async def index(logs: Logs, request: GetLineIndex) -> LineIndex:
    """Tell where the lines of a log begin, every 256th of them; goes on from any known line."""
    return await logs.index(request)


@operation("logs.search", http="GET /api/v1/logs/search")
async def search(logs: Logs, request: SearchLog) -> LogMatches:
    """Find the lines of a log that match a pattern, in steps of at most 32 MiB."""
    return await logs.search(request)


@operation("logs.at", http="GET /api/v1/logs/at")
async def at(logs: Logs, request: LogTime) -> LogOffset:
    """Find the place in a log where something was written at a moment, or after it."""
    return await logs.at(request.source, request.time)


@operation("logs.times", http="GET /api/v1/logs/times")
async def times(logs: Logs, request: GetLogTimes) -> LogTimes:
    """Tell when the parts of a log were written, as far as that was noted."""
    return await logs.times(request.source, request.offset)
