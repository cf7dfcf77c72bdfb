"""What a version needs before its first replica: environment, code, models, mounts, runtime."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from spice_engine.protocol.servers import ServerDefinition
from spice_engine.runs.environments import Environments
from spice_engine.serving import definitions, server_code
from spice_engine.serving.replica_files import ReplicaSpec, ServedModel
from spice_engine.store import servers as table
from spice_engine.store.database import Database
from spice_engine.store.objects import ObjectStore
from spice_engine.store.servers import VersionRow

Materialized = Callable[[str], Awaitable[Path]]
"""Gives the folder with the files of a model's object."""


@dataclass(frozen=True, slots=True)
class Workshop:
    """Where versions are prepared. `materialized` gives the folder of a model's object."""

    state: Path
    database: Database
    objects: ObjectStore
    environments: Environments
    materialized: Materialized

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
            asyncio.to_thread(server_code.runtime_copy, self.state),
            self._files(version, folder / "versions" / str(version.number)),
        )
        if version.environment != environment.key:
            await self.database.write(
                lambda connection: table.set_environment(
                    connection, version.server, version.number, environment.key
                )
            )
        return self._spec(version, definition, environment.python, runtime, environment.key)

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
