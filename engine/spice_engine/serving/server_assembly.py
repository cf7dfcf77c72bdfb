"""Builds the services that work on model servers, and says in which order they begin and end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

from spice_engine.events import Bus
from spice_engine.pods.advisor import Advisor
from spice_engine.protocol.location import Location
from spice_engine.records import record
from spice_engine.runs.environments import Environments
from spice_engine.runs.git_sources import GitSources
from spice_engine.serving import tidying
from spice_engine.serving.assembly import ModelServices
from spice_engine.serving.directory import Directory
from spice_engine.serving.model_folders import ModelFolders
from spice_engine.serving.node_groups import NodeGroups
from spice_engine.serving.preparation import Workshop
from spice_engine.serving.request_log import RequestLogs
from spice_engine.serving.scaling import Scaling
from spice_engine.serving.server_metrics import MetricsOfServers
from spice_engine.serving.server_topic import ServerTopic
from spice_engine.serving.servers import Parts, Servers
from spice_engine.serving.surroundings import Places, Surroundings
from spice_engine.serving.validation import Validation
from spice_engine.store.database import Database
from spice_engine.store.metrics import MetricStore
from spice_engine.store.objects import ObjectStore
from spice_engine.workers.devices import Devices
from spice_engine.workers.placement import Placement, this_machine


@record
class ServerServices:
    """The services; `all` are those that operations ask for."""

    servers: Servers
    directory: Directory
    environments: Environments
    metrics: MetricsOfServers
    all: list[object]

    async def open(self) -> None:
        """Take up what an earlier engine left, and begin to measure."""
        await self.servers.open()
        self.metrics.start()

    async def close(self, *, keep: bool, grace: float) -> None:
        """Leave; with `keep` replicas go on for the next engine, else they drain."""
        await self.metrics.close()
        await self.servers.close(keep=keep, grace=grace)
        await self.environments.close(leave=keep)
        await asyncio.to_thread(self.servers.parts.workshop.request_logs.close)

    def group_names(self) -> list[str]:
        """The node groups."""
        return [group.name for group in self.servers.parts.around.groups.list()]

    async def tidy(self) -> None:
        """Remove what servers left on disk, and environments that nobody has used for long."""
        await tidying.tidy(self.servers)
        await self.environments.prune(await self.environments_in_use())

    async def environments_in_use(self) -> list[str]:
        """The keys of those that servers run in."""
        return [(await self.servers.details(name)).environment for name in self.servers.names()]


def build_server_services(
    location: Location,
    database: Database,
    metrics: MetricStore,
    objects: ObjectStore,
    placement: Placement,
    environments: Environments,
    sources: GitSources,
    devices: Devices,
    bundles: ModelServices,
    advisor: Advisor,
    bus: Bus,
    base_url: Callable[[], str],
    *,
    ahead: int,
) -> ServerServices:
    """Build them; whoever builds them closes them before the placement and the store.

    `ahead` is how many processes of each server wait for its next replica.
    """
    directory = Directory()
    machine = this_machine()
    groups = NodeGroups(database, machine, devices)
    folders = ModelFolders(location.state, objects)

    logs = RequestLogs()

    async def materialized(tree: str) -> Path:
        return await asyncio.to_thread(folders.ensure, tree)

    servers = Servers(
        Parts(
            location,
            database,
            metrics,
            bundles.tree,
            bundles.models,
            Workshop(location.state, database, objects, environments, materialized, logs, sources),
            Surroundings(placement, groups, Places(ahead, max(1, int(machine.cpu)))),
            directory,
            advisor,
            base_url,
        )
    )
    topic = ServerTopic(servers, bus)
    series = MetricsOfServers(servers, topic, Scaling(servers))
    validation = Validation(servers.making, placement)
    services: list[object] = [servers, groups, series, validation]
    return ServerServices(servers, directory, environments, series, services)
