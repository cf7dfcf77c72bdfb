"""Models: versioned bundles of files, made of resources; and the policies of pods beside them."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import logging
import sqlite3
import time
from typing import Any

from spice_engine.errors import Conflict, InvalidRequest, NotFound, SpiceError
from spice_engine.events import Bus
from spice_engine.protocol.models import CreateModel, ModelInfo, ModelVersionInfo
from spice_engine.runs import resource_paths
from spice_engine.runs.creator import creator
from spice_engine.runs.resource_copy import Copied, existing_of
from spice_engine.runs.resource_files import Resource, Stored, machine_resource
from spice_engine.runs.resources import ResourceTree
from spice_engine.serving import model_names as names
from spice_engine.serving.model_files import gather
from spice_engine.serving.model_folders import ModelFolders
from spice_engine.serving.model_lookup import ModelLookup, info_of
from spice_engine.serving.policy_models import PolicyModels
from spice_engine.store import models as table
from spice_engine.store import references, request_keys
from spice_engine.store.database import Database
from spice_engine.store.metrics import MetricStore
from spice_engine.store.models import NewVersion, VersionRow
from spice_engine.store.objects import ObjectStore

log = logging.getLogger(__name__)

LONGEST_DESCRIPTION = 10_000
MOST_FILES = 1000


class Models(ModelLookup):
    """The service behind the operations on models."""

    def __init__(
        self,
        database: Database,
        metrics: MetricStore,
        objects: ObjectStore,
        tree: ResourceTree,
        policies: PolicyModels,
        bus: Bus,
    ) -> None:
        super().__init__(database, metrics, policies)
        self._objects = objects
        self._tree = tree
        self._folders = ModelFolders(tree.location.state, objects)
        self._refreshing = asyncio.Lock()
        self._known: dict[str, ModelInfo] = {}
        self._topic = bus.topic("models", "state", self._snapshot)
        self._stale = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        tree.models = self

    async def open(self) -> None:
        """Learn which models there are, and keep what followers see up to date."""
        await self._refresh()
        self._task = asyncio.create_task(self._keep_fresh(), name="models")

    async def close(self) -> None:
        """Follow no longer."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    def changed(self) -> None:
        """Something that shows in models may have changed: a pod's policy, a server's models."""
        self._stale.set()

    def names(self) -> list[str]:
        """Models as `NAME` and `NAME:vN` of their newest version, for completion."""
        found = sorted(self._known.values(), key=lambda info: info.name)
        return [
            text for info in found for text in (info.name, f"{info.name}:v{info.latest.number}")
        ]

    # -- changing

    async def create(self, request: CreateModel) -> ModelVersionInfo:
        """Make the next version of a model from a resource.

        Raises:
            InvalidRequest: a name is against the rules, or the resource cannot be used.
            NotFound: there is no such resource, or files are missing; they are named.
            Conflict: there is a version of that name, or a pod of the model's.
            StorageError: something cannot be read, or the disk is full.
        """
        names.check_name(request.name)
        number = names.number_of(request.version) if request.version.startswith("v") else None
        if request.version and number is None:
            names.check_version(request.version)
        if len(request.files) > MOST_FILES:
            raise InvalidRequest(f"more than {MOST_FILES} files are chosen.")
        specs = names.file_specs(request.files)
        _check_description(request.description)
        if self.policies.has(request.name) and not await self.has_files(request.name):
            raise Conflict(
                f"{request.name!r} is a pod, whose policies are versions of a model already.",
                hint="Give the model another name.",
            )
        custom = "" if number is not None else request.version

        key = request.request_key

        def check(connection: sqlite3.Connection) -> VersionRow | None:
            if (made := request_keys.made(connection, key, "model")) is not None:
                model, _, version = made.rpartition(":")
                return table.get_version(connection, model, int(version))
            _check_new(connection, request.name, custom, number)
            return None

        if (before := await self._database.read(check)) is not None:
            return info_of(before)
        resource = await self._resource(request.resource)

        def work() -> Stored:
            return gather(self._objects, resource, specs, self._tree.go_on)

        taken = await asyncio.to_thread(work)
        new = NewVersion(
            model=request.name,
            version=custom,
            object=taken.object,
            resource=resource.path,
            files=tuple(spec.text for spec in specs),
            size=taken.size,
            description=request.description,
            created=time.time(),
            creator=creator(),
            run_id=resource.run,
        )

        def insert(connection: sqlite3.Connection) -> VersionRow:
            if (before := check(connection)) is not None:
                return before
            row = table.add_version(connection, new, number=number)
            request_keys.note(connection, key, "model", f"{row.model}:{row.number}")
            return row

        row = await self._database.write(insert)
        await self._refresh()
        return info_of(row)

    async def _resource(self, text: str) -> Resource:
        """A path of the resource tree, or a folder or file of this machine."""
        state = self._tree.location.state
        if not text.strip():
            raise InvalidRequest("a model is made of a resource.", hint="Such as: runs/3.")
        if text.startswith("/"):
            found = await asyncio.to_thread(machine_resource, text, state)
            return dataclasses.replace(found, path=str(found.place))
        try:
            return await self._tree.resolve(text)
        except NotFound:
            if resource_paths.parse(text)[:1] in {(root,) for root in resource_paths.RESERVED}:
                raise
            beside = self._tree.location.root / text
            if not await asyncio.to_thread(beside.exists):
                raise
        found = await asyncio.to_thread(machine_resource, str(beside), state)
        return dataclasses.replace(found, path=str(found.place))

    async def remove(self, name: str, version: str) -> int:
        """Remove a version, or with none the whole model; gives how many versions went.

        Raises:
            NotFound: there is none.
            Conflict: a server uses it, or it is a pod's policy.
        """
        if not await self.has_files(name):
            await self._refuse_policy(name)
        found = [await self.version(name, version)] if version else await self.versions(name)
        used = sorted({server for one in found for server in one.servers})
        if used:
            raise Conflict(
                f"model {name} is used by {', '.join(used)[:200]}.",
                hint="Update that server to another version, or remove it first.",
            )

        def change(connection: sqlite3.Connection) -> int:
            if not version:
                return table.remove(connection, name)
            table.remove_version(connection, name, found[0].number)
            return 1

        removed = await self._database.write(change)
        await self._refresh()
        return removed

    async def describe(self, name: str, version: str, text: str) -> ModelVersionInfo:
        """Replace a version's description.

        Raises:
            NotFound: there is no such version.
            Conflict: it is a pod's policy.
        """
        _check_description(text)
        if not await self.has_files(name):
            await self._refuse_policy(name)
        found = await self.find(name, version)
        row = await self._database.write(
            lambda connection: table.describe(connection, name, found.number, text)
        )
        await self._refresh()
        return self.with_servers([info_of(row)])[0]

    async def set_alias(self, name: str, alias: str, version: str) -> None:
        """Let an alias name a version; with an empty `version` it goes.

        Raises:
            NotFound: there is no such version, or no such alias to take away.
            InvalidRequest: it cannot be an alias.
            Conflict: a version has it as its own name.
        """
        if not await self.has_files(name) and self.policies.has(name):
            await self.policies.set_alias(name, alias.removeprefix("@"), version.removeprefix("@"))
        elif version:
            plain = names.check_alias(alias)
            found = await self.find(name, version)

            def change(connection: sqlite3.Connection) -> None:
                if table.by_name(connection, name, plain) is not None:
                    raise Conflict(
                        f"model {name} has a version {plain!r}.", hint="Give another alias."
                    )
                table.set_alias(connection, name, plain, found.number)

            await self._database.write(change)
        elif not await self._database.write(
            lambda connection: table.remove_alias(connection, name, alias.removeprefix("@"))
        ):
            raise NotFound(f"model {name[:100]!r} has no alias {alias[:100]!r}.")
        await self._refresh()

    async def download(self, name: str, version: str, destination: str, existing: str) -> Copied:
        """Write a version's files, or a policy's file, to a folder of this machine.

        Raises:
            NotFound: there is no such version.
            Conflict: a file is there already, and is not to be written over.
            StorageError: an object is damaged, or the folder cannot be written.
        """
        how = existing_of(existing)
        target = await asyncio.to_thread(self._tree.destination, destination)
        root = await self.version_root(name, version)
        return await self._tree.write_out(root, target, how)

    # -- upkeep

    async def sweep(self) -> None:
        """Remove folders of versions that nobody needs any more."""
        needed = await self._database.read(references.referenced)
        removed = await asyncio.to_thread(self._folders.sweep, needed)
        if removed:
            log.info("%d folders of models that are gone were removed", removed)

    async def _refuse_policy(self, name: str) -> None:
        if self.policies.has(name):
            raise Conflict(
                f"{name!r} is a pod, which keeps its policies itself.",
                hint="Train it for a new version; old ones go by themselves.",
            )

    async def _refresh(self) -> None:
        # One at a time: what was read first must not be shown last.
        async with self._refreshing:
            self._show(await self.all())

    def _show(self, found: dict[str, ModelInfo]) -> None:
        for name in self._known.keys() - found.keys():
            del self._known[name]
            self._topic.remove(name)
        for name, info in found.items():
            if self._known.get(name) != info:
                self._known[name] = info
                self._topic.set(name, info)

    async def _keep_fresh(self) -> None:
        while True:
            await self._stale.wait()
            await asyncio.sleep(0.2)  # what changes together is read once
            self._stale.clear()
            try:
                await self._refresh()
            except SpiceError as error:
                log.warning("models cannot be listed: %s", error)

    def _snapshot(self) -> dict[str, Any]:
        return {name: dataclasses.asdict(info) for name, info in self._known.items()}


def _check_new(connection: sqlite3.Connection, name: str, custom: str, number: int | None) -> None:
    """Refuse a version that cannot be made, before its files are taken in."""
    if custom and table.by_name(connection, name, custom) is not None:
        raise Conflict(
            f"model {name} has a version {custom!r} already.",
            hint="Give another name, or remove that version first.",
        )
    if custom and table.by_alias(connection, name, custom) is not None:
        raise Conflict(
            f"model {name} has an alias {custom!r}.", hint="Give the version another name."
        )
    if number is not None:
        known = table.find(connection, name)
        following = 1 if known is None else known.last + 1
        if number != following:
            raise Conflict(
                f"version v{number} of model {name} cannot be made: the next one is v{following}.",
                hint="Numbers are given by themselves; name no version, or one of another form.",
            )


def _check_description(text: str) -> None:
    if len(text) > LONGEST_DESCRIPTION or "\0" in text:
        raise InvalidRequest(
            f"a description has at most {LONGEST_DESCRIPTION} characters, and no null byte."
        )
