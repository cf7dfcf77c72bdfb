"""A server as the doors see it: its router, its figures, its health, its entry in the directory."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence

from spice_engine.errors import SpiceError
from spice_engine.protocol.servers import ServerDefinition
from spice_engine.serving.calls import Endpoint
from spice_engine.serving.directory import Answer, Directory, Served
from spice_engine.serving.figures import Figures
from spice_engine.serving.last_call import LastCall
from spice_engine.serving.link import ReplicaLink
from spice_engine.serving.request_log import LoggedEndpoint, RequestLog
from spice_engine.serving.router import Router
from spice_engine.store.servers import ServerRow
from spice_runtime import wire

HEALTH_SECONDS = 5.0
HEALTH_CACHED = 0.5
_NOT_READY: Answer = (503, wire.AS_TEXT, b"", b"no replica is ready")


class Front:
    """The front of one server with replicas."""

    def __init__(
        self,
        directory: Directory,
        row: ServerRow,
        definition: ServerDefinition,
        request_log: RequestLog,
        *,
        on_hung: Callable[[ReplicaLink], None],
        on_wait: Callable[[], None],
    ) -> None:
        self.figures = Figures()
        self.router = Router(
            definition.door,
            definition.batching,
            self.figures,
            asyncio.get_running_loop(),
            on_hung=on_hung,
            on_wait=on_wait,
        )
        self.metrics_text = ""
        """The replicas' own metrics in Prometheus form, as read last."""
        self._directory = directory
        self._links: Sequence[ReplicaLink] = ()
        self._health: tuple[float, Answer] = (float("-inf"), _NOT_READY)
        self._asking: asyncio.Task[Answer] | None = None
        self._told: tuple[object, object] = (None, None)
        self._request_log = request_log
        self._logs = definition.request_log
        self._last_call = LastCall(self._endpoint())
        self.served = Served(
            name=row.name,
            endpoint=self._last_call if definition.debug else self._endpoint(),
            door=definition.door,
            token=row.token,
            version=row.version,
            models=tuple(definition.models),
            figures=self.figures,
            state=row.state,
            health=self.health,
            metrics=lambda: self.metrics_text,
            replicas=lambda: [(it.name.rpartition("/")[2], it.figures) for it in self._links],
        )

    def open(self) -> None:
        """Let the doors see it."""
        self._directory.put(self.served)

    def update(
        self, row: ServerRow, definition: ServerDefinition, links: Sequence[ReplicaLink]
    ) -> None:
        """Bring what the doors see up to date; `links` are those of ready replicas."""
        served, self._links = self.served, links
        if definition.request_log != self._logs:
            self._logs = definition.request_log
            self._last_call = LastCall(self._endpoint())
            served.endpoint = self._endpoint()
        if definition.debug != isinstance(served.endpoint, LastCall):
            served.endpoint = self._last_call if definition.debug else self._endpoint()
        served.door = definition.door
        served.token = row.token
        served.version = row.version
        served.models = tuple(definition.models)
        served.wants_head = any(link.predictor.get("wants_request") for link in links)
        if links:
            served.predictor = links[-1].predictor
        served.state = row.state
        if (definition.door, definition.batching) != self._told:
            self._told = (definition.door, definition.batching)
            self.router.reconfigure(definition.door, definition.batching)

    def _endpoint(self) -> Endpoint:
        return LoggedEndpoint(self.router, self._request_log) if self._logs else self.router

    async def health(self) -> Answer:
        """What the predictor of a ready replica says; asked at most twice a second."""
        made, answer = self._health
        if time.monotonic() - made < HEALTH_CACHED:
            return answer
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._ask(), name="health of a replica")
        return await asyncio.shield(self._asking)

    async def _ask(self) -> Answer:
        answer = _NOT_READY
        for link in self._links:
            try:
                answer = await link.health(HEALTH_SECONDS)
                break
            except SpiceError as error:
                answer = (503, wire.AS_TEXT, b"", error.message.encode())
        self._health = (time.monotonic(), answer)
        return answer

    async def close(self) -> None:
        """The doors see it no more; calls that wait get 503."""
        self._directory.remove(self.served.name)
        self.router.close()
        if self._asking is not None:
            self._asking.cancel()
            await asyncio.gather(self._asking, return_exceptions=True)
