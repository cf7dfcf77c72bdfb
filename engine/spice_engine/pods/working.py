"""Who is at work on which pod: one task for each, begun again when something has changed."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from spice_engine.errors import Conflict, InsufficientData, NotFound, SpiceError
from spice_engine.operations import internal_error
from spice_engine.pods.feed_findings import is_live
from spice_engine.pods.live import Pod, problem_of
from spice_engine.pods.model import Manifest
from spice_engine.pods.upkeep import Upkeep, Wish
from spice_engine.protocol.pods import TrainingInfo

log = logging.getLogger(__name__)

SHORT_SECONDS = 1.0
"""A training that has taken longer than this, or has a policy, gives way to a newer manifest."""

_Work = asyncio.Task[TrainingInfo | None]


class Works:
    """Brings pods up to date by `upkeep`; a change meanwhile is looked at once more afterwards.

    `pods` are those there are now, by name; `root` is the app folder; `publish` tells that a
    pod's state changed.
    """

    def __init__(
        self, pods: dict[str, Pod], root: Path, upkeep: Upkeep, publish: Callable[[Pod], None]
    ) -> None:
        self._pods = pods
        self._root = root
        self._upkeep = upkeep
        self._publish = publish
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._works: dict[str, _Work] = {}
        self._superseded: set[str] = set()
        self._stale: set[str] = set()
        self._wishes: dict[str, Wish] = {}
        self._closed = False

    @property
    def any(self) -> bool:
        """Whether any pod is being brought up to date."""
        return bool(self._tasks)

    def is_at(self, name: str) -> bool:
        """Whether the pod is being brought up to date."""
        return name in self._tasks

    def refresh(self, name: str) -> None:
        """Look at the pod (again) soon; the newest state of everything counts."""
        if self._closed:
            return
        self._stale.add(name)
        if name not in self._tasks:
            task = asyncio.create_task(self._bring_up_to_date(name), name=f"pod {name}")
            self._tasks[name] = task
            task.add_done_callback(lambda done: self._done(name, done))

    def wish(self, pod: Pod, asked: dict[str, Any]) -> Wish:
        """Train the pod now; the wish tells its number and, at the end, its record.

        `asked` as in `Wish`.

        Raises:
            Conflict: a training of it is under way or asked for, or the engine is stopping.
        """
        if self._closed:
            raise Conflict("the engine is stopping.")
        if pod.training is not None or pod.name in self._wishes:
            raise Conflict(f"{pod.name} -> training is already in progress")
        loop = asyncio.get_running_loop()
        wish = Wish(asked, loop.create_future(), loop.create_future())
        self._wishes[pod.name] = wish
        self.refresh(pod.name)
        return wish

    def supersede(self, name: str) -> None:
        """End the work on an older manifest, unless it is a training asked for by name.

        A short training may end by itself, the next begins right after it: it has a second. So has
        one that the work still loads data for.
        """
        work = self._works.get(name)
        if work is not None:
            self._supersede(name, work)

    def end(self, name: str, why: str) -> _Work | None:
        """End the work on a pod, whoever wished for it; its task goes on with what is new."""
        work = self._works.get(name)
        if work is not None:
            self._superseded.add(name)
            work.cancel(why)
        return work

    def forget(self, name: str) -> None:
        """Work no more on a pod that was removed."""
        wish = self._wishes.pop(name, None)
        if wish is not None:
            wish.fail(NotFound(f"pod {name!r} was removed."))
        self._stale.discard(name)
        task = self._tasks.get(name)
        if task is not None:
            task.cancel()

    async def close(self) -> None:
        """Work on nothing any more; what is under way is recorded as interrupted."""
        self._closed = True
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _supersede(self, name: str, work: _Work) -> None:
        pod = self._pods.get(name)
        if self._works.get(name) is not work or name in self._wishes or pod is None:
            return
        left = SHORT_SECONDS
        if pod.training is not None:
            left -= time.monotonic() - pod.training_since
            if pod.training_served or left <= 0:
                log.info("pod %s: training %s gives way to a newer manifest", name, pod.training)
                self.end(name, "A newer manifest came.")
                return
        asyncio.get_running_loop().call_later(left, self._supersede, name, work)

    def _done(self, name: str, task: asyncio.Task[None]) -> None:
        if self._tasks.get(name) is task:
            del self._tasks[name]
        if self._closed and (wish := self._wishes.pop(name, None)) is not None:
            wish.fail(Conflict("the engine is stopping."))
        error = None if task.cancelled() else task.exception()
        if error is not None:
            log.error("pod %s failed", name, exc_info=error)
        pod = self._pods.get(name)
        if pod is not None:
            pod.loading, pod.training = False, None
            self._publish(pod)
            if name in self._stale:
                self.refresh(name)  # it changed, or came again, while the task ended

    async def _bring_up_to_date(self, name: str) -> None:
        while name in self._stale and (pod := self._pods.get(name)) is not None:
            self._stale.discard(name)
            wish = self._wishes.get(name)
            manifest = pod.manifest
            if manifest is None:
                continue
            work = asyncio.create_task(self._upkeep.run(pod, manifest, wish), name=f"work {name}")
            self._works[name] = work
            try:
                info = await work
            except SpiceError as error:
                self._failed(pod, manifest, wish, error)
            except asyncio.CancelledError:
                if wish is not None:
                    wish.fail(Conflict("the training was interrupted."))
                if self._closed or name not in self._superseded:
                    raise
            except Exception as error:
                # A defect of ours: whoever waits is told so, and the pod can be tried again.
                log.exception("pod %s failed", name)
                self._failed(pod, manifest, wish, internal_error(error))
            else:
                pod.training_problem = None
                if wish is not None and info is not None:
                    wish.done.set_result(info)
            finally:
                del self._works[name]
                self._superseded.discard(name)
                if wish is not None and self._wishes.get(name) is wish:
                    del self._wishes[name]
            pod.loading, pod.training = False, None
            self._publish(pod)

    def _failed(self, pod: Pod, manifest: Manifest, wish: Wish | None, error: SpiceError) -> None:
        problem = problem_of(error, str(pod.path.relative_to(self._root)))
        # Whoever wished for the training is told in any case.
        if isinstance(error, InsufficientData) and wish is None and _may_wait(manifest):
            problem = dataclasses.replace(problem, severity="warning")
        level = logging.WARNING if problem.severity == "warning" else logging.ERROR
        log.log(level, "pod %s: %s", pod.name, error)
        pod.training_problem = problem
        if wish is not None:
            wish.fail(error)


def _may_wait(manifest: Manifest) -> bool:
    """Whether data are still to come: then nothing is wrong with a pod that has too few."""
    feeds = [space.data for space in manifest.dataspaces if space.data is not None]
    return not feeds or any(map(is_live, feeds))
