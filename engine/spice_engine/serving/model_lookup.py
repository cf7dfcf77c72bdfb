"""Finding models and versions: by number, custom name, alias, or the best by a metric."""

from __future__ import annotations

import asyncio
import dataclasses
import sqlite3
from collections.abc import Callable, Iterable

from spice_engine.errors import InvalidRequest, NotFound
from spice_engine.protocol.models import ModelInfo, ModelVersionInfo, ModelVersions
from spice_engine.records import record
from spice_engine.runs import resource_paths
from spice_engine.runs.resource_files import Resource
from spice_engine.serving import model_names as names
from spice_engine.serving.policy_models import PolicyModels
from spice_engine.store import models as table
from spice_engine.store.database import Database
from spice_engine.store.metrics import MetricStore
from spice_engine.store.models import VersionRow


@record
class ModelVersion:
    """One version, found. `kind`: files (`object` is a folder's hash) or policy (a file's)."""

    name: str
    number: int
    version: str
    object: str
    kind: str
    size: int
    created: float
    run: int | None = None

    @property
    def label(self) -> str:
        """`v2`, or `demo (v2)`."""
        return names.label(self.number, self.version)


@record
class ServerUse:
    """A server, its state, and the versions of models (name, number) that it was made with."""

    server: str
    state: str
    models: tuple[tuple[str, int], ...]


class ModelLookup:
    """What is known of models. It is also the part of the resource tree below `models/`.

    `uses` says which servers use which models; the servers' service sets it.
    """

    def __init__(self, database: Database, metrics: MetricStore, policies: PolicyModels) -> None:
        self.policies = policies
        self.uses: Callable[[], Iterable[ServerUse]] = tuple
        self._database = database
        self._metrics = metrics

    async def list(self) -> list[ModelInfo]:
        """Every model, by name; a pod's policy is hidden by a model of files of its name."""
        return list((await self.all()).values())

    async def get(self, name: str) -> ModelVersions:
        """A model with all its versions.

        Raises:
            NotFound: there is no such model.
        """
        versions = await self.versions(name)
        info = (await self.all()).get(name)
        if info is None:
            raise table.no_such_model(name)
        return ModelVersions(info, versions)

    async def versions(self, name: str) -> list[ModelVersionInfo]:
        """All versions of a model, newest first.

        Raises:
            NotFound: there is no such model.
        """
        rows = await self._database.read(lambda connection: table.versions(connection, name))
        if rows:
            found = [info_of(row) for row in rows]
        elif self.policies.has(name):
            found = await self.policies.versions(name)
        else:
            raise table.no_such_model(name)
        return self.with_servers(found)

    async def version(self, name: str, version: str) -> ModelVersionInfo:
        """One version: by number, custom name or alias; none: the newest.

        Raises:
            NotFound: there is none.
            InvalidRequest: it can name no version.
        """
        found = await self.find(name, version)
        return self.with_servers([found])[0]

    async def resolve(self, text: str) -> ModelVersion:
        """What `NAME[:VERSION]` names: `cifar`, `cifar:v2`, `cifar:@best:accuracy`, a pod.

        Raises:
            NotFound: there is no such model, or no such version of it.
            InvalidRequest: it cannot name one.
        """
        name, version = names.split(text)
        found = await self.find(name, version)
        return ModelVersion(
            found.model,
            found.number,
            found.version,
            found.object,
            "policy" if found.pod and found.policy_version is not None else "files",
            found.size,
            found.created,
            found.run,
        )

    async def find(self, name: str, version: str) -> ModelVersionInfo:
        """One version, without the servers that use it; see `version`."""
        wanted = version.removeprefix("@")

        def read(connection: sqlite3.Connection) -> VersionRow | None:
            if table.find(connection, name) is None:
                return None
            if wanted in {"", names.LATEST}:
                return table.latest(connection, name)
            number = names.number_of(wanted) if wanted == version else None
            if number is not None:
                return table.get_version(connection, name, number)
            row = None
            if wanted == version:
                row = table.by_name(connection, name, version)
            row = row or table.by_alias(connection, name, wanted)
            if row is None:
                raise table.no_such_version(name, version)
            return row

        kind, _, metric = wanted.partition(":")
        if kind == names.BEST and self.policies.has(name) and not await self.has_files(name):
            if metric:
                raise InvalidRequest(
                    f"the policies of pod {name!r} are judged in one way only.",
                    hint=f"{name}:@best names the best.",
                )
            return await self.policies.find(name, names.BEST)
        if kind == names.BEST:
            return info_of(await self._best(name, metric))
        row = await self._database.read(read)
        if row is not None:
            return info_of(row)
        if self.policies.has(name):
            return await self.policies.find(name, wanted)
        raise table.no_such_model(name)

    async def has_files(self, name: str) -> bool:
        """Whether there is a model of files of this name."""
        return (
            await self._database.read(lambda connection: table.find(connection, name)) is not None
        )

    async def _best(self, name: str, metric: str) -> VersionRow:
        """The version whose run ended with the best value of a metric; of equals the newest."""
        rows = await self._database.read(lambda connection: table.versions(connection, name))
        if not rows:
            raise table.no_such_model(name)
        if not metric:
            raise InvalidRequest(
                f"{name}:@best does not say by which metric.",
                hint=f"Such as: {name}:@best:accuracy.",
            )
        wanted = resource_paths.reference(f"@best:{metric}")
        assert wanted is not None
        values = await self._metrics.last_numbers(wanted.metric)
        sign = -1 if wanted.smallest else 1
        scored = [
            (sign * values[f"runs/{row.run_id}"], row.number, row)
            for row in rows
            if f"runs/{row.run_id}" in values
        ]
        if not scored:
            raise NotFound(
                f"no run that model {name} comes from has a metric {wanted.metric[:100]!r}.",
                hint="`spice-tui metrics RUN` lists the metrics of a run.",
            )
        return max(scored, key=lambda one: one[:2])[2]

    # -- as a part of the resource tree

    async def listed(self) -> list[tuple[str, float, str]]:
        """Name, time of the newest version, and that version, of each model."""
        return [
            (info.name, info.latest.created, info.latest.label)
            for info in (await self.all()).values()
        ]

    async def listed_versions(self, name: str) -> list[tuple[str, float, str]]:
        """`v3`, its time and its names, newest first."""
        return [
            (f"v{one.number}", one.created, ", ".join(filter(None, [one.version, *one.aliases])))
            for one in await self.versions(name)
        ]

    async def version_root(self, name: str, version: str) -> Resource:
        """The files of a version as a resource."""
        found = await self.find(name, version)
        tree = found.object
        if found.policy_version is not None:
            tree = await asyncio.to_thread(self.policies.folder_of, tree)
        path = f"models/{found.model}/v{found.number}"
        return Resource(path, "folder", object=tree, modified=found.created, run=found.run)

    def with_servers(self, versions: Iterable[ModelVersionInfo]) -> list[ModelVersionInfo]:
        """The versions with the servers that use them."""
        servers: dict[tuple[str, int], list[str]] = {}
        for use in self.uses():
            for model in use.models:
                servers.setdefault(model, []).append(use.server)
        return [
            dataclasses.replace(one, servers=sorted(servers.get((one.model, one.number), [])))
            for one in versions
        ]

    async def all(self) -> dict[str, ModelInfo]:
        """Every model by its name, sorted; a pod's policy is hidden by files of its name."""
        stored = await self._database.read(table.newest)
        found = {info.name: info for info in await self.policies.infos()}
        newest = self.with_servers(info_of(row) for _, row, _ in stored)
        for (model, _, count), latest in zip(stored, newest, strict=True):
            found[model.name] = ModelInfo(
                model.name, "files", latest, count, model.created, model.creator
            )
        return dict(sorted(found.items()))


def info_of(row: VersionRow) -> ModelVersionInfo:
    """A stored version as it crosses the doors."""
    return ModelVersionInfo(
        model=row.model,
        number=row.number,
        version=row.version,
        resource=row.resource,
        files=list(row.files),
        description=row.description,
        created=row.created,
        creator=row.creator,
        size=row.size,
        object=row.object,
        run=row.run_id,
        aliases=list(row.aliases),
    )
