"""Many changes, few drawings: the first at once, further ones at most every so often."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

LOCAL_SECONDS = 0.25
SSH_SECONDS = 0.5


class Coalescer:
    """Calls `draw` soon after `touch`, never twice within `seconds`. Without touches it sleeps."""

    def __init__(self, seconds: float, draw: Callable[[], None]) -> None:
        self.seconds = seconds
        self._draw = draw
        self._last = 0.0
        self._due: asyncio.TimerHandle | None = None

    def touch(self) -> None:
        """Something changed."""
        if self._due is not None:
            return
        loop = asyncio.get_running_loop()
        delay = max(0.0, self._last + self.seconds - loop.time())
        self._due = loop.call_later(delay, self._fire)

    def _fire(self) -> None:
        self._due = None
        self._last = asyncio.get_running_loop().time()
        self._draw()

    def close(self) -> None:
        """Draw no more."""
        if self._due is not None:
            self._due.cancel()
            self._due = None
