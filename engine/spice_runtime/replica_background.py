"""Background tasks of answers: a thread with an event loop of its own, made when first needed."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

from spice_runtime.predictors.answers import defect

if TYPE_CHECKING:
    import asyncio

_CANCEL_SECONDS = 10.0


class Background:
    """Runs Starlette's background tasks beside the calls that follow."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._left = 0

    def run(self, tasks: Any) -> None:
        """Begins the tasks; what they raise goes to the log."""
        import asyncio

        with self._lock:
            self._left += 1
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                threading.Thread(
                    target=self._loop.run_forever, name="background tasks", daemon=True
                ).start()
        asyncio.run_coroutine_threadsafe(self._run(tasks), self._loop)

    async def _run(self, tasks: Any) -> None:
        try:
            await tasks()
        except BaseException as error:  # noqa: BLE001 - it changes no answer; it is in the log
            defect(error, False)
        finally:
            with self._lock:
                self._left -= 1

    def wait(self) -> None:
        """Returns when all have ended, or after a while."""
        until = time.monotonic() + _CANCEL_SECONDS
        while self._left and time.monotonic() < until:
            time.sleep(0.01)
