"""The engine on itself: who it is, stop, restart, settings, names, queries, samples."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict, dataclass

from spice_engine import __version__
from spice_engine.errors import Conflict
from spice_engine.events import Bus
from spice_engine.loop_lag import LoopLag
from spice_engine.operations import TABLE, operation
from spice_engine.pods.samples import add_sample, sample_names
from spice_engine.protocol.engine import (
    Accepted,
    EngineStatus,
    Names,
    NamesOf,
    Nothing,
    Pong,
    Query,
    QueryResult,
    SettingsList,
    SettingValue,
    StopEngine,
)
from spice_engine.protocol.engine import LoopLag as LoopLagInfo
from spice_engine.protocol.location import Location
from spice_engine.protocol.messages import PROTOCOL_VERSION
from spice_engine.protocol.samples import AddSample
from spice_engine.settings import LoadedSettings, describe, load_settings
from spice_engine.workers.pool import ChildPool

QUERY_SECONDS = 30.0
NAMES_AT_MOST = 200


@dataclass(frozen=True)
class EngineCounts:
    """What only the assembled engine knows, as functions."""

    http: Callable[[], str]
    clients: Callable[[], int]
    active_runs: Callable[[], int]
    pods: Callable[[], int]
    rescan: Callable[[], Awaitable[None]]
    names: Mapping[str, Callable[[], list[str]]]
    stop: Callable[[str | None], bool]
    restart: Callable[[], bool]


class EngineControl:
    """The service behind these operations."""

    def __init__(
        self,
        location: Location,
        loaded: LoadedSettings,
        bus: Bus,
        lag: LoopLag,
        queries: ChildPool,
        counts: EngineCounts,
    ) -> None:
        self.location = location
        self.loaded = loaded
        self.bus = bus
        self.lag = lag
        self.queries = queries
        self.counts = counts
        self.started = time.time()
        self._began = time.monotonic()
        self.draining = False
        bus.topic("engine", "gauge", lambda: asdict(self.status()))

    def status(self) -> EngineStatus:
        """Who the engine is and how it does."""
        lag = self.lag
        return EngineStatus(
            version=__version__,
            protocol=PROTOCOL_VERSION,
            pid=os.getpid(),
            app_folder=str(self.location.root),
            state_folder=str(self.location.state),
            http=self.counts.http(),
            started=self.started,
            uptime=time.monotonic() - self._began,
            clients=self.counts.clients(),
            subscriptions=self.bus.subscription_count,
            active_runs=self.counts.active_runs(),
            pods=self.counts.pods(),
            loop_lag=LoopLagInfo(
                round(lag.percentile(0.5) * 1000, 3),
                round(lag.percentile(0.99) * 1000, 3),
                round(lag.max * 1000, 3),
                lag.samples,
            ),
            draining=self.draining,
        )


@operation("engine.ping", http="GET /api/v1/engine/ping")
def ping(engine: EngineControl, request: Nothing) -> Pong:
    """Answer at once, with the engine's time."""
    return Pong(time.time())


@operation("engine.status", http="GET /api/v1/engine")
def status(engine: EngineControl, request: Nothing) -> EngineStatus:
    """Tell who the engine is and how it does."""
    return engine.status()


@operation("engine.stop", http="POST /api/v1/engine/stop")
def stop(engine: EngineControl, request: StopEngine) -> Accepted:
    """Drain and stop the engine. Running runs are left to run on, unless told otherwise."""
    if not engine.counts.stop(request.runs):
        raise Conflict("the engine is stopping already.")
    return Accepted("The engine finishes what is in flight and stops.")


@operation("engine.restart", http="POST /api/v1/engine/restart")
async def restart(engine: EngineControl, request: Nothing) -> Accepted:
    """Replace the engine by a new one; the HTTP socket is handed over, so no request is refused."""
    # The next one would refuse them, too, but then there would be none.
    await asyncio.to_thread(load_settings, engine.location.root)
    if not engine.counts.restart():
        raise Conflict("the engine is stopping already.")
    return Accepted("The engine finishes what is in flight and starts again.")


@operation("engine.settings", http="GET /api/v1/engine/settings")
def settings(engine: EngineControl, request: Nothing) -> SettingsList:
    """List all settings in force, with where each value came from."""
    sources = engine.loaded.sources
    return SettingsList(
        [
            SettingValue(name, value, sources[name], meaning)
            for name, value, meaning in describe(engine.loaded.values)
        ]
    )


@operation("engine.names", http="GET /api/v1/engine/names")
def names(engine: EngineControl, request: NamesOf) -> Names:
    """Names of a noun that begin with a prefix, for completion."""
    match request.noun:
        case "operations":
            found = [item.name for item in TABLE]
        case "topics":
            found = engine.bus.names
        case noun:
            found = engine.counts.names[noun]()
    return Names([name for name in found if name.startswith(request.prefix)][:NAMES_AT_MOST])


@operation("store.query", http="POST /api/v1/query")
async def query(engine: EngineControl, request: Query) -> QueryResult:
    """Run one read-only SQL statement over the store's tables, in a child process."""
    answer = await engine.queries.call(
        "query",
        {"state": str(engine.location.state), "sql": request.sql, "limit": request.limit},
        deadline=QUERY_SECONDS,
    )
    return QueryResult(answer["columns"], answer["rows"], answer["truncated"])


@operation("samples.list", http="GET /api/v1/samples")
def list_samples(engine: EngineControl, request: Nothing) -> Names:
    """List the sample apps that come with the product."""
    return Names(sample_names())


@operation("samples.add", http="POST /api/v1/samples/add")
async def add_sample_app(engine: EngineControl, request: AddSample) -> Names:
    """Copy a sample app into the app folder; answers with the files written."""
    files = await asyncio.to_thread(add_sample, request.name, engine.location.root)
    await engine.counts.rescan()  # so that the pod can be asked for as soon as this is answered
    return Names(files)
