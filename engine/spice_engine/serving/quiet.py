"""Waiting until lanes hold no more calls, at no cost while nobody waits."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class Quiet:
    """Looks at conditions again whenever it is told that something changed."""

    __slots__ = ("_event", "watched")

    def __init__(self) -> None:
        self.watched = 0
        """How many wait."""
        self._event = asyncio.Event()

    def changed(self) -> None:
        """A lane became empty, or is gone."""
        self._event.set()

    async def until(self, condition: Callable[[], bool], within: float) -> bool:
        """True when the condition holds, False when so many seconds are over."""
        self.watched += 1
        try:
            async with asyncio.timeout(within):
                while not condition():
                    self._event.clear()
                    await self._event.wait()
        except TimeoutError:
            return condition()
        finally:
            self.watched -= 1
        return True
