"""Builds what lies between an engine's doors and its disk: store, children, services.

Whatever is built is closed by the stack, in the order that is right.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from dataclasses import asdict
from typing import Any, Protocol

from spice_engine.app_folder import ensure_token
from spice_engine.events import Bus
from spice_engine.maintenance import Maintenance
from spice_engine.pods.assembly import PodServices, build_pod_services
from spice_engine.pods.pools import make_pools
from spice_engine.protocol.location import Location
from spice_engine.records import record
from spice_engine.runs.archived_groups import ArchivedGroups
from spice_engine.runs.client_variables import ClientVariables
from spice_engine.runs.disk_guard import DiskGuard
from spice_engine.runs.environment_care import EnvironmentCare
from spice_engine.runs.environments import CHANNELS, Environments
from spice_engine.runs.log_views import Logs
from spice_engine.runs.machine_types import MachineTypes
from spice_engine.runs.metric_service import RunMetrics
from spice_engine.runs.preparation import Preparation
from spice_engine.runs.projects import Projects
from spice_engine.runs.resource_pruning import Disk
from spice_engine.runs.run_archives import RunArchives
from spice_engine.runs.searches import Searches
from spice_engine.runs.service import Runs
from spice_engine.runs.tracking import Tracking
from spice_engine.runs.tracking_import import TrackingImport
from spice_engine.runs.tracking_variables import TrackingVariables
from spice_engine.runs.workflows.service import Workflows
from spice_engine.runs.workspaces import Workspaces
from spice_engine.serving.assembly import ModelServices, build_model_services
from spice_engine.serving.server_assembly import ServerServices, build_server_services
from spice_engine.settings import Settings
from spice_engine.store.database import Database
from spice_engine.store.metrics import MetricStore
from spice_engine.store.objects import ObjectStore
from spice_engine.workers.devices import Devices, gpus_here
from spice_engine.workers.limits import detect, sweep
from spice_engine.workers.placement import UNCOUNTED, LocalPlacement, this_machine
from spice_engine.workers.pool import ChildPool
from spice_engine.workers.shims import ShimHost

log = logging.getLogger(__name__)

Source = Callable[[], dict[str, float]]


class Ending(Protocol):
    """How the engine is going to end; asked when it does."""

    restarting: bool

    def stops_runs(self) -> bool:
        """Whether runs are stopped first."""
        ...


@record
class Parts:
    """The parts of one engine; `sources` are figures of them for the metrics door."""

    runs: Runs
    run_metrics: RunMetrics
    projects: Projects
    tracking: Tracking
    tracking_import: TrackingImport
    workflows: Workflows
    workspaces: Workspaces
    searches: Searches
    disk: Disk
    guard: DiskGuard
    environments: EnvironmentCare
    archives: RunArchives
    logs: Logs
    pods: PodServices
    bundles: ModelServices
    serving: ServerServices
    query: ChildPool
    sources: dict[str, Source]

    @property
    def services(self) -> list[object]:
        """All that operations ask for, but the engine's own."""
        own = [self.runs, self.run_metrics, self.projects, self.workflows]
        own += [self.workspaces, self.searches, self.tracking_import, self.disk, self.archives]
        own += [self.environments, self.logs]
        return [*own, *self.pods.all, *self.bundles.all, *self.serving.all]

    @property
    def busy(self) -> bool:
        """Whether something goes on that needs an engine."""
        own = self.runs.active or self.workflows.active or self.searches.active
        own = own or self.tracking.busy
        return bool(own or self.pods.pods.busy or self.serving.servers.active)

    def names(self) -> dict[str, Callable[[], list[str]]]:
        """What completes the names of each kind of thing."""
        return {
            "pods": self.pods.pods.names,
            "runs": self.runs.known.names,
            "projects": self.projects.names,
            "workflows": self.workflows.known.names,
            "searches": self.searches.names,
            "workspaces": self.workspaces.names,
            "models": self.bundles.models.names,
            "resources": self.bundles.tree.names,
            "servers": self.serving.servers.names,
            "node_groups": self.serving.group_names,
            "machine_types": self.runs.machines.names,
        }

    def let_go(self) -> None:
        """Have nobody wait for an answer that may be long in coming: the engine ends."""
        self.run_metrics.watches.let_go()

    async def open(self) -> None:
        """Take up what an earlier engine left: runs, pods, models, servers."""
        await self.runs.machines.open()
        await self.projects.open()
        await self.tracking.open()
        await self.run_metrics.open()
        self.guard.start()
        # Runs are known before anybody can ask for them; they are followed from here on.
        taken_up = await self.runs.adopt_all()
        if taken_up:
            log.info("%d runs of an earlier engine are taken up", taken_up)
        await self.pods.manifests.write_schema()
        await self.pods.pods.open()
        await self.bundles.open()
        await self.serving.open()
        await self.workflows.open()
        await self.searches.open()
        await self.workspaces.open()


async def build_parts(
    stack: contextlib.AsyncExitStack,
    location: Location,
    settings: Settings,
    bus: Bus,
    ending: Ending,
    base_url: Callable[[], str],
    *,
    trusted: bool,
) -> Parts:
    """Build them; nothing of what an earlier engine left is taken up yet.

    Raises:
        SpiceError: the store cannot be opened.
    """
    state = location.state
    database = await Database.open(state / "engine.db", migrations="engine")
    stack.push_async_callback(database.close)
    metrics = await MetricStore.open(state / "metrics.db")
    stack.push_async_callback(metrics.close)
    objects = await asyncio.to_thread(ObjectStore, state / "objects")
    maintenance = Maintenance(database, metrics, objects)
    stack.push_async_callback(end, asyncio.create_task(maintenance.run(), name="maintenance"))

    support = await asyncio.to_thread(detect)
    await asyncio.to_thread(sweep, support)
    shims = ShimHost()
    stack.push_async_callback(shims.close)
    pools = make_pools(settings, state / "trainers")
    for pool in pools.values():
        stack.push_async_callback(pool.close)

    placement = LocalPlacement(shims, capacity=UNCOUNTED, support=support)
    devices = Devices(await asyncio.to_thread(gpus_here))
    machines = MachineTypes(database, this_machine(), devices)
    environments = Environments(
        state, location.root, placement, channels=settings.conda_channels or CHANNELS
    )
    preparation = Preparation(location, objects, environments)
    runs = Runs(location, database, metrics, placement, machines, preparation, bus)

    token = ensure_token(location)
    run_metrics = RunMetrics(runs, token, base_url, pools["loader"])
    stack.push_async_callback(run_metrics.close)

    async def close_runs() -> None:
        await runs.close(stop=ending.stops_runs())

    stack.push_async_callback(close_runs)
    projects = Projects(database, metrics, runs.known, bus)
    tracking = Tracking(runs, projects)
    runs.variables.append(TrackingVariables(token, base_url, settings.tls_cert))
    workflows = Workflows(runs, objects, bus, ClientVariables(location, token, base_url))
    stack.push_async_callback(workflows.close)
    searches = Searches(runs, pools["searcher"], bus)
    stack.push_async_callback(searches.close)
    workflows.end_search = lambda number, kill: searches.end(number, kill=kill)
    workspaces = Workspaces(runs, bus)
    stack.push_async_callback(workspaces.close)
    logs = Logs(runs, pools)
    stack.callback(logs.close)
    pods = build_pod_services(
        stack, location, settings, database, objects, pools, bus, trusted=trusted
    )
    bundles = build_model_services(stack, location, settings, database, metrics, objects, pods, bus)
    preparation.resolve, preparation.follow = bundles.tree.stored_object, bundles.tree.place_of
    searches.pods = pods.trials
    serving = build_server_services(
        location,
        database,
        metrics,
        objects,
        placement,
        environments,
        preparation.sources,
        devices,
        bundles,
        pods.advisor,
        bus,
        base_url,
        ahead=settings.replicas_ahead,
    )

    async def close_servers() -> None:
        await serving.close(keep=ending.restarting, grace=settings.drain_seconds)

    stack.push_async_callback(close_servers)
    maintenance.more += [runs.tidy, preparation.sources.tidy, bundles.models.sweep, serving.tidy]
    sources: dict[str, Source] = {
        "store": lambda: _figures(database.stats()),
        "metrics_store": lambda: _figures(metrics.stats()),
        "runs": lambda: {"active": runs.active},
        "pods": lambda: {"count": len(pods.pods.names())},
        "observations": pods.pods.observations.stats,
        "feeds": pods.pods.feeds.stats,
        "spawner": lambda: {"starts_total": shims.spawner_starts},
    }
    for name, pool in pools.items():
        sources[name] = lambda pool=pool: _figures(pool.stats())
    return Parts(
        runs,
        run_metrics,
        projects,
        tracking,
        TrackingImport(tracking, projects),
        workflows,
        workspaces,
        searches,
        Disk(location, database, objects, runs.known, bundles.tree.outputs, maintenance.once),
        _guarded(stack, runs),
        EnvironmentCare(environments, runs, serving.environments_in_use),
        RunArchives(
            runs,
            projects,
            pools["loader"],
            objects,
            ArchivedGroups(searches, workflows),
            bundles.tree.go_on,
        ),
        logs,
        pods,
        bundles,
        serving,
        pools["query"],
        sources,
    )


def _guarded(stack: contextlib.AsyncExitStack, runs: Runs) -> DiskGuard:
    guard = DiskGuard(runs)
    stack.push_async_callback(guard.close)
    return guard


async def end(task: asyncio.Task[None]) -> None:
    """Cancel a task and wait for its end."""
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


def _figures(stats: Any) -> dict[str, float]:
    return {name: value for name, value in asdict(stats).items() if isinstance(value, int | float)}
