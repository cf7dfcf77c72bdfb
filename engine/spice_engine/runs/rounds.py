"""Work that is done again and again while somebody needs it; at rest it costs nothing."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable


class Rounds:
    """Goes round on the engine's loop. `start` first, `close` at the end."""

    def __init__(
        self,
        name: str,
        work: Callable[[], Awaitable[None]],
        *,
        seconds: Callable[[], float],
        needed: Callable[[], object],
    ) -> None:
        """`seconds` go by before each round; `needed` is whether there is one to go."""
        self._name = name
        self._work = work
        self._seconds = seconds
        self._needed = needed
        self._some = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin; on the running loop."""
        self._task = asyncio.create_task(self._go(), name=self._name)

    async def close(self) -> None:
        """End it, in the middle of a round too."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    def wake(self) -> None:
        """Look again whether a round is needed."""
        self._some.set()

    async def _go(self) -> None:
        while True:
            while not self._needed():
                self._some.clear()
                await self._some.wait()
            await asyncio.sleep(self._seconds())
            await self._work()
