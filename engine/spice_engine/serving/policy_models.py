"""The policies of pods as models: there without being created, versioned and named by their pod."""

from __future__ import annotations

import asyncio
import sqlite3
from typing import Protocol

from spice_engine.errors import NotFound
from spice_engine.pods import aliases
from spice_engine.pods.package import POLICY
from spice_engine.protocol.models import ModelInfo, ModelVersionInfo
from spice_engine.runs.creator import creator
from spice_engine.store import policies, trees
from spice_engine.store.database import Database
from spice_engine.store.objects import ObjectStore
from spice_engine.store.policies import PolicyRow
from spice_engine.store.trees import Entry


class PodNames(Protocol):
    """What is needed of the service that keeps pods."""

    def names(self) -> list[str]:
        """All pods, by name."""
        ...


class PodAliases(Protocol):
    """What is needed of the service that keeps the versions of pods."""

    async def set_alias(self, pod: str, alias: str, version: str) -> dict[str, int]:
        """Make an alias name a version; `latest` also serves it."""
        ...

    async def remove_alias(self, pod: str, alias: str) -> dict[str, int]:
        """Take an alias away."""
        ...


class PolicyModels:
    """Pods that have a policy, seen as models."""

    def __init__(
        self, database: Database, objects: ObjectStore, pods: PodNames, names: PodAliases
    ) -> None:
        self._database = database
        self._objects = objects
        self._pods = pods
        self._aliases = names

    def has(self, name: str) -> bool:
        """Whether a pod is called so; it may have no policy yet."""
        return name in self._pods.names()

    async def infos(self) -> list[ModelInfo]:
        """Every pod that has a policy, by name."""
        known = set(self._pods.names())
        rows = await self._database.read(policies.list_versions)
        of_pods: dict[str, list[PolicyRow]] = {}
        for row in rows:
            if row.pod in known:
                of_pods.setdefault(row.pod, []).append(row)
        return await asyncio.to_thread(
            lambda: [self._model(versions) for versions in of_pods.values()]
        )

    async def versions(self, name: str) -> list[ModelVersionInfo]:
        """The versions of a pod's policy, newest first.

        Raises:
            NotFound: it has none.
        """
        rows = await self._rows(name)
        return await asyncio.to_thread(lambda: [self._version(row) for row in rows])

    async def find(self, name: str, version: str) -> ModelVersionInfo:
        """The version that a number or a name stands for; none: the one that serves.

        Raises:
            AliasNotFound: none does.
        """

        def read(connection: sqlite3.Connection) -> PolicyRow:
            return aliases.resolve(connection, name, version or aliases.LATEST)

        row = await self._database.read(read)
        return await asyncio.to_thread(self._version, row)

    async def set_alias(self, name: str, alias: str, version: str) -> None:
        """Name a version, or with an empty `version` take the name away.

        Raises:
            NotFound, InvalidRequest, Conflict: as `spice_engine.pods.versions.Versions`.
        """
        if version:
            await self._aliases.set_alias(name, alias, version)
        else:
            await self._aliases.remove_alias(name, alias)

    def folder_of(self, policy: str) -> str:
        """The hash of a stored folder that holds the policy's file alone. Blocks."""
        size = self._objects.path_of(policy).stat().st_size
        return self._objects.put_bytes(trees.encode([Entry(POLICY, "file", 0o644, policy, size)]))

    async def _rows(self, name: str) -> list[PolicyRow]:
        rows = await self._database.read(
            lambda connection: policies.list_versions(connection, name)
        )
        if not rows:
            raise NotFound(f"pod {name!r} has no policy yet.", hint="Train it first.")
        return list(rows)

    def _model(self, rows: list[PolicyRow]) -> ModelInfo:
        latest = next((row for row in rows if aliases.LATEST in row.aliases), rows[0])
        version = self._version(latest)
        return ModelInfo(
            rows[0].pod, "policy", version, len(rows), rows[-1].created, version.creator
        )

    def _version(self, row: PolicyRow) -> ModelVersionInfo:
        score = aliases.held_out(row)
        try:
            size = self._objects.path_of(row.object).stat().st_size
        except OSError:
            size = 0
        if row.training_number is None:
            origin = "imported"
        else:
            origin = f"training {row.pod}/{row.training_number}"
        judged = "" if score is None else f"; {score:.0%} of the regret closed on held-out data"
        return ModelVersionInfo(
            model=row.pod,
            number=row.version,
            version="",
            resource=origin,
            files=[POLICY],
            description=f"{row.algorithm}{judged}",
            created=row.created,
            creator=creator(),
            size=size,
            object=row.object,
            pod=row.pod,
            policy_version=row.version,
            aliases=list(row.aliases),
        )
