"""Lets a recommendation wait for what was posted before it, also while the pod is being trained."""

from __future__ import annotations

import asyncio
import contextlib
import logging

from spice_engine.pods.live import Pod
from spice_engine.pods.upkeep import Upkeep

log = logging.getLogger(__name__)

CATCH_UP_SECONDS = 2.0
"""A recommendation waits at most this long for what was posted before it."""


class CatchingUp:
    """Waits for what is read anyway; beside a training it has the data read itself."""

    def __init__(self, upkeep: Upkeep) -> None:
        self._upkeep = upkeep
        self._tasks: dict[str, asyncio.Task[None]] = {}

    async def wait(self, pod: Pod, *, working: bool) -> None:
        """Wait until what was accepted before now is in the table, within reason.

        `working` says whether the pod is being brought up to date.
        """
        wanted = pod.posted
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CATCH_UP_SECONDS):
                while pod.seen < wanted and (working or pod.name in self._tasks):
                    news = pod.caught_up
                    if pod.learned_from is not None:
                        self._begin(pod)
                    await news.wait()

    def forget(self, pod: Pod) -> None:
        """Read no more for a pod that was removed."""
        task = self._tasks.get(pod.name)
        if task is not None:
            task.cancel()

    async def close(self) -> None:
        """Read no more, for any pod."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _begin(self, pod: Pod) -> None:
        if pod.name in self._tasks or pod.manifest is None:
            return
        work = self._upkeep.read_again(pod, pod.manifest)
        task = asyncio.create_task(work, name=f"read {pod.name} again")
        self._tasks[pod.name] = task
        task.add_done_callback(lambda done: self._ended(pod.name, done))

    def _ended(self, name: str, task: asyncio.Task[None]) -> None:
        del self._tasks[name]
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("%s failed", task.get_name(), exc_info=error)
