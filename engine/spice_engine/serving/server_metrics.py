"""What servers did, second by second: stored, told, given to the autoscaler."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import time
from typing import Any, cast

from spice_engine.errors import SpiceError
from spice_engine.protocol.servers import ServerSeries, ServerSeriesList
from spice_engine.serving.deployment import Deployment
from spice_engine.serving.replicas import Replica
from spice_engine.serving.scaling import Scaling
from spice_engine.serving.server_topic import ServerTopic
from spice_engine.serving.servers import AnyDeployment, Servers
from spice_engine.serving.usage import UsageReader
from spice_engine.store.series import Point

log = logging.getLogger(__name__)

EVERY_SECONDS = 1.0
IDLE_EVERY = 10
"""A server to which nothing happens is sampled every so many seconds."""
USER_EVERY = 5
USER_SECONDS = 2.0
OWN = ("rate", "errors", "p50", "p99", "queue", "replicas", "cpu", "memory", "batch")
_TAG = "\x1f"
"""Between the name and the tag of a user's metric in the store."""
_MOST_USER_SERIES = 500


class MetricsOfServers:
    """Samples all servers once a second. `start` first, `close` at the end."""

    def __init__(self, servers: Servers, topic: ServerTopic, scaling: Scaling) -> None:
        self._servers = servers
        self._topic = topic
        self._scaling = scaling
        self._usage = UsageReader()
        self._task: asyncio.Task[None] | None = None
        self._turn = 0
        self._told: dict[str, tuple[Any, ...]] = {}
        self._user: dict[str, set[str]] = {}

    def start(self) -> None:
        """Begin; on the running loop."""
        self._task = asyncio.create_task(self._run(), name="metrics of servers")

    async def close(self) -> None:
        """End it."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        await self._scaling.close()
        self._topic.close()

    async def read(self, server: str, name: str, points: int) -> ServerSeriesList:
        """A server's series, each thinned to at most about `points`.

        Raises:
            NotFound: there is no such server.
        """
        self._servers.get(server)
        owner, store = f"server:{server}", self._servers.parts.metrics
        await store.flush()
        found: list[ServerSeries] = []
        for stored in await store.names(owner):
            plain, _, tag = stored.partition(_TAG)
            if name not in {"", plain}:
                continue
            samples = await store.samples(owner, stored, most=points)
            found.append(
                ServerSeries(
                    plain,
                    tag,
                    [sample.time for sample in samples],
                    [sample.mean if sample.count else math.nan for sample in samples],
                )
            )
        return ServerSeriesList(found)

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            due = max(due + EVERY_SECONDS, loop.time())
            await asyncio.sleep(due - loop.time())
            if not self._servers.deployments:
                continue
            self._turn += 1
            try:
                await self._sample()
                await self._scaling.step()
            except SpiceError as error:
                log.warning("servers cannot be measured just now: %s", error)

    async def _sample(self) -> None:
        deployments = list(self._servers.deployments.values())
        for gone in self._told.keys() - self._servers.deployments.keys():
            del self._told[gone]
            self._user.pop(gone, None)
        replicas = [
            (one, replica)
            for one in deployments
            if isinstance(one, Deployment)
            for replica in one.replica_list
            if replica.pid
        ]
        if replicas:
            used = await asyncio.to_thread(self._usage.read, [one.pid for _, one in replicas])
            for deployment, replica in replicas:
                if replica.pid in used:
                    deployment.usage[replica.number] = used[replica.pid]
        if self._turn % USER_EVERY == 0:
            await asyncio.gather(
                *(self._ask(one) for one in deployments if isinstance(one, Deployment))
            )
        for deployment in deployments:
            self._note(deployment)

    def _note(self, deployment: AnyDeployment) -> None:
        name = deployment.row.name
        figures = deployment.figures.recent(time.monotonic())
        ready, _ = deployment.pods
        usage = [
            deployment.usage[one.number]
            for one in deployment.replica_list
            if one.number in deployment.usage
        ]
        living = {one.number for one in deployment.replica_list}
        if isinstance(deployment, Deployment):
            for gone in deployment.usage.keys() - living:
                del deployment.usage[gone]
        values: dict[str, float | None] = {
            "rate": figures.rate,
            "errors": figures.errors,
            "p50": figures.p50,
            "p99": figures.p99,
            "queue": float(figures.queued),
            "replicas": float(ready),
            "cpu": sum(one.cpu for one in usage),
            "memory": float(sum(one.memory for one in usage)),
            "batch": figures.batch,
        }
        moves = (figures.count, ready, deployment.row.state, figures.queued)
        busy = self._told.get(name) != moves or figures.rate > 0
        if busy or self._turn % IDLE_EVERY == 0:
            self._told[name] = moves
            now = time.time()
            self._servers.parts.metrics.add(
                f"server:{name}",
                [Point(key, one, now) for key, one in values.items() if one is not None],
            )
        self._topic.changed(name)

    async def _ask(self, deployment: Deployment) -> None:
        """Read the predictors' own metrics of a server."""
        texts: list[str] = []
        points: list[Point] = []
        ready = deployment.ready  # others may be, when the answers are there
        answers = await asyncio.gather(*(_metrics_of(one) for one in ready))
        for replica, answer in zip(ready, answers, strict=True):
            text = answer.get("prometheus")
            if isinstance(text, str) and text:
                texts.append(_labelled(text, deployment.row.name, replica.number))
            points += _points(answer.get("values"))
        deployment.front.metrics_text = "".join(texts)
        known = self._user.setdefault(deployment.row.name, set())
        kept: list[Point] = []
        for point in points:
            if point.name not in known and len(known) >= _MOST_USER_SERIES:
                continue
            known.add(point.name)
            kept.append(point)
        if kept:
            self._servers.parts.metrics.add(f"server:{deployment.row.name}", kept)


async def _metrics_of(replica: Replica) -> dict[str, Any]:
    if replica.link is None:
        return {}
    try:
        return await replica.link.metrics(USER_SECONDS)
    except SpiceError:
        return {}  # busy or gone: it is asked again


def _points(values: object) -> list[Point]:
    """[name, tag, value] each, as a replica tells them."""
    if not isinstance(values, list):
        return []
    found: list[Point] = []
    now = time.time()
    for row in cast("list[Any]", values):
        try:
            name, tag, value = row
            number = float(value)
        except (TypeError, ValueError):
            continue
        stored = f"{name}{_TAG}{tag}" if tag else str(name)
        if str(name) not in OWN and "\0" not in stored:
            found.append(Point(stored[:300], number, now))
    return found


def _labelled(text: str, server: str, replica: int) -> str:
    """The samples of a replica with labels that tell it from the others."""
    extra = f'server="{server}",replica="{replica}"'
    lines: list[str] = []
    for line in text.split("\n")[:-1]:  # labels may hold other ends of lines
        if line.startswith("#") or not line.strip():
            lines.append(line)
            continue
        name, brace, rest = line.partition("{")
        if brace:
            lines.append(f"{name}{{{extra}{'' if rest.startswith('}') else ','}{rest}")
        else:
            name, _, value = line.partition(" ")
            lines.append(f"{name}{{{extra}}} {value}")
    return "\n".join(lines) + "\n"
