"""The servers of a folder: stood up, changed, stopped, removed, begun again by the next engine."""

from __future__ import annotations

import asyncio
import logging
import secrets
import shutil
import sqlite3
import time
from collections.abc import Callable
from weakref import WeakValueDictionary

from spice_engine.errors import Conflict, InvalidRequest, NotFound, SpiceError
from spice_engine.pods.advisor import Advisor
from spice_engine.protocol.location import Location
from spice_engine.protocol.servers import (
    PredictAnswer,
    PredictRequest,
    ServerDefinition,
    ServerDetails,
    ServerInfo,
    UpdateServer,
)
from spice_engine.records import record
from spice_engine.runs.resources import ResourceTree
from spice_engine.serving import definitions, inner_call, server_records, server_view
from spice_engine.serving.deployment import Deployment
from spice_engine.serving.directory import Directory, Served
from spice_engine.serving.making import Making
from spice_engine.serving.model_lookup import ServerUse
from spice_engine.serving.models import Models
from spice_engine.serving.policy_deployment import PolicyDeployment
from spice_engine.serving.preparation import Workshop
from spice_engine.serving.surroundings import Surroundings
from spice_engine.store import replicas as replica_table
from spice_engine.store import request_keys
from spice_engine.store import servers as table
from spice_engine.store.database import Database
from spice_engine.store.metrics import MetricStore
from spice_engine.store.servers import ServerRow, VersionRow

log = logging.getLogger(__name__)

MOST_SERVERS = 200

AnyDeployment = Deployment | PolicyDeployment


@record
class Parts:
    """What the service works with."""

    location: Location
    database: Database
    metrics: MetricStore
    tree: ResourceTree
    models: Models
    workshop: Workshop
    around: Surroundings
    directory: Directory
    advisor: Advisor
    base_url: Callable[[], str]


class Servers:
    """The service behind the operations on servers.

    `on_change` is called with every server that changed, `on_wait` when a call waits for one
    that has no replica.
    """

    def __init__(self, parts: Parts) -> None:
        self.parts = parts
        self.making = Making(
            parts.location.root, parts.tree, parts.models, parts.workshop, parts.around.groups
        )
        self.deployments: dict[str, AnyDeployment] = {}
        self.on_change: Callable[[str], None] = lambda _: None
        self.on_wait: Callable[[Deployment], None] = lambda _: None
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        parts.around.groups.users = self._users
        parts.models.uses = self._uses

    # -- life

    async def open(self) -> None:
        """Take up what an earlier engine left: replicas that run, and what is to run."""
        await self.parts.around.groups.open()
        for row, version, living in await self.parts.database.read(server_records.left):
            try:
                deployment = self._make(row, version)
                await deployment.open(living)
            except SpiceError as error:
                log.error("server %s cannot be taken up: %s", row.name, error)
                continue
            self.deployments[row.name] = deployment

    async def close(self, *, keep: bool, grace: float) -> None:
        """Leave; with `keep` replicas go on for the next engine, else they drain."""
        await asyncio.gather(
            *(one.close(keep=keep, grace=grace) for one in self.deployments.values())
        )
        self.deployments.clear()

    def _make(self, row: ServerRow, version: VersionRow) -> AnyDeployment:
        parts = self.parts
        if version.definition.get("type") == "pod":
            return PolicyDeployment(
                parts.database, parts.advisor, parts.directory, row, version, told=self._told
            )
        return Deployment(
            parts.workshop,
            parts.around,
            parts.directory,
            row,
            version,
            told=self._told,
            on_wait=self.on_wait,
        )

    def _told(self, deployment: AnyDeployment) -> None:
        self.on_change(deployment.row.name)

    # -- looking

    @property
    def active(self) -> int:
        """Servers that are to run."""
        return sum(1 for one in self.deployments.values() if one.row.wish == "running")

    def names(self) -> list[str]:
        """All servers, by name."""
        return sorted(self.deployments)

    def get(self, name: str) -> AnyDeployment:
        """The server of that name.

        Raises:
            NotFound: there is none.
        """
        found = self.deployments.get(name)
        if found is None:
            raise table.no_such_server(name)
        return found

    def info(self, name: str) -> ServerInfo:
        """One server as it crosses the doors."""
        return server_view.info_of(self.get(name), self.url(name))

    def url(self, name: str) -> str:
        """Where the server is called."""
        return f"{self.parts.base_url()}/{self.parts.directory.owner}/{name}/predict"

    async def details(self, name: str) -> ServerDetails:
        """All about one server.

        Raises:
            NotFound: there is none.
        """
        deployment = self.get(name)
        versions, decisions = await self.parts.database.read(
            lambda connection: (
                table.list_versions(connection, name),
                replica_table.decisions(connection, name),
            )
        )
        served = self.parts.directory.get(name)
        current = next((one for one in versions if one.number == deployment.row.version), None)
        return ServerDetails(
            info=self.info(name),
            definition=deployment.definition,
            versions=[server_view.version_info(one) for one in versions],
            decisions=[server_view.decision_of(one) for one in decisions],
            predictor=dict(served.predictor) if served is not None else {},
            environment=current.environment if current is not None else "",
            token=deployment.row.token if deployment.definition.door.auth == "token" else "",
        )

    def served(self, name: str) -> Served:
        """The server as the doors see it; NotFound where there is none."""
        found = self.parts.directory.get(name)
        if found is None:
            raise table.no_such_server(name)
        return found

    async def predict(self, request: PredictRequest) -> PredictAnswer:
        """Send a payload to a server, or ask for its health (`path`: health).

        Raises:
            NotFound: there is no such server.
            InvalidRequest: there is no such path.
            DeadlineExceeded: no answer came.
        """
        return await inner_call.ask(self.served(request.server), request.payload, request.path)

    # -- changing

    async def serve(self, definition: ServerDefinition, key: str = "") -> AnyDeployment:
        """Stand a server up; returns when it is known, not when it runs. What a request with this
        `key` has stood up already is the answer.

        Raises:
            InvalidRequest, NotFound: what it is made of cannot be had; see `definitions.check`.
            Conflict: there is one of that name.
        """
        name = definition.name
        async with self._lock(name):
            before = await self.parts.database.read(lambda c: request_keys.made(c, key, "server"))
            if before == name and name in self.deployments:
                return self.deployments[name]
            if name.lower() in {other.lower() for other in self.deployments}:
                raise Conflict(
                    f"there is a server {name!r} already.",
                    hint=f"Update it (spice-tui server update {name} --update-repo takes the code "
                    f"anew), remove it (server rm -f {name}), or give another --name.",
                )
            if len(self.deployments) >= MOST_SERVERS:
                raise Conflict(f"there are {MOST_SERVERS} servers already.")
            found = await self.making.find(definition, None, code=True)
            now, token = time.time(), secrets.token_urlsafe(24)
            pods = max(1, definition.scaling.min_pods)

            def write(connection: sqlite3.Connection) -> tuple[ServerRow, VersionRow]:
                table.create(connection, name=name, pods=pods, token=token, created=now)
                request_keys.note(connection, key, "server", name)
                version = found.add(connection, now)
                return table.change(connection, name, version=version.number), version

            row, version = await self.parts.database.write(write)
            deployment = self.deployments[name] = self._make(row, version)
            await deployment.open(())
            self._changed(name)
            return deployment

    async def update(self, request: UpdateServer) -> AnyDeployment:
        """Roll out a new version with changed fields; returns when it is under way.

        Raises:
            NotFound, InvalidRequest: there is no such server, or it cannot be had so.
        """
        name = request.server
        async with self._lock(name):
            deployment = self.get(name)
            definition = definitions.merge(deployment.definition, request.changes)
            different = definitions.differences(deployment.definition, definition)
            if not different and not request.code and "models" not in request.changes:
                raise InvalidRequest(
                    f"nothing of server {name!r} would change.",
                    hint="Name what is to change; --update-repo takes the code anew.",
                )
            again = frozenset(request.changes)
            return await self._release(deployment, definition, again, code=request.code)

    async def replace(self, definition: ServerDefinition) -> AnyDeployment:
        """Roll out a whole definition, with the code as it is now.

        Raises: as `update`.
        """
        async with self._lock(definition.name):
            deployment = self.get(definition.name)
            again = frozenset({"models", "mounts"})
            return await self._release(deployment, definition, again, code=True)

    async def _release(
        self,
        deployment: AnyDeployment,
        definition: ServerDefinition,
        again: frozenset[str],
        *,
        code: bool,
    ) -> AnyDeployment:
        name, before = deployment.row.name, deployment.definition
        if (definition.type == "pod") != (before.type == "pod"):
            raise InvalidRequest(
                "a server of a pod's policy cannot become another one, nor the other way round.",
                hint="Remove it, and serve anew.",
            )
        sources = [(one.entrypoint, one.git, one.git_ref) for one in (definition, before)]
        code = code or sources[0] != sources[1]
        found = await self.making.find(definition, deployment.version, code=code, again=again)
        now, scaling = time.time(), definition.scaling
        pods = max(1, min(scaling.max_pods, max(scaling.min_pods, deployment.row.pods)))

        def write(connection: sqlite3.Connection) -> tuple[ServerRow, VersionRow]:
            version = found.add(connection, now)
            row = table.change(
                connection, name, version=version.number, pods=pods, message="", updated=now
            )
            return row, version

        row, version = await self.parts.database.write(write)
        deployment.roll_to(row, version)
        self._changed(name)
        return deployment

    async def roll_back(self, name: str, number: int) -> AnyDeployment:
        """Roll out an earlier version again; 0: the good one before the wanted one.

        Raises:
            NotFound: there is no such server or version.
            Conflict: it is the wanted one already.
        """
        async with self._lock(name):
            deployment = self.get(name)
            wanted = deployment.row.version

            def write(connection: sqlite3.Connection) -> tuple[ServerRow, VersionRow]:
                if number:
                    version = table.get_version(connection, name, number)
                else:
                    found = table.good_before(connection, name, wanted)
                    if found is None:
                        raise NotFound(
                            f"server {name!r} has no earlier version that worked.",
                            hint="`spice-tui server describe` lists its versions.",
                        )
                    version = found
                if version.number == wanted:
                    raise Conflict(
                        f"version {wanted} of server {name!r} is the one that is wanted."
                    )
                row = table.change(
                    connection, name, version=version.number, message="", updated=time.time()
                )
                return row, version

            row, version = await self.parts.database.write(write)
            deployment.roll_to(row, version)
            self._changed(name)
            return deployment

    async def wish(self, name: str, wish: str) -> AnyDeployment:
        """Let a server run or stop; returns when it is on its way.

        Raises:
            NotFound: there is no such server.
        """
        async with self._lock(name):
            deployment = self.get(name)
            if deployment.row.wish != wish or deployment.row.state == "failed":
                pods = max(1, deployment.row.pods)
                row = await self.parts.database.write(
                    lambda connection: table.change(
                        connection, name, wish=wish, pods=pods, message="", updated=time.time()
                    )
                )
                deployment.wish(row)
                self._changed(name)
            return deployment

    async def remove(self, name: str, *, force: bool) -> None:
        """Remove a server with its replicas' logs and its series.

        Raises:
            NotFound: there is no such server.
            Conflict: it runs, and `force` is not set.
        """
        deployment = self.get(name)
        if deployment.row.wish == "running" and deployment.row.state != "failed" and not force:
            raise Conflict(
                "Model server must be stopped before it can be removed",
                hint=f"spice-tui server stop {name}, or rm --force.",
            )
        await self.wish(name, "stopped")
        await deployment.settled()
        async with self._lock(name):
            if self.deployments.get(name) is not deployment:
                raise table.no_such_server(name)  # somebody else removed it meanwhile
            await deployment.close(keep=False, grace=1.0)
            await self.parts.database.write(lambda connection: table.remove(connection, name))
            self.deployments.pop(name, None)
            await self.parts.metrics.remove(f"server:{name}")
            folder = self.parts.workshop.folder(name)
            self.parts.workshop.request_logs.forget(folder)
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
        self._changed(name)

    async def scale(self, deployment: Deployment, pods: int) -> None:
        """Let a server have so many replicas; the autoscaler's way in."""
        name = deployment.row.name
        row = await self.parts.database.write(
            lambda connection: table.change(connection, name, pods=pods)
        )
        deployment.scale(row)

    # -- what others ask

    def _users(self, group: str) -> list[str]:
        return [
            name for name, one in self.deployments.items() if one.definition.node_group == group
        ]

    def _uses(self) -> list[ServerUse]:
        return [
            ServerUse(name, one.row.state, tuple((n, v) for n, v, _, _ in one.version.models))
            for name, one in self.deployments.items()
        ]

    def _lock(self, name: str) -> asyncio.Lock:
        # Names that differ by case alone are one; a lock that nobody holds is forgotten.
        return self._locks.setdefault(name.lower(), asyncio.Lock())

    def _changed(self, name: str) -> None:
        self.parts.models.changed()
        self.on_change(name)
