"""Trains manifests that are not saved, beside the saved pods: nothing of it is stored.

A preview has children of its own, which the machine serves last, so that it never holds up what
is saved. The newest text of a pod wins; the one before is cancelled.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import logging
import time
from collections.abc import Callable
from typing import Any

from spice_engine.errors import InvalidRequest, SpiceError
from spice_engine.events import Bus
from spice_engine.operations import internal_error
from spice_engine.pods import plan
from spice_engine.pods.live import problem_from, problem_of
from spice_engine.pods.manifests import read_manifest
from spice_engine.pods.model import Manifest
from spice_engine.pods.pools import PreviewPools
from spice_engine.pods.preview_tables import PreviewTables
from spice_engine.pods.service import Pods
from spice_engine.pods.upkeep import require_enough
from spice_engine.protocol.authoring import PreviewInfo, StartPreview
from spice_engine.protocol.pods import Episode, ProblemInfo

log = logging.getLogger(__name__)

TOPIC = "previews"
PUBLISH_SECONDS = 0.1
MAX_EPISODES = 200
"""Episodes that are shown of one preview; of more, every second, then every fourth, and so on."""

MAX_ENDED = 32
MAX_NAME = 200


class Preview:
    """One text on its way: what is known of it, and the task that works on it."""

    def __init__(
        self, info: PreviewInfo, path: str, publish: Callable[[PreviewInfo], None]
    ) -> None:
        self.info = info
        self.path = path
        self.checked = asyncio.Event()
        """Set when it is known whether the text can be trained."""
        self.task: asyncio.Task[None] | None = None
        self._tell = publish
        self._episodes: list[Episode] = []
        self._stride = 1
        self._told = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def change(self, **changes: Any) -> None:
        """Something other than an episode: told at once."""
        self.info = dataclasses.replace(self.info, **changes)
        self._publish()

    def add(self, data: dict[str, Any]) -> None:
        """One more episode: told now, or with those that come within a moment."""
        number = int(data["episode"])
        if (number - 1) % self._stride == 0:
            self._episodes.append(
                Episode(
                    number,
                    data["start"],
                    data["end"],
                    data["score"],
                    dict(data["actions_taken"]),
                    detail=dict(data.get("detail", {})),
                )
            )
        if len(self._episodes) > MAX_EPISODES:
            self._stride *= 2
            self._episodes = self._episodes[::2]
        if self._timer is None:
            wait = self._told + PUBLISH_SECONDS - time.monotonic()
            if wait <= 0 or number == 1:  # the first one is what somebody waits for
                self._publish()
            else:
                self._timer = asyncio.get_running_loop().call_later(wait, self._publish)

    def _publish(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._told = time.monotonic()
        self.info = dataclasses.replace(self.info, episodes=list(self._episodes))
        self._tell(self.info)


class Previews:
    """The previews of one engine, one for each pod; the topic `previews` follows them."""

    def __init__(self, pods: Pods, pools: PreviewPools, bus: Bus, seconds: float) -> None:
        self._pods = pods
        self._pools = pools
        self._seconds = seconds
        self._tables = PreviewTables(pods.location, pods.observations, pools.loader)
        self._previews: dict[str, Preview] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._warming: asyncio.Task[None] | None = None
        self._number = 0
        self._topic = bus.topic(TOPIC, "state", self._snapshot)

    def _snapshot(self) -> dict[str, Any]:
        return {pod: dataclasses.asdict(one.info) for pod, one in self._previews.items()}

    def _publish(self, info: PreviewInfo) -> None:
        current = self._previews.get(info.pod)
        if current is not None and current.info.number == info.number:
            self._topic.set(info.pod, info)

    async def start(self, request: StartPreview) -> PreviewInfo:
        """Train a text; answers when it is known whether that can be done.

        Raises:
            InvalidRequest: the pod's name is empty or too long.
        """
        if not 0 < len(request.pod) <= MAX_NAME:
            raise InvalidRequest(f"pod: a name of 1 to {MAX_NAME} characters.")
        self._cancel(request.pod)
        self._number += 1
        info = PreviewInfo(request.pod, self._number, "loading", started=time.time())
        preview = Preview(info, request.path, self._publish)
        self._previews.pop(request.pod, None)
        self._previews[request.pod] = preview
        self._drop_ended()
        self._topic.set(request.pod, info)
        task = asyncio.create_task(self._run(preview, request), name=f"preview {request.pod}")
        preview.task = task
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        # Also of a task that is cancelled before its first step.
        task.add_done_callback(lambda _: preview.checked.set())
        await preview.checked.wait()
        return preview.info

    def end(self, pod: str) -> None:
        """End a pod's preview and forget it; harmless where there is none."""
        preview = self._previews.get(pod)
        if preview is None:
            return
        self._cancel(pod)
        preview.change(state="ended", ended=time.time())
        del self._previews[pod]
        self._topic.remove(pod)
        self._tables.forget(pod)

    def saved(self, pod: str, path: str) -> None:
        """A manifest was saved: that goes first, and shows all that its preview would."""
        for name, preview in tuple(self._previews.items()):
            if name == pod or preview.path == path:
                self.end(name)

    def prepare(self) -> None:
        """Somebody writes a manifest: have the children ready that a save or preview needs."""
        if self._warming is None or self._warming.done():
            self._warming = asyncio.create_task(self._warm(), name="warming")

    async def close(self) -> None:
        """End all previews."""
        if self._warming is not None:
            self._warming.cancel()
            await asyncio.gather(self._warming, return_exceptions=True)
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tables.close()

    # -- one preview

    async def _warm(self) -> None:
        saved = self._pods.pools
        with contextlib.suppress(SpiceError):  # the call that needs them says why
            await saved.loaders.warm(1)
            await saved.trainers.warm(1)
            await self._pools.loader.warm(1)
            await self._pools.trainer.warm(1)

    def _cancel(self, pod: str) -> None:
        preview = self._previews.get(pod)
        if preview is not None and preview.task is not None:
            preview.task.cancel()

    def _drop_ended(self) -> None:
        ended = [pod for pod, one in self._previews.items() if one.info.ended is not None]
        for pod in ended[: max(len(ended) - MAX_ENDED, 0)]:
            self.end(pod)

    async def _run(self, preview: Preview, request: StartPreview) -> None:
        try:
            manifest, problems = await asyncio.to_thread(_read, request)
            if manifest is None:
                preview.change(state="invalid", ended=time.time(), problems=list(problems))
                return
            preview.change(problems=list(problems), algorithm=manifest.training.algorithm)
            preview.checked.set()
            await self._train(preview, manifest)
        except SpiceError as error:
            self._failed(preview, request, error)
        except Exception as error:
            # A defect of ours: whoever looks is told so, and the next text is tried again.
            log.exception("the preview of %s failed", request.pod)
            self._failed(preview, request, internal_error(error))

    async def _train(self, preview: Preview, manifest: Manifest) -> None:
        pod, upkeep = preview.info.pod, self._pods.upkeep
        await upkeep.require_trust(manifest)
        known = pod in self._pods.names()
        async with self._tables.reading(pod, manifest, observed=known) as loaded:
            found = [problem_from(one) for one in loaded["problems"]]
            said = await upkeep.interpretations(pod, manifest) if known else []
            require_enough(pod, manifest, loaded)
            params = plan.trainer_params(
                manifest,
                loaded,
                self._pods.location.root,
                fingerprint="",
                interpretations=said,
            )
            preview.change(
                state="training",
                algorithm=params["algorithm"],
                problems=[*preview.info.problems, *found],
            )

            def on_progress(data: dict[str, Any]) -> None:
                if data.pop("kind", "episode") == "episode":
                    preview.add(data)

            result = await self._pools.trainer.call(
                "train", params, on_progress=on_progress, deadline=self._seconds
            )
        preview.change(
            state="done",
            ended=time.time(),
            algorithm=result["algorithm"],
            evaluation=result["evaluation"],
        )

    def _failed(self, preview: Preview, request: StartPreview, error: SpiceError) -> None:
        problem = problem_of(error, request.path)
        preview.change(
            state="failed",
            ended=time.time(),
            problems=[*preview.info.problems, problem],
            message=str(error),
        )


def _read(request: StartPreview) -> tuple[Manifest | None, tuple[ProblemInfo, ...]]:
    return read_manifest(request.text.encode(errors="replace"), request.path)
