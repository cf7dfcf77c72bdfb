"""What a log view asks of whoever has the log: an engine, or a file at hand."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from spice_engine.protocol.views import (
    GetLineIndex,
    LineIndex,
    LogBytes,
    LogMatches,
    LogOffset,
    LogTime,
    ReadBytes,
    SearchLog,
)
from spice_tui.models.build import build

if TYPE_CHECKING:
    from spice_tui.models.authoring_door import Caller

T = TypeVar("T")


class LogDoor(Protocol):
    """One log. Offsets are bytes from its start. Every method raises `SpiceError`."""

    async def read(self, offset: int, limit: int) -> LogBytes:
        """At most `limit` bytes from `offset` on, and how long the log is."""
        ...

    async def index(self, line: int, offset: int) -> LineIndex:
        """Where lines begin from line `line` on (from 0), which begins at `offset`."""
        ...

    async def search(
        self, pattern: str, offset: int, *, backwards: bool, ignore_case: bool, limit: int
    ) -> LogMatches:
        """Lines that match a regular expression: from `offset` on, or those that begin before it.

        Backwards the last comes first.
        """
        ...

    async def at(self, time: float) -> LogOffset:
        """Where something was written at `time` (unix seconds) or after it."""
        ...


class EngineLog:
    """A log that an engine has, by its name: `engine`, `run/12`, `child/trainer-1`."""

    def __init__(self, caller: Caller, source: str) -> None:
        self._caller = caller
        self.source = source

    async def _ask(self, answer: type[T], operation: str, request: Any) -> T:
        return build(answer, await self._caller.call(operation, asdict(request)))

    async def read(self, offset: int, limit: int) -> LogBytes:
        """Bytes of the log."""
        return await self._ask(LogBytes, "logs.read", ReadBytes(self.source, offset, limit))

    async def index(self, line: int, offset: int) -> LineIndex:
        """Where lines begin."""
        return await self._ask(LineIndex, "logs.index", GetLineIndex(self.source, line, offset))

    async def search(
        self, pattern: str, offset: int, *, backwards: bool, ignore_case: bool, limit: int
    ) -> LogMatches:
        """Lines that match."""
        request = SearchLog(
            self.source,
            pattern,
            offset=offset,
            backwards=backwards,
            ignore_case=ignore_case,
            limit=limit,
        )
        return await self._ask(LogMatches, "logs.search", request)

    async def at(self, time: float) -> LogOffset:
        """Where something was written at a time."""
        return await self._ask(LogOffset, "logs.at", LogTime(self.source, time))
