"""Where in a log a moment is: by its time index, or by the times its lines begin with. Blocks."""

from __future__ import annotations

import bisect
import math
import re
from datetime import UTC, datetime
from pathlib import Path

from spice_engine.store import appendlog

_STAMP = re.compile(rb"^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3})Z ", re.MULTILINE | re.ASCII)
_PIECE = 64 * 1024
MOST_TIMES = 10_000


def offset_at(path: Path, moment: float, *, stamped: bool) -> tuple[int, bool]:
    """The offset from which all that was written at or after `moment` (Unix seconds) follows.

    `stamped`: lines begin with times as the engine's log has them. The second value is False
    where the log tells no times: then the offset is its end, or its start for a moment before its
    last change.

    Raises:
        StorageError: it cannot be read.
    """
    size = appendlog.size(path)
    if not size or math.isnan(moment):
        return 0, False
    if stamped:
        return _by_stamps(path, moment, size)
    if appendlog.LogIndex.load(path).times:
        return appendlog.seek_time(path, moment), True
    return (size if moment > path.stat().st_mtime else 0), False


def times_from(path: Path, offset: int) -> tuple[list[int], list[float], bool]:
    """Where the parts of a log from `offset` on begin, when each was written, and whether these
    are all. The first may begin before `offset`.

    Raises:
        StorageError: the index cannot be read.
    """
    index = appendlog.LogIndex.load(path)
    start = max(0, bisect.bisect_right(index.offsets, offset) - 1)
    stop = start + MOST_TIMES
    done = stop >= len(index.offsets)
    return list(index.offsets[start:stop]), list(index.times[start:stop]), done


def _by_stamps(path: Path, moment: float, size: int) -> tuple[int, bool]:
    """Bisect for the first stamped line at or after `moment`; the end where there is none."""
    low, high, exact = 0, size, False
    while low < high:
        middle = (low + high) // 2
        found = _stamp_from(path, middle, size)
        exact = exact or found is not None
        if found is not None and found[1] < moment:
            low = found[0] + 1
        else:
            high = middle
    last = _stamp_from(path, low, size)
    return (size if last is None else last[0]), exact or last is not None


def _stamp_from(path: Path, start: int, stop: int) -> tuple[int, float] | None:
    """Where it begins and the time of the first stamped line that begins in [start, stop)."""
    while start < stop:
        piece = appendlog.read_range(path, max(0, start - 1), _PIECE)
        for match in _STAMP.finditer(piece.data):
            begin = piece.offset + match.start()
            if begin >= stop:
                return None
            # At the start of a piece `^` matches anywhere in a line.
            if begin >= start and (match.start() or not piece.offset):
                return begin, _seconds(match[1])
        if len(piece.data) < _PIECE:
            return None
        start = piece.next_offset - 32  # a stamp may be cut
    return None


def _seconds(text: bytes) -> float:
    try:
        return datetime.fromisoformat(text.decode()).replace(tzinfo=UTC).timestamp()
    except ValueError:  # no such day
        return 0.0
