"""The service of runs on a folder, as the engine builds it, without an engine around it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from spice_engine.events import Bus
from spice_engine.protocol.location import Location
from spice_engine.runs.environments import Environments
from spice_engine.runs.machine_types import MachineTypes
from spice_engine.runs.preparation import Preparation
from spice_engine.runs.service import Runs
from spice_engine.store.database import Database
from spice_engine.store.metrics import MetricStore
from spice_engine.store.objects import ObjectStore
from spice_engine.workers.devices import Devices
from spice_engine.workers.placement import UNCOUNTED, LocalPlacement, this_machine
from spice_engine.workers.shims import ShimHost


@asynccontextmanager
async def runs_of(root: Path, *, gpus: int = 0, stop: bool = False) -> AsyncIterator[Runs]:
    """Runs on `root`; `stop`: those that go on at the end are stopped."""
    state = root / ".spice"
    database = await Database.open(state / "engine.db", migrations="engine")
    metrics = await MetricStore.open(state / "metrics.db")
    objects = ObjectStore(state / "objects")
    host = ShimHost()
    placement = LocalPlacement(host, capacity=UNCOUNTED)
    machines = MachineTypes(database, this_machine(), Devices(gpus))
    location = Location(root, state)
    preparation = Preparation(location, objects, Environments(state, root, placement))
    runs = Runs(location, database, metrics, placement, machines, preparation, Bus())
    try:
        yield runs
    finally:
        await runs.close(stop=stop)
        await host.close()
        objects.close()
        await metrics.close()
        await database.close()
