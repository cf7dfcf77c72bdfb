"""Ways through a log: line by line, or from one matching line to the next."""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from spice_tui.models.log_blocks import LogBlocks
    from spice_tui.models.log_door import LogDoor

FOUND_AT_ONCE = 50
"""So many matching lines are asked for at least."""
NEAR = 4 * 1024 * 1024
"""So many bytes behind what is known are looked through rather than beginning anew."""
KEPT = 20_000
"""Starts of matching lines that are kept."""


class Walk(Protocol):
    """Starts of the lines that are shown, in order of the log."""

    async def forward(self, offset: int, count: int) -> list[int]:
        """At most `count` lines that begin at `offset` or after it."""
        ...

    async def backward(self, offset: int, count: int) -> list[int]:
        """At most `count` lines, the last ones that begin before `offset`."""
        ...


class EveryLine:
    """All lines."""

    def __init__(self, blocks: LogBlocks) -> None:
        self._blocks = blocks

    async def forward(self, offset: int, count: int) -> list[int]:
        """Lines from the one that begins at `offset` on."""
        starts: list[int] = []
        while offset < self._blocks.size and len(starts) < count:
            starts.append(offset)
            offset = await self._blocks.line_end(offset)
        return starts

    async def backward(self, offset: int, count: int) -> list[int]:
        """Lines before `offset`."""
        starts: list[int] = []
        offset = min(offset, self._blocks.size)
        while offset > 0 and len(starts) < count:
            offset = await self._blocks.line_start(offset - 1)
            starts.append(offset)
        starts.reverse()
        return starts


class MatchingLines:
    """Lines that match an expression, found as far as they are needed.

    `_found` has all of them that begin in [`_from`, `_to`).
    """

    def __init__(self, door: LogDoor, blocks: LogBlocks, pattern: str, ignore_case: bool) -> None:
        self._door = door
        self._blocks = blocks
        self._pattern = pattern
        self._ignore_case = ignore_case
        self._found: list[int] = []
        self._from = self._to = 0

    async def forward(self, offset: int, count: int) -> list[int]:
        """Matching lines at `offset` or after it."""
        await self._know(offset)
        while True:
            at = bisect_left(self._found, offset)
            if len(self._found) - at >= count or not await self._extend(count):
                return self._found[at : at + count]

    async def backward(self, offset: int, count: int) -> list[int]:
        """Matching lines before `offset`."""
        await self._know(offset)
        while True:
            at = bisect_left(self._found, offset)
            if at >= count or self._from <= 0:
                return self._found[max(0, at - count) : at]
            answer = await self._door.search(
                self._pattern,
                self._from,
                backwards=True,
                ignore_case=self._ignore_case,
                limit=max(2 * count, FOUND_AT_ONCE),
            )
            self._found[:0] = answer.offsets[::-1]
            self._from = 0 if answer.done else answer.next

    async def _know(self, offset: int) -> None:
        """Begin at `offset` anew, unless that is among what is known or just after it."""
        if self._from <= offset and 0 < offset - self._to < NEAR:
            while self._to < offset and await self._extend(FOUND_AT_ONCE):
                pass
        elif not self._from <= offset <= self._to:
            self._start_at(offset)

    async def _extend(self, count: int) -> bool:
        """Look for more behind what is known; False: there is no more for now."""
        if self._to >= self._blocks.size:
            return False
        answer = await self._door.search(
            self._pattern,
            self._to,
            backwards=False,
            ignore_case=self._ignore_case,
            limit=max(2 * count, FOUND_AT_ONCE),
        )
        last = self._found[-1] if self._found else -1  # a torn line may come once more
        self._found += [start for start in answer.offsets if start > last]
        self._to = answer.next
        return not answer.done

    def _start_at(self, offset: int) -> None:
        self._found = []
        self._from = self._to = offset

    def trim(self, offset: int) -> None:
        """Forget what is far from here when too much is known."""
        if len(self._found) > KEPT:
            self._start_at(offset)
