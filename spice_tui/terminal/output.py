"""A thread that writes to the terminal, so that a slow link never blocks the program.

Text waits in memory; whoever draws asks `waiting` first and skips frames rather than queue them.
"""

from __future__ import annotations

import os
import select
import threading
from collections import deque
from collections.abc import Callable

_CHUNK = 1024
"""Bytes a write: the kernel takes that many at once when it says that it takes any."""

_LOOK_SECONDS = 0.2
"""How often a stalled writer looks whether it was given up."""


class Output(threading.Thread):
    """Writes what `write` gets to a descriptor, in order.

    `on_idle` is called (in this thread) when all is written, `on_lost` when the terminal is gone.
    """

    def __init__(self, fd: int, on_idle: Callable[[], None], on_lost: Callable[[], None]) -> None:
        super().__init__(daemon=True, name="terminal-output")
        self._fd = fd
        self._on_idle = on_idle
        self._on_lost = on_lost
        self._queue: deque[bytes] = deque()
        self._wake = threading.Condition()
        self._closing = False
        self._lost = False
        self.waiting = 0
        """Bytes that the terminal has not taken yet."""

    def write(self, text: str) -> None:
        """Queue text; nothing is kept for a terminal that is gone."""
        data = text.encode("utf-8", "replace")
        with self._wake:
            if not self._lost:
                self._queue.append(data)
                self.waiting += len(data)
                self._wake.notify()

    def stop(self, seconds: float) -> bool:
        """Write what waits and end; False if the terminal did not take it in time."""
        with self._wake:
            self._closing = True
            self._wake.notify()
        self.join(seconds)
        done = not self.is_alive()
        with self._wake:  # what is late must not come after what is written next
            self._lost = True
            self._queue.clear()
        return done

    def run(self) -> None:
        while True:
            with self._wake:
                while not self._queue and not self._closing:
                    self._wake.wait()
                if not self._queue:
                    return
                data = b"".join(self._queue)
                self._queue.clear()
            try:
                self._write_all(data)
            except OSError:
                with self._wake:
                    self._lost = True
                    self._queue.clear()
                    self.waiting = 0
                self._on_lost()
                return
            if not self.waiting:
                self._on_idle()

    def _write_all(self, data: bytes) -> None:
        view = memoryview(data)
        while view and not self._lost:
            if not select.select([], [self._fd], [], _LOOK_SECONDS)[1]:
                continue
            try:
                count = os.write(self._fd, view[:_CHUNK])
            except BlockingIOError:  # somebody else made the terminal non-blocking
                continue
            view = view[count:]
            with self._wake:
                self.waiting -= count
