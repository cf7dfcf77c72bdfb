"""How quickly a server's queue drains: when the next call's turn comes, and what 429 says."""

from __future__ import annotations

import math

from spice_engine.serving.figures import Figures

LONGEST_RETRY_AFTER = 60
_FRESH = 0.5


class DrainRate:
    """Answers per second over the last seconds, looked up twice a second: a refusal must be
    cheap."""

    __slots__ = ("_looked", "_rate")

    def __init__(self) -> None:
        self._looked = float("-inf")
        self._rate = 0.0

    def seconds(self, queued: int, figures: Figures, now: float) -> float:
        """Seconds until so many calls have had their turn; 0 where nobody knows."""
        if now > self._looked + _FRESH:
            self._looked = now
            self._rate = figures.rate(now, 5)
        return queued / self._rate if self._rate else 0.0

    def line(self, queued: int, figures: Figures, now: float) -> bytes:
        """The head line `Retry-After`, in whole seconds."""
        seconds = math.ceil(self.seconds(queued, figures, now))
        return b"Retry-After: %d\r\n" % max(1, min(LONGEST_RETRY_AFTER, seconds))
