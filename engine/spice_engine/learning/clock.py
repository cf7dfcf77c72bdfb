"""How long a run may compute, and the end of what takes longer."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Generator


class TimeIsUp(Exception):
    """Work was cut short; nothing of it counts."""


class Clock:
    """Says when so many `seconds` have been computed.

    Of wall time and the process's processor time the lesser counts: a machine that is busy with
    something else, or a compiler in another thread, takes no candidate away from a run.
    """

    def __init__(self, seconds: float = math.inf) -> None:
        self._seconds = seconds
        self._wall, self._processor = time.monotonic(), time.process_time()

    def over(self) -> bool:
        """Whether the time is up."""
        wall = time.monotonic() - self._wall
        return wall > self._seconds and time.process_time() - self._processor > self._seconds

    @contextlib.contextmanager
    def paused(self) -> Generator[None]:
        """Within it no time counts."""
        wall, processor = time.monotonic(), time.process_time()
        try:
            yield
        finally:
            self._wall += time.monotonic() - wall
            self._processor += time.process_time() - processor
