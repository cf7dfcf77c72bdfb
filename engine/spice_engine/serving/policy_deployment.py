"""A server of a pod's policy: it has no replicas, and is there at once."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from functools import partial

from spice_engine.errors import SpiceError
from spice_engine.pods.advisor import Advisor
from spice_engine.protocol.servers import RolloutInfo, ScaleDecision
from spice_engine.serving import definitions, server_records
from spice_engine.serving.directory import Directory, Served
from spice_engine.serving.figures import Figures
from spice_engine.serving.policy_endpoint import PAYLOAD_SCHEMA, PolicyEndpoint
from spice_engine.serving.replicas import Replica
from spice_engine.serving.server_view import Usage
from spice_engine.store import servers as table
from spice_engine.store.database import Database
from spice_engine.store.replicas import ReplicaRow
from spice_engine.store.servers import ServerRow, VersionRow

log = logging.getLogger(__name__)


class PolicyDeployment:
    """As `Deployment`, for a server of type pod."""

    def __init__(
        self,
        database: Database,
        advisor: Advisor,
        directory: Directory,
        row: ServerRow,
        version: VersionRow,
        *,
        told: Callable[[PolicyDeployment], None],
    ) -> None:
        self.row = row
        self.version = version
        self.definition = definitions.from_plain(version.definition)
        self.rollout: RolloutInfo | None = None
        self.decision: ScaleDecision | None = None
        self.usage: Mapping[int, Usage] = {}
        self.figures = Figures()
        self._database = database
        self._directory = directory
        self._told = told
        self._changes: set[asyncio.Task[None]] = set()
        self._settled = asyncio.Event()
        pod, alias = self._named()
        self.endpoint = PolicyEndpoint(
            advisor, pod, alias, self.figures, self.definition.door.max_queue
        )
        self.served = Served(
            name=row.name,
            endpoint=self.endpoint,
            door=self.definition.door,
            token=row.token,
            version=row.version,
            models=tuple(self.definition.models),
            figures=self.figures,
            predictor={"payload_schema": PAYLOAD_SCHEMA, "class": "Policy"},
            state=row.state,
        )

    def _named(self) -> tuple[str, str]:
        ((pod, alias),) = definitions.model_names(self.definition)
        return pod, alias.removeprefix("@")

    async def open(self, living: tuple[ReplicaRow, ...]) -> None:
        """Let the doors see it."""
        self._directory.put(self.served)
        self._go_on()

    def roll_to(self, row: ServerRow, version: VersionRow) -> None:
        """Answer by another definition from now on."""
        self.row, self.version = row, version
        self.definition = definitions.from_plain(version.definition)
        self._go_on()

    def wish(self, row: ServerRow) -> None:
        """Run or stop, as the row says."""
        self.row = row
        self._go_on()

    async def settled(self) -> None:
        """Wait until the wish is fulfilled."""
        await self._settled.wait()

    async def close(self, *, keep: bool, grace: float) -> None:
        """Leave."""
        self._directory.remove(self.row.name)
        await self.endpoint.close()
        for task in list(self._changes):
            task.cancel()
        await asyncio.gather(*self._changes, return_exceptions=True)
        self._settled.set()

    @property
    def pods(self) -> tuple[int, int]:
        """One where it answers."""
        answers = int(self.endpoint.open)
        return answers, answers

    @property
    def replica_list(self) -> list[Replica]:
        """It has none."""
        return []

    def _go_on(self) -> None:
        self._settled.clear()
        served, row = self.served, self.row
        _, self.endpoint.alias = self._named()
        self.endpoint.most = self.definition.door.max_queue
        self.endpoint.open = row.wish == "running"
        served.door, served.version = self.definition.door, row.version
        served.models = tuple(self.definition.models)
        task = asyncio.create_task(self._note(), name=f"server {row.name}")
        self._changes.add(task)
        task.add_done_callback(self._changes.discard)

    async def _note(self) -> None:
        """Put its state in the store, and where others see it."""
        name = self.row.name
        state = "running" if self.row.wish == "running" else "stopped"
        since = self.row.running_since or time.time() if state == "running" else None
        try:
            if state == "running":
                await self._database.write(
                    partial(server_records.rolled_out, server=name, version=self.row.version)
                )
            self.row = await self._database.write(
                lambda connection: table.change(connection, name, state=state, running_since=since)
            )
        except SpiceError as error:
            log.warning("server %s: %s", name, error)
        self.served.state = state
        self._settled.set()
        self._told(self)
