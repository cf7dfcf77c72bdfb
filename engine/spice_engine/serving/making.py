"""What a version of a server is made of: found, checked and taken in before anything starts."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from pathlib import Path

from spice_engine.errors import InvalidRequest
from spice_engine.protocol.servers import ServerDefinition
from spice_engine.records import record
from spice_engine.runs.environment_wishes import absolute
from spice_engine.runs.git_sources import address_of
from spice_engine.runs.resources import ResourceTree
from spice_engine.serving import definitions, server_code
from spice_engine.serving.models import Models
from spice_engine.serving.node_groups import NodeGroups, need_of
from spice_engine.serving.preparation import Workshop
from spice_engine.store import servers as table
from spice_engine.store.servers import VersionRow

log = logging.getLogger(__name__)


@record
class Made:
    """All that a new version is made of, as `VersionRow` has it."""

    definition: ServerDefinition
    code: str
    models: tuple[tuple[str, int, str, str], ...]
    mounts: tuple[tuple[str, str], ...]

    def add(self, connection: sqlite3.Connection, now: float) -> VersionRow:
        """Add it to the store as the server's next version."""
        return table.add_version(
            connection,
            server=self.definition.name,
            definition=definitions.to_plain(self.definition),
            code=self.code,
            models=self.models,
            mounts=self.mounts,
            created=now,
        )


@record
class Making:
    """Finds what versions are made of; `root` is the app folder."""

    root: Path
    tree: ResourceTree
    models: Models
    workshop: Workshop
    groups: NodeGroups

    async def find(
        self,
        definition: ServerDefinition,
        before: VersionRow | None = None,
        *,
        code: bool,
        again: frozenset[str] = frozenset(),
    ) -> Made:
        """Find all that a version is made of; what `before` has and `again` does not name stays.

        Raises:
            InvalidRequest: the definition cannot be used.
            NotFound: a model, resource, node group or commit is not there.
            GitFailed: git cannot get the commit.
            StorageError: the code cannot be read, or the disk is full.
        """
        await asyncio.to_thread(definitions.check, definition, self.root)
        if definition.type == "pod":
            resolved = await self.models.resolve(definition.models[0])
            if resolved.kind != "policy":
                raise InvalidRequest(
                    f"{definition.models[0]!r} is not a pod's policy.",
                    hint="Serve a model with an entrypoint, or with --type onnx or sklearn.",
                )
            model = (resolved.name, resolved.number, resolved.version, resolved.object)
            return Made(definition, "", (model,), ())
        self.groups.check(definition.node_group, need_of(definition.limits))
        await asyncio.to_thread(self.workshop.environments.key, definition.dependencies)
        if before is not None and "models" not in again:
            models = before.models
        else:
            models = tuple([await self._model(tag) for tag in definition.models])
        if before is not None and "mounts" not in again:
            mounts = before.mounts
        else:
            mounts = tuple(
                [
                    (destination, await self.tree.stored_object(resource))
                    for resource, destination in definition.mounts.items()
                ]
            )
        if definition.type != "script":
            return Made(definition, "", models, mounts)
        taken = before.code if before is not None else ""
        if (code or not taken) and definition.git:
            taken = await self._commit(definition)
        elif code or not taken:
            snapshot = await asyncio.to_thread(
                server_code.snapshot, self.workshop.objects, self.root, definition.entrypoint
            )
            taken = snapshot.hash
            if snapshot.left_out:
                log.warning(
                    "server %s: too large to be code, left out: %s",
                    definition.name,
                    ", ".join(snapshot.left_out)[:500],
                )
        return Made(definition, taken, models, mounts)

    async def _commit(self, definition: ServerDefinition) -> str:
        """The code of the commit that a definition names."""
        git = definition.git
        place = git if address_of(git) else str(absolute(self.root, git).resolve())
        got = await self.workshop.sources.take(place, definition.git_ref)
        objects = self.workshop.objects
        await asyncio.to_thread(
            server_code.check_entrypoint, objects, got.tree, definition.entrypoint, got.source
        )
        return got.tree

    async def _model(self, tag: str) -> tuple[str, int, str, str]:
        found = await self.models.resolve(tag)
        tree = found.object
        if found.kind == "policy":
            tree = await asyncio.to_thread(self.models.policies.folder_of, tree)
        return found.name, found.number, found.version, tree
