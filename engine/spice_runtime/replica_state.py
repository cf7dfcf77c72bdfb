"""What the threads of a replica share: calls nobody waits for, credits of streams, draining."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

from spice_runtime.wire import CREDIT_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable

_REMEMBERED = 8192


class Credit:
    """How many bytes of a stream may still be sent; `changed` is called when that, or the wish
    for it, changes."""

    __slots__ = ("cancelled", "changed", "left")

    def __init__(self, changed: Callable[[], None]) -> None:
        self.left = CREDIT_BYTES
        self.cancelled = False
        self.changed = changed


class Shared:
    """One a process. Written by the control thread, read by workers; plain assignments only, or
    under `lock`."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.draining = False
        self.on_drain: list[Callable[[], None]] = []
        self.on_cancel: dict[int, Callable[[], None]] = {}
        # A dict, for it keeps the order: a cancellation may come before its call does, so that
        # those which fit no call are kept for a while.
        self.cancelled: dict[int, None] = {}
        self._credits: dict[int, Credit] = {}
        # Workers that wait for a connection watch it: it becomes readable at the drain.
        self.drain_read, self._drain_write = os.pipe()

    def forget_cancellations(self) -> None:
        """A lane was connected, perhaps by another engine, which numbers its calls anew."""
        with self.lock:
            self.cancelled.clear()

    def cancel(self, ident: int) -> None:
        """Nobody waits for this call any more."""
        with self.lock:
            self.cancelled[ident] = None
            while len(self.cancelled) > _REMEMBERED:
                del self.cancelled[next(iter(self.cancelled))]
            credit = self._credits.get(ident)
        if credit is not None:
            credit.cancelled = True
            credit.changed()
        stop = self.on_cancel.get(ident)
        if stop is not None:
            stop()

    def give(self, ident: int, number: int) -> None:
        """A stream may send more."""
        with self.lock:
            credit = self._credits.get(ident)
            if credit is None:
                return
            credit.left += number
        credit.changed()

    def open_credit(self, ident: int, changed: Callable[[], None]) -> Credit:
        """The credit of a stream that begins."""
        credit = Credit(changed)
        with self.lock:
            self._credits[ident] = credit
            credit.cancelled = ident in self.cancelled
        return credit

    def take(self, credit: Credit, number: int) -> None:
        """So many bytes were sent."""
        with self.lock:
            credit.left -= number

    def close_credit(self, ident: int) -> None:
        """The stream ended."""
        with self.lock:
            self._credits.pop(ident, None)

    def drain(self) -> None:
        """No more calls will come; may be called from a signal handler, and twice."""
        if self.draining:
            return
        self.draining = True
        os.write(self._drain_write, b"d")
        for tell in list(self.on_drain):
            tell()
