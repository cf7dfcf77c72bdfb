"""What the engine's store needs from time to time: old rows, metrics and objects go.

Nothing here is urgent: it runs a minute after the start and every hour from then on, at a pace
that keeps nobody waiting, and what fails is tried again the next time.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from spice_engine.errors import SpiceError
from spice_engine.store import policies, references, training
from spice_engine.store.database import Database
from spice_engine.store.metrics import MetricStore
from spice_engine.store.objects import ObjectStore

log = logging.getLogger(__name__)

FIRST_SECONDS = 60.0
EVERY_SECONDS = 3600.0
OBJECT_AGE_SECONDS = 3600.0
"""Objects younger than this are left alone: who needs them may not be noted yet."""


class Maintenance:
    """Keeps one engine's store from growing without bound."""

    def __init__(self, database: Database, metrics: MetricStore, objects: ObjectStore) -> None:
        self._database = database
        self._metrics = metrics
        self._objects = objects
        self.more: list[Callable[[], Awaitable[None]]] = []
        """What other parts of the engine want done with it, before objects are collected."""

    async def run(self, *, first: float = FIRST_SECONDS, every: float = EVERY_SECONDS) -> None:
        """Do all of it again and again, until cancelled; `first` and `every` are seconds."""
        await asyncio.sleep(first)
        while True:
            await self.once()
            await asyncio.sleep(every)

    async def once(self) -> None:
        """Do all of it now; what fails is logged and does not keep the rest from being done."""
        steps: tuple[Callable[[], Awaitable[None]], ...] = (
            self._prune_policies,
            self._prune_trainings,
            self._metrics.roll_up,
            *self.more,
            self._collect_objects,
        )
        for step in steps:
            try:
                await step()
            except SpiceError as error:
                log.warning("maintenance of the store: %s", error)

    async def _prune_policies(self) -> None:
        removed = await self._database.write(policies.prune)
        if removed:
            log.info("%d old policies that no alias names were removed", removed)

    async def _prune_trainings(self) -> None:
        removed = await self._database.write(training.prune_all)
        if removed:
            log.info("%d old training runs were removed", removed)

    async def _collect_objects(self) -> None:
        needed = await self._database.read(references.referenced)
        collected = await asyncio.to_thread(self._objects.collect, needed, OBJECT_AGE_SECONDS)
        if collected.removed:
            log.info("%d objects (%d bytes) were removed", collected.removed, collected.size)
