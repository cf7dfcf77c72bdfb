"""The screens' link to the engine: attaches, follows topics, and attaches again when it is lost."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any

from spice_engine.errors import EngineUnavailable, IncompatibleVersion, SpiceError
from spice_engine.protocol.pods import TrainingList
from spice_tui.async_client import AsyncClient, Feed
from spice_tui.models import clock
from spice_tui.models.build import build
from spice_tui.models.world import MOST_RUNS, Connection, Keeper, World

TOPICS = ("pods", "trainings", "episodes", "runs", "engine", "previews")
BACK_OFF = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
"""Seconds before each further try to attach; the last one again and again."""

SNAPSHOT_SECONDS = 0.1
"""So long the first snapshots are waited for before the screen says that it is attached."""

RUNS_PAGE = 500
"""Older runs that are asked for at once."""

Connect = Callable[[], Awaitable[AsyncClient]]
Listener = Callable[[Mapping[str, Any]], None]


class Link:
    """One screen's connection. `on_change` is called when something is new; `take` gives it.

    Everything runs on the loop that `run` runs on.
    """

    def __init__(self, connect: Connect, on_change: Callable[[], None]) -> None:
        self._connect = connect
        self._on_change = on_change
        self._keeper = Keeper()
        self._client: AsyncClient | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._followed: dict[str, list[Listener]] = {}
        self._wanted: set[str] = set()
        self._families: frozenset[str] = frozenset()
        self._latest: dict[str, Mapping[str, Any]] = {}
        self._feeds: dict[str, Feed] = {}
        self._hurry = asyncio.Event()
        self._histories: set[str] = set()
        self._wants_runs = False
        self.attached = asyncio.Event()

    # -- what is known

    @property
    def changed(self) -> frozenset[str]:
        """The parts of the world that changed since it was taken."""
        return frozenset(self._keeper.changed)

    def take(self) -> World:
        """The world as it is now."""
        return self._keeper.take()

    @property
    def knows_pods(self) -> bool:
        """Whether the engine has told which pods there are."""
        return "pods" in self._keeper.told

    @property
    def knows_folder(self) -> bool:
        """Whether the engine has told what the folder is used for: pods, or runs."""
        return self._keeper.told >= {"pods", "runs"}

    @property
    def histories(self) -> frozenset[str]:
        """Pods whose training runs are in the world, or on the way there."""
        return frozenset(self._histories)

    @property
    def client(self) -> AsyncClient | None:
        """The connection, while there is one."""
        return self._client

    # -- attaching

    async def run(self) -> None:
        """Attach and stay attached, until cancelled or refused for good."""
        attempts = 0
        try:
            while True:
                try:
                    client = await self._connect()
                except IncompatibleVersion as error:
                    self._say(Connection("refused", str(error)))
                    return
                except SpiceError as error:
                    await self._wait(error.message, attempts)
                    attempts += 1
                    continue
                attempts = 0
                await self._attend(client)
        finally:
            await self._drop()

    async def _attend(self, client: AsyncClient) -> None:
        self._client = client
        known = client.welcome.topics if client.welcome is not None else ()
        self._families = frozenset(name.partition("/")[0] for name in known)
        try:
            for topic in (*TOPICS, *sorted(self._wanted), *self._followed):
                self._follow(client, topic)
        except EngineUnavailable:
            pass  # it is gone again
        else:
            # Snapshots are on their way: what they say is drawn together with this.
            self._keeper.connection(Connection("attached"))
            asyncio.get_running_loop().call_later(SNAPSHOT_SECONDS, self._on_change)
            self.attached.set()
            for pod in tuple(self._histories):
                self._spawn(self._load_history(pod))
            if self._wants_runs:
                self._spawn(self._load_runs())
            await client.lost()
        self.attached.clear()
        await self._drop()
        self._say(Connection("lost", "The engine is gone."))

    async def _wait(self, message: str, attempts: int) -> None:
        seconds = BACK_OFF[min(attempts, len(BACK_OFF) - 1)]
        state = "lost" if attempts or self._keeper.take().engine else "connecting"
        self._say(Connection(state, message, attempts + 1, clock.now() + seconds))
        self._hurry.clear()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._hurry.wait(), seconds)

    def retry(self) -> None:
        """Try again now."""
        self._hurry.set()

    async def _drop(self) -> None:
        tasks, self._tasks = self._tasks, set()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._feeds.clear()
        client, self._client = self._client, None
        if client is not None:
            await client.close()

    def _say(self, connection: Connection) -> None:
        self._keeper.connection(connection)
        self._on_change()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # -- following

    def _follow(self, client: AsyncClient, topic: str) -> None:
        if topic.partition("/")[0] not in self._families:
            return  # an engine of an earlier version lacks the newer ones
        feed = self._feeds[topic] = client.subscribe(topic)
        self._spawn(self._read(feed))

    async def _read(self, feed: Feed) -> None:
        with contextlib.suppress(SpiceError):  # the connection's end is told by `lost`
            async for event in feed:
                if event.kind in ("snapshot", "delta"):
                    self._take(feed.topic, event.kind, event.data)
                elif event.kind == "gap":
                    self._spawn(self._reload())

    def _take(self, topic: str, kind: str, data: Any) -> None:
        listeners = self._followed.get(topic)
        if listeners is not None:
            if isinstance(data, Mapping):
                self._latest[topic] = data
                for listener in tuple(listeners):
                    listener(data)
            if topic not in self._wanted:
                return
        self._keeper.apply(topic, kind, data)
        if topic != "servers" or self._keeper.changed:
            self._on_change()

    async def _reload(self) -> None:
        """Episodes were missed: read those of the pods that are looked at again."""
        for pod in tuple(self._histories):
            await self._load_history(pod)

    def follow(self, topic: str, listener: Listener) -> None:
        """Give what comes on a gauge of its own, such as `log/12`, to `listener`, on and on."""
        listeners = self._followed.setdefault(topic, [])
        listeners.append(listener)
        if topic in self._latest:
            listener(self._latest[topic])
        if len(listeners) == 1 and self._client is not None and self.attached.is_set():
            with contextlib.suppress(EngineUnavailable):  # then it is followed when attached again
                self._follow(self._client, topic)

    def unfollow(self, topic: str, listener: Listener) -> None:
        """Give it to this listener no longer."""
        listeners = self._followed.get(topic, [])
        if listener in listeners:
            listeners.remove(listener)
        if not listeners:
            self._followed.pop(topic, None)
            self._latest.pop(topic, None)
            feed = self._feeds.pop(topic, None)
            if feed is not None:
                feed.close()

    def want(self, *topics: str) -> None:
        """Have `servers`, `models`, `searches` or `comparisons` in the world, which the first paint
        does without."""
        for topic in topics:
            if topic in self._wanted:
                continue
            self._wanted.add(topic)
            if self._client is not None and self.attached.is_set():
                with contextlib.suppress(EngineUnavailable):  # followed when attached again
                    self._follow(self._client, topic)

    def want_history(self, pod: str) -> None:
        """Have a pod's training runs with their episodes in the world from now on."""
        if pod in self._histories:
            return
        self._histories.add(pod)
        if self.attached.is_set():
            self._spawn(self._load_history(pod))

    def want_runs(self) -> None:
        """Have older runs than the topic's in the world, too."""
        if not self._wants_runs:
            self._wants_runs = True
            if self.attached.is_set():
                self._spawn(self._load_runs())

    async def _load_runs(self) -> None:
        """A page after the other, from the newest on, so that nobody waits for all of them."""
        before: int | None = None
        for _ in range(MOST_RUNS // RUNS_PAGE):
            try:
                answer = await self.call("runs.list", {"number": RUNS_PAGE, "before": before})
            except SpiceError:
                return  # it is read when attached again
            if not answer["runs"]:
                return
            before = min(run["id"] for run in answer["runs"])
            self._keeper.older_runs(answer["runs"])
            self._on_change()

    async def _load_history(self, pod: str) -> None:
        try:
            answer = await self.call("pods.trainings", {"pod": pod})
        except EngineUnavailable:
            return  # it is read when attached again
        except SpiceError:
            self._histories.discard(pod)  # no such pod any more
            return
        self._keeper.history(build(TrainingList, answer).trainings)
        self._on_change()

    # -- asking

    async def call(self, operation: str, params: Mapping[str, Any] | None = None) -> Any:
        """The result of one operation, as plain data.

        Raises:
            EngineUnavailable: no engine is attached.
            SpiceError: what the engine answered.
        """
        if self._client is None:
            raise EngineUnavailable(
                "no engine is attached.", hint="It is tried again; nothing was lost."
            )
        return await self._client.call(operation, params)
