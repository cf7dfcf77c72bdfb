"""A file at hand as a log, without an engine: in pieces, never as a whole."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path

from spice_engine.errors import NotFound, StorageError
from spice_engine.protocol.views import LineIndex, LogBytes, LogMatches, LogOffset
from spice_engine.units import parse_time

STRIDE = 1000
"""Every so many lines one place is noted."""
PIECE = 1024 * 1024
STAMP_WITHIN = 64
"""A line's time stands within its first bytes."""
_STAMP = re.compile(rb"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d")
_LITERAL = re.compile(r"[\w \-/:=,;@#%&!<>'\"~]+", re.ASCII)


class FileLog:
    """Raises `NotFound` or `StorageError` where the file cannot be read."""

    def __init__(self, path: Path) -> None:
        self._path = path

    async def read(self, offset: int, limit: int) -> LogBytes:
        """Bytes of the file."""
        return await asyncio.to_thread(self._read, offset, limit)

    async def index(self, line: int, offset: int) -> LineIndex:
        """Where lines begin, to the end of the file."""
        return await asyncio.to_thread(self._index, line, offset)

    async def search(
        self, pattern: str, offset: int, *, backwards: bool, ignore_case: bool, limit: int
    ) -> LogMatches:
        """Lines that match."""
        search = self._backwards if backwards else self._forwards
        return await asyncio.to_thread(search, _matcher(pattern, ignore_case), offset, limit)

    async def at(self, time: float) -> LogOffset:
        """The first line with a time stamp at `time` or later, by halving."""
        return await asyncio.to_thread(self._at, time)

    def _read(self, offset: int, limit: int) -> LogBytes:
        try:
            with self._path.open("rb") as file:
                size = file.seek(0, 2)
                file.seek(min(offset, size))
                return LogBytes(offset, file.read(limit), size)
        except FileNotFoundError as error:
            raise NotFound(
                f"The log {self._path.name} does not exist in {self._path.parent}."
            ) from error
        except OSError as error:
            raise StorageError(f"{self._path} cannot be read: {error.strerror}.") from error

    def _pieces(self, offset: int) -> Iterator[tuple[int, bytes]]:
        """Pieces of whole lines from `offset`, a line's start; the last may be torn."""
        while True:
            answer = self._read(offset, PIECE)
            data = answer.data
            while offset + len(data) < answer.size and b"\n" not in data:
                data += self._read(offset + len(data), PIECE).data
            if offset + len(data) < answer.size:
                data = data[: data.rfind(b"\n") + 1]
            if not data:
                return
            yield offset, data
            offset += len(data)

    def _index(self, line: int, offset: int) -> LineIndex:
        offsets = [offset]
        first, end, size = line, offset, offset
        for start, data in self._pieces(offset):
            size = start + len(data)
            at = 0
            # Few lines are noted: most are only counted.
            while (found := data.find(b"\n", at)) >= 0:
                line += 1
                at = found + 1
                if (line - first) % STRIDE == 0:
                    offsets.append(start + at)
            end = start + at
        if offsets[-1] >= size and len(offsets) > 1:
            offsets.pop()
        return LineIndex(first, STRIDE, offsets, line, end, size)

    def _forwards(self, matcher: _Matcher, offset: int, limit: int) -> LogMatches:
        found: list[int] = []
        looked = 0
        following = offset
        for start, data in self._pieces(offset):
            for at, end in matcher.lines(data):
                found.append(start + at)
                if len(found) >= limit:
                    return LogMatches(found, start + end, False, looked + end)
            looked += len(data)
            following = start + data.rfind(b"\n") + 1  # a torn line is looked at again
        return LogMatches(found, following, True, looked)

    def _backwards(self, matcher: _Matcher, offset: int, limit: int) -> LogMatches:
        found: list[int] = []
        end = offset
        while end > 0:
            start = max(0, end - PIECE)
            data = self._read(start, end - start).data
            while start > 0 and b"\n" not in data[:-1]:
                more = max(0, start - PIECE)
                data = self._read(more, start - more).data + data
                start = more
            if start > 0:
                whole = data.find(b"\n") + 1
                data, start = data[whole:], start + whole
            for at, _ in reversed(list(matcher.lines(data))):
                found.append(start + at)
                if len(found) >= limit:
                    return LogMatches(found, start + at, start + at == 0, offset - start - at)
            end = start
        return LogMatches(found, 0, True, offset)

    def _at(self, time: float) -> LogOffset:
        low, high = 0, self._read(0, 0).size
        exact = False
        while high - low > PIECE // 8:
            middle = (low + high) // 2
            stamp = self._stamp_after(middle, high)
            exact = exact or stamp is not None
            if stamp is not None and stamp[0] < time:
                low = stamp[1]
            else:
                high = middle
        for start, data in self._pieces(self._start_of(low)):
            at = 0
            while at < len(data):
                stop = data.find(b"\n", at)
                end = len(data) if stop < 0 else stop + 1
                match = _STAMP.search(data, at, min(end, at + STAMP_WITHIN))
                exact = exact or match is not None
                if match is not None and _moment(match[0]) >= time:
                    return LogOffset(start + at, exact)
                at = end
        return LogOffset(self._read(0, 0).size, exact)

    def _start_of(self, offset: int) -> int:
        """The start of the line that `offset` is in."""
        while offset > 0:
            start = max(0, offset - PIECE)
            found = self._read(start, offset - start).data.rfind(b"\n")
            if found >= 0:
                return start + found + 1
            offset = start
        return 0

    def _stamp_after(self, offset: int, end: int) -> tuple[float, int] | None:
        """The first stamp that begins in [offset, end): its time and where it stands."""
        step = PIECE // 16
        while offset < end:
            match = _STAMP.search(self._read(offset, min(step, end - offset) + 32).data)
            if match is not None:
                return _moment(match[0]), offset + match.start()
            offset += step
        return None


def _moment(stamp: bytes) -> float:
    return float(parse_time(stamp.decode("ascii").replace(" ", "T") + "Z"))


class _Matcher:
    """Finds the lines of a piece that match."""

    def __init__(self, pattern: re.Pattern[bytes] | None, literal: bytes, fold: bool) -> None:
        self._pattern = pattern
        self._literal = literal
        self._fold = fold

    def lines(self, data: bytes) -> Iterator[tuple[int, int]]:
        """Start and end of each line that matches."""
        at = 0
        folded = data.lower() if self._pattern is None and self._fold else data
        while at < len(data):
            found = self._find(folded, at)
            if found < 0:
                return
            start = data.rfind(b"\n", 0, found) + 1
            stop = data.find(b"\n", found)
            end = len(data) if stop < 0 else stop + 1
            # What matched in the piece may reach over several lines: the line alone decides.
            if self._pattern is None or self._pattern.search(data[start : end - (stop >= 0)]):
                yield start, end
            at = end

    def _find(self, data: bytes, at: int) -> int:
        if self._pattern is None:
            return data.find(self._literal, at)
        match = self._pattern.search(data, at)
        return -1 if match is None else min(match.start(), len(data) - 1)


def _matcher(pattern: str, ignore_case: bool) -> _Matcher:
    """A matcher; text without special signs is looked for without regular expressions.

    A pattern that is no regular expression is looked for as it is.
    """
    if _LITERAL.fullmatch(pattern):
        literal = pattern.lower() if ignore_case else pattern
        return _Matcher(None, literal.encode(), ignore_case)
    flags = re.MULTILINE | (re.IGNORECASE if ignore_case else 0)
    try:
        compiled = re.compile(pattern.encode(), flags)
    except re.error:
        compiled = re.compile(re.escape(pattern).encode(), flags)
    return _Matcher(compiled, b"", ignore_case)
