"""Counts what a thread takes in or writes, tells the loop of it, and ends it at the loop's word."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from spice_engine.errors import Conflict

_TELL_SECONDS = 0.1


class Counter:
    """Goes with one piece of work; `told` is called on the loop at most ten times a second."""

    def __init__(
        self,
        go_on: Callable[[int], None],
        loop: asyncio.AbstractEventLoop | None = None,
        told: Callable[[int, int], None] | None = None,
    ) -> None:
        """`go_on` raises when the engine stops; `told` gets the files and the bytes so far."""
        self._go_on = go_on
        self._loop = loop
        self._told = told
        self._files = 0
        self._size = 0
        self._next = 0.0
        self._stopped = False

    def stop(self) -> None:
        """Nobody wants it any more."""
        self._stopped = True

    def add(self, size: int) -> None:
        """So many bytes more are done; with none, a file is. Called in the thread.

        Raises:
            Conflict: the engine is stopping, or nobody wants it any more.
        """
        self._go_on(size)
        if self._stopped:
            raise Conflict("it was cut off.", hint="Begin it again.")
        self._files += not size
        self._size += size
        if self._told is not None and self._loop is not None and time.monotonic() >= self._next:
            self._next = time.monotonic() + _TELL_SECONDS
            self._loop.call_soon_threadsafe(self._told, self._files, self._size)
