"""Answers that a lane keeps back leave in time, whatever the next call does."""

from __future__ import annotations

import threading
import time
from typing import Protocol

_TICK_SECONDS = 0.002
_IDLE_TICKS = 10


class Keeper(Protocol):
    """A lane, as the ticker sees it."""

    def flush_late(self, now: float) -> bool:
        """Sends what was kept too long; gives whether anything was kept."""
        ...


class Ticker:
    """A thread that, while lanes keep answers back, looks every other millisecond whether one of
    them does so too long, because the next call is a slow one."""

    def __init__(self) -> None:
        self.lanes: list[Keeper] = []
        self.awake = False
        self._woken = threading.Event()
        self._starting = threading.Lock()
        self._started = False

    def wake(self) -> None:
        """Called by a lane that keeps an answer back."""
        self.awake = True
        self._woken.set()
        with self._starting:
            if self._started:
                return
            self._started = True
            threading.Thread(target=self._run, name="ticker", daemon=True).start()

    def _run(self) -> None:
        while True:
            self._woken.wait()
            self._woken.clear()
            idle = 0
            while idle < _IDLE_TICKS:
                time.sleep(_TICK_SECONDS)
                idle = 0 if self._look() else idle + 1
            self.awake = False
            # A lane may have found it awake just before.
            if self._look():
                self.awake = True
                self._woken.set()

    def _look(self) -> bool:
        now = time.perf_counter()
        kept = [lane.flush_late(now) for lane in self.lanes]
        return any(kept)
