"""What a version needs before its first replica: environment, code, models, mounts, runtime."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Container
from dataclasses import replace
from pathlib import Path

from spice_engine.errors import InternalError, SpiceError
from spice_engine.protocol.servers import ServerDefinition
from spice_engine.records import record
from spice_engine.runs.environments import Environments
from spice_engine.runs.git_sources import GitSources
from spice_engine.runs.log_sources import REQUESTS
from spice_engine.serving import definitions, server_code
from spice_engine.serving.replica_files import ReplicaSpec, ServedModel
from spice_engine.serving.request_log import RequestLog, RequestLogs
from spice_engine.store import servers as table
from spice_engine.store.database import Database
from spice_engine.store.objects import ObjectStore
from spice_engine.store.servers import VersionRow
from spice_engine.workers.runtime_copy import runtime_copy

log = logging.getLogger(__name__)

Materialized = Callable[[str], Awaitable[Path]]
"""Gives the folder with the files of a model's object."""


@record
class Workshop:
    """Where versions are prepared. `materialized` gives the folder of a model's object."""

    state: Path
    database: Database
    objects: ObjectStore
    environments: Environments
    materialized: Materialized
    request_logs: RequestLogs
    sources: GitSources

    def request_log(self, server: str) -> RequestLog:
        """The log of a server's requests, should it be kept."""
        return self.request_logs.of(self.folder(server) / REQUESTS)

    def folder(self, server: str) -> Path:
        """All of one server."""
        return self.state / "servers" / server

    async def prepare(self, version: VersionRow, definition: ServerDefinition) -> ReplicaSpec:
        """Make all that replicas of the version need; what is there already is used.

        Raises:
            SpiceError: the environment cannot be made, an object is missing, the disk is full.
        """
        folder = self.folder(version.server)
        environment, runtime, _ = await asyncio.gather(
            self.environments.ensure(definition.dependencies),
            asyncio.to_thread(runtime_copy, self.state),
            self._files(version, folder / "versions" / str(version.number)),
        )
        if version.environment != environment.key:
            await self.database.write(
                lambda connection: table.set_environment(
                    connection, version.server, version.number, environment.key
                )
            )
        spec = self._spec(version, definition, environment.python, runtime, environment.key)
        return replace(
            spec,
            system=environment.system,
            state=self.state,
            activation=environment.activation,
        )

    def _spec(
        self,
        version: VersionRow,
        definition: ServerDefinition,
        python: Path,
        runtime: Path,
        environment: str,
    ) -> ReplicaSpec:
        folder = self.folder(version.server)
        return ReplicaSpec(
            server=version.server,
            version=version.number,
            definition=definition,
            models=tuple(ServedModel(name, n, custom) for name, n, custom, _ in version.models),
            mounted=bool(version.mounts),
            folder=folder / "versions" / str(version.number),
            replicas=folder / "replicas",
            python=python,
            runtime=runtime,
            environment=environment,
        )

    async def sketch(self, server: str, number: int) -> ReplicaSpec:
        """What is known of a version without preparing it: enough to take up its replicas.

        Raises:
            NotFound: there is no such version any more.
        """
        version = await self.database.read(
            lambda connection: table.get_version(connection, server, number)
        )
        return self._spec(version, definitions.from_plain(version.definition), Path(), Path(), "")

    async def _files(self, version: VersionRow, folder: Path) -> None:
        models = [(name, await self.materialized(found)) for name, _, _, found in version.models]
        await asyncio.to_thread(
            server_code.materialize,
            self.objects,
            folder,
            code=version.code,
            models=models,
            mounts=version.mounts,
        )


class Preparations:
    """What was prepared of one server's versions; one is prepared at a time."""

    def __init__(self, workshop: Workshop, done: Callable[[VersionRow, SpiceError | None], None]):
        self._workshop = workshop
        self._done = done
        self._specs: dict[int, ReplicaSpec] = {}
        self._task: asyncio.Task[None] | None = None

    def get(self, version: int) -> ReplicaSpec | None:
        """What replicas of the version need; None before it is prepared."""
        return self._specs.get(version)

    @property
    def is_busy(self) -> bool:
        """Whether a version is being prepared."""
        return self._task is not None and not self._task.done()

    def begin(self, version: VersionRow, definition: ServerDefinition) -> None:
        """Prepare a version; `done` is called at the end, with the error if there was one."""
        work = self._prepare(version, definition)
        self._task = asyncio.create_task(work, name=f"version of server {version.server}")

    def stop(self) -> None:
        """Nobody waits for what is being prepared any more."""
        if self._task is not None:
            self._task.cancel()
            self._task = None

    def keep(self, versions: Container[int]) -> None:
        """Forget the other versions."""
        self._specs = {number: spec for number, spec in self._specs.items() if number in versions}

    async def _prepare(self, version: VersionRow, definition: ServerDefinition) -> None:
        try:
            self._specs[version.number] = await self._workshop.prepare(version, definition)
        except SpiceError as error:
            self._done(version, error)
        except Exception as error:
            # A defect of ours, or files that go while they are read: without this the server
            # would be starting for ever, and nobody would hear why.
            log.exception("version %s of server %s", version.number, version.server)
            self._done(version, InternalError(f"the engine could not prepare it ({error!r})."))
        else:
            self._done(version, None)
