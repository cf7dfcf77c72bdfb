"""The model of a log view: a window on a log of any size, of which a few blocks are held.

It opens at the end by bytes; which line is which is known as soon as the index has come that far.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from typing import TYPE_CHECKING

from spice_engine.records import record
from spice_tui.models.line_map import LineMap
from spice_tui.models.log_blocks import LogBlocks
from spice_tui.models.log_text import LONGEST, LogLine, log_line
from spice_tui.models.log_walk import EveryLine, MatchingLines, Walk

if TYPE_CHECKING:
    from spice_tui.models.log_door import LogDoor

LINES_KEPT = 400
"""Decoded lines that are kept."""


@record
class LogPage:
    """What a log view shows: some lines, and where the cursor is among them.

    `number` is the number of the cursor's line, from 1; 0 while it is not known. `lines_known`
    is how many lines the log has as far as is known, `new` how many came since it was followed.
    """

    lines: tuple[LogLine, ...] = ()
    cursor: int = 0
    number: int = 0
    lines_known: int = 0
    size: int = 0
    following: bool = True
    new: int = 0
    filter: str = ""
    search: str = ""

    @property
    def current(self) -> LogLine | None:
        """The line the cursor is on."""
        return self.lines[self.cursor] if self.lines else None


def expression(text: str) -> tuple[str, bool]:
    """The regular expression that a person means, and whether case counts for nothing.

    Text that is no regular expression is meant as it is; text without capitals in any case.
    """
    try:
        re.compile(text)
    except re.error:
        text = re.escape(text)
    return text, text == text.lower()


class LogWindow:
    """A window of `height` lines. The methods that read are to be called one after another.

    All of them raise `SpiceError` when the log cannot be read.
    """

    def __init__(self, door: LogDoor, height: int = 24) -> None:
        self._door = door
        self._blocks = LogBlocks(door)
        self._walk: Walk = EveryLine(self._blocks)
        self._map = LineMap()
        self._height = max(1, height)
        self._starts: list[int] = []
        self._cursor = 0
        self._following = True
        self._lines: OrderedDict[int, LogLine] = OrderedDict()
        self._filter = ""
        self._search = ""
        self._number = 0
        self._seen_lines = 0
        self._indexed = False
        self._grown = 0
        self._page_lines: tuple[LogLine, ...] = ()
        self.page = LogPage()

    # -- opening and growth

    async def open(self) -> LogPage:
        """Show the end of the log and follow it."""
        await self._blocks.open()
        self._grown = self._blocks.size
        return await self.go_end()

    def grew(self, size: int) -> bool:
        """The log is `size` long now; whether `pull` should be called. Costs nothing."""
        self._grown = size
        return size != self._blocks.size

    async def pull(self) -> LogPage:
        """Take in what was told by `grew`: the last lines if it is followed, else their number."""
        if self._grown < self._blocks.size:  # another log in its place
            self._blocks.forget()
            self._lines.clear()
            self._map = LineMap()
            self._following = True
            self._reset_walk()
        self._blocks.size = self._grown
        if self._indexed:
            await self._index()
        if self._following:
            return await self.go_end()
        if len(self._starts) < self._height and self._starts:
            self._starts = await self._walk.forward(self._starts[0], self._height)
        return await self.show()

    async def index(self) -> None:
        """Learn where all lines begin, so that `show` knows numbers; may run beside the others."""
        await self._index()
        self._seen_lines = self._map.lines
        self._indexed = True

    async def _index(self) -> None:
        while self._map.end < self._blocks.size:
            if not self._map.add(await self._door.index(self._map.lines, self._map.end)):
                return

    async def resize(self, height: int) -> LogPage:
        """Show so many lines."""
        height = max(1, height)
        if height == self._height or not self._starts:
            self._height = height
            return self.page
        self._height = height
        if self._following:
            return await self.go_end()
        cursor = self._starts[self._cursor]
        return await self._around(cursor, min(self._cursor, height - 1))

    # -- moving

    async def move(self, by: int) -> LogPage:
        """Move the cursor by lines. Moving up from the last line ends following."""
        if not self._starts or (by > 0 and self._following):
            return self.page
        self._set_following(False)
        target = self._cursor + by
        if target < 0:
            before = await self._walk.backward(self._starts[0], -target)
            self._starts = (before + self._starts)[: self._height]
            target = 0
        elif target >= len(self._starts):
            more = target - len(self._starts) + 1
            after = (await self._walk.forward(self._starts[-1], more + 1))[1:]
            self._starts = (self._starts + after)[-self._height :]
            target = len(self._starts) - 1
        self._cursor = target
        return await self.show()

    async def go_end(self) -> LogPage:
        """To the last line, and follow."""
        self._set_following(True)
        self._starts = await self._walk.backward(self._blocks.size, self._height)
        self._cursor = max(0, len(self._starts) - 1)
        return await self.show()

    async def go_start(self) -> LogPage:
        """To the first line."""
        self._set_following(False)
        return await self._around(0, 0)

    async def go_line(self, number: int) -> LogPage:
        """To a line by its number, from 1; beyond the last, to the last."""
        self._set_following(False)
        await self._index()
        line, offset = self._map.near_line(number - 1)
        starts = await EveryLine(self._blocks).forward(offset, max(1, number - line))
        return await self._around(starts[-1] if starts else 0)

    async def go_time(self, time: float) -> bool:
        """To what was written at a time (unix seconds); whether the log has times."""
        self._set_following(False)
        place = await self._door.at(time)
        await self._around(place.offset)
        return place.exact

    def follow(self, on: bool) -> None:
        """Follow the log's end or stop there; `go_end` moves there."""
        self._set_following(on)
        self._publish()

    def _set_following(self, on: bool) -> None:
        if on or self._following:
            self._seen_lines = self._map.lines
        self._following = on

    async def _around(self, offset: int, above: int | None = None) -> LogPage:
        """Put the cursor on the line at `offset`, or the next shown, with lines above it."""
        above = self._height // 3 if above is None else above
        before = await self._walk.backward(offset, self._height)
        after = await self._walk.forward(offset, self._height)
        above = max(above, self._height - len(after))
        if not after:
            above = self._height
        head = before[len(before) - min(above, len(before)) :]
        self._starts = (head + after)[: self._height]
        self._cursor = min(len(head), max(0, len(self._starts) - 1))
        return await self.show()

    # -- searching and filtering

    async def find(self, text: str, *, backwards: bool = False, here: bool = False) -> bool:
        """Go to the next line that matches, or the one before; whether there is one.

        With `here` the cursor's line counts too.
        """
        self._search = text
        if not text or not self._starts:
            self._publish()
            return False
        pattern, ignore_case = expression(text)
        current = self._starts[self._cursor]
        offset = current if here or backwards else await self._blocks.line_end(current)
        while True:
            answer = await self._door.search(
                pattern, offset, backwards=backwards, ignore_case=ignore_case, limit=1
            )
            if answer.offsets:
                break
            if answer.done or answer.next == offset:
                self._publish()
                return False
            offset = answer.next
        found = answer.offsets[0]
        self._set_following(False)
        if found in self._starts:
            self._cursor = self._starts.index(found)
            await self.show()
        else:
            await self._around(found)
        return True

    async def set_filter(self, text: str) -> LogPage:
        """Show only lines that match, from the cursor's on; empty: all lines."""
        if text == self._filter:
            return self.page
        self._filter = text
        self._reset_walk()
        if self._following or not self._starts:
            return await self.go_end()
        return await self._around(self._starts[self._cursor])

    def _reset_walk(self) -> None:
        if not self._filter:
            self._walk = EveryLine(self._blocks)
            return
        pattern, ignore_case = expression(self._filter)
        self._walk = MatchingLines(self._door, self._blocks, pattern, ignore_case)

    # -- the page

    async def show(self) -> LogPage:
        """The page as it is now."""
        if isinstance(self._walk, MatchingLines) and self._starts:
            self._walk.trim(self._starts[0])
        self._page_lines = tuple([await self._line(start) for start in self._starts])
        self._number = await self._number_of_cursor()
        return self._publish()

    def _publish(self) -> LogPage:
        new = 0 if self._following else max(0, self._map.lines - self._seen_lines)
        self.page = LogPage(
            lines=self._page_lines,
            cursor=self._cursor,
            number=self._number,
            lines_known=self._map.lines,
            size=self._blocks.size,
            following=self._following,
            new=new,
            filter=self._filter,
            search=self._search,
        )
        return self.page

    async def _line(self, start: int) -> LogLine:
        line = self._lines.get(start)
        if line is None:
            end = await self._blocks.line_end(start)
            data = await self._blocks.span(start, min(end, start + LONGEST))
            line = log_line(start, end, data)
            if end - start > LONGEST or data.endswith(b"\n"):  # a torn line may go on
                self._lines[start] = line
                while len(self._lines) > LINES_KEPT:
                    self._lines.popitem(last=False)
        else:
            self._lines.move_to_end(start)
        return line

    async def _number_of_cursor(self) -> int:
        """From 1; 0 where the index has not come so far."""
        if not self._starts:
            return 0
        offset = self._starts[self._cursor]
        if offset > self._map.end:
            return 0
        line, known = self._map.near_offset(offset)
        return line + 1 + await self._blocks.count_lines(known, offset)
