"""Bytes of a log in blocks, the last used ones kept, and where lines begin in them."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from spice_tui.models.log_door import LogDoor

BLOCK = 32 * 1024
"""Bytes of a block; blocks begin at multiples of it."""
KEPT = 48
"""Blocks that are kept: 1.5 MiB."""


class LogBlocks:
    """A log's bytes by way of a few blocks. Offsets beyond `size` do not exist."""

    def __init__(self, door: LogDoor) -> None:
        self._door = door
        self._blocks: OrderedDict[int, bytes] = OrderedDict()
        self.size = 0

    async def open(self) -> int:
        """Ask how long the log is; its size."""
        self.size = (await self._door.read(0, 0)).size
        return self.size

    def forget(self) -> None:
        """The log is another one now: keep nothing of it."""
        self._blocks.clear()
        self.size = 0

    async def block(self, number: int) -> bytes:
        """A block, as far as it goes up to `size`; what grew since it was read is read now."""
        start = number * BLOCK
        wanted = min(BLOCK, self.size - start)
        have = self._blocks.get(number, b"")
        while len(have) < wanted:
            answer = await self._door.read(start + len(have), wanted - len(have))
            if not answer.data:  # it became shorter meanwhile
                self.size = min(self.size, answer.size)
                break
            have += answer.data
        self._blocks[number] = have
        self._blocks.move_to_end(number)
        while len(self._blocks) > KEPT:
            self._blocks.popitem(last=False)
        return have[: max(0, wanted)]

    async def span(self, start: int, end: int) -> bytes:
        """Bytes [start, end), fewer where the log ends."""
        end = min(end, self.size)
        parts: list[bytes] = []
        while start < end:
            block = await self.block(start // BLOCK)
            part = block[start % BLOCK : start % BLOCK + end - start]
            if not part:
                break
            parts.append(part)
            start += len(part)
        return b"".join(parts)

    async def line_end(self, offset: int) -> int:
        """Where the line that `offset` is in ends: after its newline, or at the log's end."""
        at = offset
        while at < self.size:
            block = await self.block(at // BLOCK)
            found = block.find(b"\n", at % BLOCK)
            if found >= 0:
                return at // BLOCK * BLOCK + found + 1
            at = (at // BLOCK + 1) * BLOCK
        return self.size

    async def line_start(self, offset: int) -> int:
        """Where the line begins that `offset` is in; an offset at a newline is in that line."""
        at = min(offset, self.size)
        while at > 0:
            number = (at - 1) // BLOCK
            block = await self.block(number)
            found = block.rfind(b"\n", 0, at - number * BLOCK)
            if found >= 0:
                return number * BLOCK + found + 1
            at = number * BLOCK
        return 0

    async def count_lines(self, start: int, end: int) -> int:
        """How many lines end in [start, end)."""
        count = 0
        while start < min(end, self.size):
            block = await self.block(start // BLOCK)
            stop = min(end - start // BLOCK * BLOCK, len(block))
            if stop <= start % BLOCK:
                break
            count += block.count(b"\n", start % BLOCK, stop)
            start = (start // BLOCK + 1) * BLOCK
        return count
