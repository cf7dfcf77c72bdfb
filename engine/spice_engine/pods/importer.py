"""Takes in `.spicepod` files: the pod is there, and serves, or nothing has changed."""

from __future__ import annotations

import asyncio
import io
import os
import sqlite3
import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, BinaryIO

from spice_engine.errors import Conflict, InvalidRequest, NotFound
from spice_engine.pods import aliases
from spice_engine.pods.install import Content, Staged
from spice_engine.pods.kept_window import read_window
from spice_engine.pods.manifests import FOLDER, read_manifest
from spice_engine.pods.model import Manifest, RewardFile
from spice_engine.pods.package import Package, read_package
from spice_engine.pods.package_parts import (
    PodsService,
    VersionServer,
    fits,
    inside,
    invalid_manifest,
    load_policy,
)
from spice_engine.pods.safe_zip import InvalidPackage
from spice_engine.pods.trust import Trust
from spice_engine.protocol.location import Location
from spice_engine.protocol.packages import Imported, ImportPod
from spice_engine.store import interpretations, policies
from spice_engine.store.database import Database
from spice_engine.store.disk import storage_error
from spice_engine.store.interpretations import InterpretationRow
from spice_engine.store.objects import ObjectStore


class PodExists(Conflict):
    """A pod of that name is there."""

    code = "pod_exists"


@dataclass(frozen=True)
class _Before:
    """What an import changes in the store, as it was."""

    aliases: Mapping[str, int]
    said: list[InterpretationRow]


class Importer:
    """The service behind import."""

    def __init__(
        self,
        location: Location,
        database: Database,
        objects: ObjectStore,
        pods: PodsService,
        server: VersionServer,
        trust: Trust,
    ) -> None:
        self._location = location
        self._database = database
        self._objects = objects
        self._pods = pods
        self._server = server
        self._trust = trust
        self._importing = asyncio.Lock()

    async def import_pod(self, request: ImportPod) -> Imported:
        """Take in a package: the pod is there, and serves, when this answers.

        Raises:
            NotFound: there is no such file.
            InvalidPackage, TooLarge, IncompatibleVersion: it cannot be used.
            InvalidManifest: its manifest has errors.
            PodExists, Exists: what is there would be written over, without `overwrite`.
        """
        aliases_wanted = _aliases(request.alias)
        found = await asyncio.to_thread(self._read, request)
        manifest = await asyncio.to_thread(_checked, found, request.pod)
        async with self._importing:
            return await self._take(found, manifest, aliases_wanted, overwrite=request.overwrite)

    def _read(self, request: ImportPod) -> Package:
        if bool(request.path) == bool(request.data):
            raise InvalidRequest("name a file of the app folder, or send its bytes: one of them.")
        staging = self._location.state / "tmp" / f"import-{uuid.uuid4().hex}"
        if request.data:
            return read_package(io.BytesIO(request.data), staging, "the package")
        path = inside(self._location, request.path)
        if not path.is_file():
            raise NotFound(f"there is no file {request.path[:200]!r} in the app folder.")
        try:
            source: BinaryIO = path.open("rb")
        except OSError as error:
            raise storage_error(error, "read the package", path) from error
        with source:
            return read_package(source, staging, request.path)

    async def _take(
        self, found: Package, manifest: Manifest, names: tuple[str, ...], *, overwrite: bool
    ) -> Imported:
        name, root = manifest.name, self._location.root
        target = f"{FOLDER}/{found.manifest_file}"
        if name in self._pods.names():
            if not overwrite:
                raise PodExists(
                    f"there is a pod named {name!r} already.",
                    hint="Replace it with --overwrite.",
                )
            target = self._pods.get(name).path.relative_to(root).as_posix()
        else:
            taken = (self._pods.get(other) for other in self._pods.names())
            owner = next((pod for pod in taken if pod.path == root / target), None)
            if owner is not None:
                raise PodExists(
                    f"{target} is the manifest of another pod, {owner.name!r}.",
                    hint="Rename that file first.",
                )
        files: dict[str, Content] = {target: found.manifest}
        if found.code is not None:
            files[found.code[0]] = found.code[1]
        staged = await asyncio.to_thread(lambda: Staged(root, files, force=overwrite))
        known = name in self._pods.names()
        try:
            code_changed = any(path.endswith(".py") for path in staged.changed)
            # Before the code is there: what came with a package never runs unasked.
            reset = code_changed and await asyncio.to_thread(self._trust.revoke, root)
            if known:
                # What it is learning now would take the place of what is imported.
                await self._pods.interrupt(name, "A package of the pod was imported.")
            version, before = await self._store(name, found, names, overwrite=overwrite)
            try:
                await asyncio.to_thread(staged.commit)
            except BaseException:
                await self._undo(name, version, before)
                raise
        except BaseException:
            if known:
                self._pods.refresh(name)  # its training was ended for nothing
            raise
        finally:
            await asyncio.to_thread(staged.close)
        await self._pods.rescan()
        if name in self._pods.names():
            if version is not None:
                await self._server.serve_version(name, version)
            self._pods.refresh(name)
        return Imported(name, version, sorted(files), list(found.notes), reset)

    async def _store(
        self, name: str, found: Package, names: tuple[str, ...], *, overwrite: bool
    ) -> tuple[int | None, _Before]:
        """Keep policy, window and interpretations; the policy's version, and what was there."""
        put = self._objects.put_bytes
        policy = await asyncio.to_thread(put, found.policy) if found.policy else ""
        window = await asyncio.to_thread(put, found.window) if found.policy and found.window else ""
        evaluation = await asyncio.to_thread(_evaluation, found.policy) if found.policy else {}

        def store(connection: sqlite3.Connection) -> tuple[int | None, _Before]:
            before = _Before(
                policies.aliases(connection, name), interpretations.find(connection, name)
            )
            if overwrite:
                interpretations.remove_all(connection, name)
            interpretations.add(connection, name, found.interpretations)
            if not policy:
                return None, before
            row = policies.add(
                connection,
                pod=name,
                object_hash=policy,
                fingerprint="",  # it takes that of the first data it meets here
                algorithm=found.algorithm,
                created=found.created,
                evaluation=evaluation,
                aliases=names,
                window=window,
            )
            return row.version, before

        return await self._database.write(store)

    async def _undo(self, name: str, version: int | None, before: _Before) -> None:
        def restore(connection: sqlite3.Connection) -> None:
            if version is not None:
                policies.remove(connection, name, version)
            for alias, earlier in before.aliases.items():
                policies.set_alias(connection, name, alias, earlier)
            interpretations.remove_all(connection, name)
            interpretations.add(connection, name, before.said)

        await self._database.write(restore)


def _aliases(alias: str) -> tuple[str, ...]:
    if alias == aliases.LATEST:
        return (aliases.LATEST,)
    aliases.check_alias(alias)
    return (aliases.LATEST, alias)


def _checked(found: Package, pod: str) -> Manifest:
    """The manifest of a package, with which all the rest of it agrees."""
    file = f"{FOLDER}/{found.manifest_file}"
    manifest, problems = read_manifest(found.manifest, file)
    if manifest is None:
        raise invalid_manifest(found.manifest_file, map(asdict, problems))
    for wanted in (found.pod, pod):
        if wanted and wanted != manifest.name:
            raise InvalidPackage(f"its pod is {manifest.name!r}, not {wanted!r}.")
    rewards = manifest.training.rewards
    named = os.path.normpath(rewards.path) if isinstance(rewards, RewardFile) else ""
    if found.code is not None and found.code[0] != named:
        raise InvalidPackage(f"it holds {found.code[0]!r}, which its manifest does not name.")
    if found.policy is not None:
        policy = load_policy(found.policy)
        if not fits(policy, manifest):
            raise InvalidPackage("its policy is for other fields or actions than its manifest has.")
        if found.window is not None and not read_window(found.window).fits(policy):
            raise InvalidPackage("its window does not go with its policy.")
    return manifest


def _evaluation(data: bytes) -> dict[str, Any]:
    return dict(load_policy(data).evaluation)
