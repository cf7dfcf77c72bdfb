"""How long blocking work may take, and whether it is still wanted."""

from __future__ import annotations

import threading
import time

from spice_engine.errors import Conflict, DeadlineExceeded


class Deadline:
    """`seconds` from now; `stop`, once set, ends the work sooner, at its next look."""

    def __init__(self, seconds: float, stop: threading.Event | None = None) -> None:
        self._end = time.monotonic() + seconds
        self._stop = stop

    @property
    def left(self) -> float:
        """Seconds that are left, at least a hundredth."""
        return max(0.01, self._end - time.monotonic())

    def check(self, what: str) -> None:
        """Look whether the work should go on; `what` is what is being waited for.

        Raises:
            DeadlineExceeded: the time is over.
            Conflict: the engine stops.
        """
        if self._stop is not None and self._stop.is_set():
            raise Conflict("the engine is stopping.")
        if time.monotonic() > self._end:
            raise DeadlineExceeded(f"{what} does not answer in time.")
