"""Writes a trained pod into a `.spicepod` file of the app folder."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from dataclasses import asdict
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from spice_engine.errors import Conflict, InvalidRequest, NotFound, NotTrained
from spice_engine.pods import aliases
from spice_engine.pods.install import Exists, Staged
from spice_engine.pods.kept_window import window_bytes
from spice_engine.pods.live import Pod
from spice_engine.pods.model import Manifest, RewardFile
from spice_engine.pods.package import SUFFIX, Package, write_package
from spice_engine.pods.package_parts import (
    PodsService,
    fits,
    inside,
    invalid_manifest,
    load_policy,
)
from spice_engine.protocol.location import Location
from spice_engine.protocol.packages import Exported, ExportPod
from spice_engine.store import interpretations, policies
from spice_engine.store.database import Database
from spice_engine.store.disk import storage_error
from spice_engine.store.interpretations import InterpretationRow
from spice_engine.store.objects import ObjectStore
from spice_engine.store.policies import PolicyRow

if TYPE_CHECKING:
    from spice_engine.learning.policy import Policy

MAX_FILE_BYTES = 2**20
"""Largest manifest or reward file of a package."""


class NotTrainedForExport(NotTrained):
    """There is no policy to put into a package."""

    code = "pod_not_trained"


class Exporter:
    """The service behind export."""

    def __init__(
        self, location: Location, database: Database, objects: ObjectStore, pods: PodsService
    ) -> None:
        self._location = location
        self._database = database
        self._objects = objects
        self._pods = pods

    async def export(self, request: ExportPod) -> Exported:
        """Write a trained pod into a file inside the app folder.

        Raises:
            NotFound: no such pod or directory.
            NotTrainedForExport: it has no policy.
            AliasNotFound: it has, but none of that name.
            Conflict: the file is there; the policy does not fit the manifest any more.
            InvalidRequest: the file would lie outside of the app folder, or is misnamed.
            InvalidManifest: the manifest has errors.
        """
        pod = self._pods.get(request.pod)
        filename = request.filename or f"{request.pod}{SUFFIX}"
        target = await asyncio.to_thread(self._target, request.directory, filename)
        if not request.overwrite and await asyncio.to_thread(os.path.lexists, target):
            raise Exists(
                f"not overwriting the existing model at '{target}', "
                "specify --overwrite to override this behavior"
            )
        manifest = usable_manifest(pod)
        found, row = await self._content(pod, manifest, request.alias)
        notes = [] if found.window else ["The pod has no data: there is no window to put in."]
        data = await asyncio.to_thread(write_package, found)
        relative = target.relative_to(self._location.root).as_posix()
        await asyncio.to_thread(_write, self._location.root, {relative: data})
        return Exported(relative, len(data), row.version, notes)

    def _target(self, directory: str, filename: str) -> Path:
        """The file to write, inside of the app folder."""
        if not filename.endswith(SUFFIX):
            raise InvalidRequest("the filename should end with '.spicepod'")
        if filename != PurePosixPath(filename).name or filename.startswith("."):
            raise InvalidRequest(f"{filename[:200]!r} is no plain file name.")
        folder = inside(self._location, directory)
        if not folder.is_dir():
            raise NotFound(f"the directory {directory[:200]!r} does not exist.")
        return folder / filename

    async def _content(self, pod: Pod, manifest: Manifest, alias: str) -> tuple[Package, PolicyRow]:
        def read(
            connection: sqlite3.Connection,
        ) -> tuple[PolicyRow, tuple[InterpretationRow, ...]] | None:
            if not policies.list_versions(connection, pod.name, limit=1):
                return None
            row = aliases.resolve(connection, pod.name, alias)
            return row, tuple(interpretations.find(connection, pod.name))

        known = await self._database.read(read)
        if known is None:
            raise NotTrainedForExport(
                "Unable to export a model that hasn't finished at least one training run"
            )
        row, said = known
        data = await asyncio.to_thread(self._objects.read_bytes, row.object, verify=True)
        policy = await asyncio.to_thread(load_policy, data)
        if not fits(policy, manifest):
            raise Conflict(
                f"version {row.version} of {pod.name!r} was trained for other fields or actions "
                "than its manifest has now.",
                hint="Train the pod, then export it.",
            )
        window = await self._window(pod, policy, row.version)
        return (
            Package(
                pod=pod.name,
                manifest_file=pod.path.name,
                manifest=await asyncio.to_thread(_read_file, pod.path),
                interpretations=said,
                code=await asyncio.to_thread(self._code, manifest),
                policy=data,
                window=window,
                alias=alias,
                algorithm=row.algorithm,
                policy_version=row.version,
                created=row.created,
            ),
            row,
        )

    async def _window(self, pod: Pod, policy: Policy, version: int) -> bytes | None:
        """The newest window of the pod's table, else the one that came with an imported policy."""
        if pod.table is not None and pod.table.fits(policy):
            found = await asyncio.to_thread(window_bytes, pod.table, policy.span)
            if found is not None:
                return found
        digest = await self._database.read(
            lambda connection: policies.window_of(connection, pod.name, version)
        )
        return await asyncio.to_thread(self._objects.read_bytes, digest) if digest else None

    def _code(self, manifest: Manifest) -> tuple[str, bytes] | None:
        """The reward file: its path relative to the app folder, and its text."""
        rewards = manifest.training.rewards
        if not isinstance(rewards, RewardFile):
            return None
        path = os.path.normpath(rewards.path)
        if path.startswith(("/", "..")):
            raise Conflict(
                f"the reward file '{rewards.path}' lies outside of the app folder.",
                hint="Move it inside, and name it by a relative path.",
                place=rewards.place,
            )
        return path, _read_file(self._location.root / path)


def usable_manifest(pod: Pod) -> Manifest:
    """The pod's manifest, where the text on disk is that of it.

    Raises:
        InvalidManifest: the text has errors.
    """
    manifest = pod.manifest
    if manifest is None or any(one.severity == "error" for one in pod.manifest_problems):
        raise invalid_manifest(pod.name, map(asdict, pod.manifest_problems))
    return manifest


def _read_file(path: Path) -> bytes:
    try:
        with path.open("rb") as source:
            data = source.read(MAX_FILE_BYTES + 1)
    except FileNotFoundError as error:
        raise NotFound(f"there is no file {path}.") from error
    except OSError as error:
        raise storage_error(error, "read the pod's files", path) from error
    if len(data) > MAX_FILE_BYTES:
        raise Conflict(f"{path} has over {MAX_FILE_BYTES} bytes, the limit of packages.")
    return data


def _write(root: Path, files: dict[str, bytes]) -> None:
    staged = Staged(root, files, force=True)
    try:
        staged.commit()
    finally:
        staged.close()
