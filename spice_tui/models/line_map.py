"""Which line begins where: a few known places of a log, from an index that grows."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from spice_engine.protocol.views import LineIndex


class LineMap:
    """Starts of some lines, in order. `lines` whole lines are known; after them comes `end`."""

    def __init__(self) -> None:
        self._lines = array("q", [0])
        self._offsets = array("q", [0])
        self.lines = 0
        self.end = 0

    def add(self, index: LineIndex) -> bool:
        """Take in a part of the index that goes on at `end`; whether there was anything new."""
        if index.line != self.lines:
            return False
        for number, offset in enumerate(index.offsets):
            line = index.line + number * index.stride
            if line > self._lines[-1]:
                self._lines.append(line)
                self._offsets.append(offset)
        grown = index.lines > self.lines
        self.lines, self.end = max(self.lines, index.lines), max(self.end, index.end)
        return grown

    def near_line(self, line: int) -> tuple[int, int]:
        """The last known (line, offset) at or before a line."""
        at = bisect_right(self._lines, max(0, line)) - 1
        return self._lines[at], self._offsets[at]

    def near_offset(self, offset: int) -> tuple[int, int]:
        """The last known (line, offset) at or before an offset."""
        at = bisect_right(self._offsets, max(0, offset)) - 1
        return self._lines[at], self._offsets[at]
