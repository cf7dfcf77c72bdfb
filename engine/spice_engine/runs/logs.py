"""Pieces of a run's log as text: never cut within a character."""

from __future__ import annotations

import bisect
import os
from pathlib import Path

from spice_engine.errors import NotFound
from spice_engine.protocol.runs import LogChunk
from spice_engine.store import appendlog

LOG_NAME = "logs.txt"
MAX_CHUNK = 1024 * 1024


def read_chunk(path: Path, offset: int, limit: int, tail: int | None) -> LogChunk:
    """Text from `offset`, at most `limit` bytes of it; with `tail`, the last lines instead.

    Blocking; for a thread. Bytes that are no UTF-8 become U+FFFD. A log that was not begun is
    empty.
    """
    try:
        if tail is not None:
            piece = appendlog.tail(path, max(0, tail))
        else:
            piece = appendlog.read_range(path, max(0, offset), max(4, min(limit, MAX_CHUNK)))
        size = appendlog.size(path)
    except NotFound:
        return LogChunk(0, 0, 0, "")
    data = piece.data
    if piece.offset + len(data) < size:
        data = data[: len(data) - _incomplete(data)]
    text = data.decode("utf-8", errors="replace")
    return LogChunk(piece.offset, piece.offset + len(data), size, text)


def cut(path: Path, keep: int, why: str) -> None:
    """Keep only the first bytes of a log, and a line that says `why`. Blocks.

    Raises:
        OSError: it cannot be written.
    """
    size = appendlog.size(path)
    if size <= keep:
        return
    index = appendlog.LogIndex.load(path)
    whole = bisect.bisect_left(index.offsets, keep)
    with path.open("r+b") as file:
        file.truncate(keep)
        file.seek(0, os.SEEK_END)
        file.write(f"\n[{why}; what follows is not kept]\n".encode())
    if index.offsets:
        os.truncate(appendlog.index_path(path), whole * appendlog.RECORD.size)


def _incomplete(data: bytes) -> int:
    """How many bytes at the end begin a character whose rest is not there."""
    for back in range(1, min(4, len(data)) + 1):
        byte = data[-back]
        if byte & 0xC0 == 0x80:
            continue  # within a character: its first byte is further back
        length = 4 if byte >= 0xF0 else 3 if byte >= 0xE0 else 2 if byte >= 0xC0 else 1
        return back if length > back else 0
    return 0
