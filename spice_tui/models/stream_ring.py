"""The last things a client and its engine said to each other, for a bug report."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping
from typing import Any

from spice_engine.protocol import frames
from spice_engine.protocol.messages import Kind
from spice_tui.models.redaction import redact
from spice_tui.recording import FORMAT, VERSION
from spice_tui.terminal.crash import scrub

LIMIT = 1 << 20
"""Bytes of messages that are kept, the newest; beginnings come on top."""

_BEGINNINGS = frozenset({Kind.WELCOME, Kind.SNAPSHOT, Kind.SUBSCRIBE})


class StreamRing:
    """An observer of a connection; `recorded` gives what it kept, without secrets."""

    def __init__(self, limit: int = LIMIT) -> None:
        self._limit = limit
        self._start = time.monotonic()
        self._first: dict[tuple[int, object], tuple[float, str, Any]] = {}
        self._last: deque[tuple[int, float, str, Any]] = deque()
        self._size = 0

    def __call__(self, direction: str, message: Any) -> None:
        """Keep one message (the observer's hook)."""
        seconds = time.monotonic() - self._start
        kind = int(message[0])
        if kind in _BEGINNINGS:
            # Without these a recording cannot be played: they are kept whatever comes after.
            key = (kind, message[1] if kind != Kind.WELCOME else 0)
            self._first[key] = (seconds, direction, message)
            return
        weight = _weight(message)
        self._last.append((weight, seconds, direction, message))
        self._size += weight
        while self._size > self._limit:
            self._size -= self._last.popleft()[0]

    def recorded(self) -> bytes:
        """A recording that `--replay` shows."""
        entries = [*self._first.values(), *(entry[1:] for entry in self._last)]
        entries.sort(key=lambda entry: entry[0])
        header = {"format": FORMAT, "version": VERSION, "started": time.time()}
        parts = [frames.encode(header)]
        parts += [
            frames.encode([seconds, direction, redact(message, scrub)])
            for seconds, direction, message in entries
        ]
        return b"".join(parts)


def _weight(message: Any) -> int:
    """A cheap guess of a message's bytes: what its last part holds, one level down."""
    last = message[-1]
    items = last.values() if isinstance(last, Mapping) else (last,)
    return 64 + sum(len(item) if isinstance(item, str | bytes | list) else 8 for item in items)
