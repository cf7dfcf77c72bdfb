"""Reading append-only log files: by byte range, by time, and from the end. Blocking.

Beside a log `logs.txt` may lie its sparse time index `logs.txt.idx`: records of `<Qd`, the offset
of the first byte appended after a moment and that moment in unix seconds, at least every 64 KiB
or every second of writing. A last record that is torn is left out, and a log without an index can
still be read; only `seek_time` then has nothing to go by.
"""

from __future__ import annotations

import bisect
import os
import struct
from pathlib import Path

from spice_engine.errors import NotFound, StorageError
from spice_engine.records import record
from spice_engine.store.disk import storage_error

RECORD = struct.Struct("<Qd")
LARGEST_READ = 2**20
_BLOCK = 64 * 2**10


@record
class LogSlice:
    """Part of a log: its bytes begin at `offset`; `size` is the whole log's length now."""

    offset: int
    data: bytes
    size: int

    @property
    def next_offset(self) -> int:
        """Where the next read goes on."""
        return self.offset + len(self.data)


class LogIndex:
    """The time index of one log, as it was when read. Offsets in bytes, times in unix seconds."""

    def __init__(self, offsets: tuple[int, ...], times: tuple[float, ...]) -> None:
        self.offsets = offsets
        self.times = times

    @classmethod
    def load(cls, log: Path) -> LogIndex:
        """Reads the index beside `log`; empty where there is none.

        Raises:
            StorageError: it is there and cannot be read.
        """
        try:
            data = index_path(log).read_bytes()
        except FileNotFoundError:
            data = b""
        except OSError as error:
            raise storage_error(error, "read the log's index", index_path(log)) from error
        whole = len(data) - len(data) % RECORD.size
        offsets: list[int] = []
        times: list[float] = []
        for offset, time in RECORD.iter_unpack(data[:whole]):
            # A clock may be set back, and a damaged record may say anything: the index stays
            # sorted in both columns, so that it can be searched.
            if offsets and offset < offsets[-1]:
                continue
            offsets.append(offset)
            times.append(max(time, times[-1]) if times else time)
        return cls(tuple(offsets), tuple(times))

    def offset_at(self, time: float) -> int:
        """Where a reader must begin to see all that was appended at or after `time`."""
        found = bisect.bisect_left(self.times, time) - 1
        return self.offsets[found] if found >= 0 else 0

    def time_at(self, offset: int) -> float | None:
        """About when the byte at `offset` was appended; None before the first record."""
        found = bisect.bisect_right(self.offsets, offset) - 1
        return self.times[found] if found >= 0 else None


def index_path(log: Path) -> Path:
    """Where the index of `log` lies."""
    return log.with_name(f"{log.name}.idx")


def size(log: Path) -> int:
    """The log's length in bytes; 0 if nothing was written yet."""
    try:
        return log.stat().st_size
    except FileNotFoundError:
        return 0


def read_range(log: Path, offset: int, limit: int = LARGEST_READ) -> LogSlice:
    """At most `limit` bytes from `offset`; fewer or none at the end. A negative offset counts
    from the end.

    Raises:
        NotFound: there is no such log.
        StorageError: it cannot be read.
    """
    try:
        with log.open("rb") as source:
            length = os.fstat(source.fileno()).st_size
            start = max(0, length + offset) if offset < 0 else min(offset, length)
            data = os.pread(source.fileno(), max(0, min(limit, LARGEST_READ)), start)
    except OSError as error:
        raise unreadable(error, log) from error
    return LogSlice(start, data, max(length, start + len(data)))


def seek_time(log: Path, time: float) -> int:
    """The offset, at the start of a line, from which all that was written at or after the unix
    `time` follows. It may begin up to one index record earlier; 0 without an index.

    Raises:
        StorageError: the log or its index cannot be read.
    """
    offset = min(LogIndex.load(log).offset_at(time), size(log))
    return _line_start(log, offset) if offset else 0


def tail(log: Path, lines: int) -> LogSlice:
    """The last `lines` lines. A last line without its newline is one of them. At most 1 MiB, cut
    at the start of a line where there is one.

    Raises:
        NotFound: there is no such log.
        StorageError: it cannot be read.
    """
    try:
        with log.open("rb") as source:
            length = os.fstat(source.fileno()).st_size
            start = _last_lines(source.fileno(), length, lines)
            data = os.pread(source.fileno(), length - start, start)
    except OSError as error:
        raise unreadable(error, log) from error
    return LogSlice(start, data, length)


def _last_lines(descriptor: int, length: int, lines: int) -> int:
    """The offset at which the last `lines` lines begin, within the last `LARGEST_READ` bytes."""
    if lines <= 0 or not length:
        return length
    lowest = max(0, length - LARGEST_READ)
    position, left = length, lines
    earliest_line = length
    while position > lowest:
        begin = max(lowest, position - _BLOCK)
        block = os.pread(descriptor, position - begin, begin)
        # The newline that ends the last line does not begin another one.
        end = len(block) - 1 if position == length else len(block)
        while (end := block.rfind(b"\n", 0, end)) >= 0:
            earliest_line = begin + end + 1
            left -= 1
            if not left:
                return earliest_line
        position = begin
    if lowest == 0:
        return 0
    return earliest_line if earliest_line < length else lowest


def _line_start(log: Path, offset: int) -> int:
    """The start of the line that the byte at `offset` is in, or `offset` if the line is longer
    than a block."""
    try:
        with log.open("rb") as source:
            begin = max(0, offset - _BLOCK)
            found = os.pread(source.fileno(), offset - begin, begin).rfind(b"\n")
    except FileNotFoundError:
        return 0
    except OSError as error:
        raise unreadable(error, log) from error
    if found >= 0:
        return begin + found + 1
    return 0 if begin == 0 else offset


def unreadable(error: OSError, log: Path) -> NotFound | StorageError:
    if isinstance(error, FileNotFoundError):
        return NotFound(f"there is no log {log}.")
    return storage_error(error, "read the log", log)
