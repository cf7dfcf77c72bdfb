"""An app folder's pods for tests of packages: found and read for real, but never trained."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from pathlib import Path

from spice_engine.app_folder import prepare
from spice_engine.errors import NotFound
from spice_engine.pods.live import Pod
from spice_engine.pods.manifests import find_manifests, read_manifest
from spice_engine.pods.trust import Trust
from spice_engine.protocol.location import Location
from spice_engine.store import policies
from spice_engine.store.database import Database
from spice_engine.store.objects import ObjectStore


@dataclass
class FolderPods:
    """The pods of one folder, and a record of which versions were asked to serve."""

    location: Location
    database: Database
    trust: Trust
    pods: dict[str, Pod] = field(default_factory=dict[str, Pod])
    served: list[tuple[str, int]] = field(default_factory=list[tuple[str, int]])
    trust_changes: int = 0

    def names(self) -> list[str]:
        return sorted(self.pods)

    def get(self, name: str) -> Pod:
        if name not in self.pods:
            raise NotFound(f"there is no pod {name!r}.")
        return self.pods[name]

    async def rescan(self) -> None:
        root = self.location.root
        found: dict[str, Pod] = {}
        for path, text in (await asyncio.to_thread(find_manifests, root)).items():
            file = str(path.relative_to(root))
            manifest, problems = read_manifest(text.text, file, text.unreadable)
            name = manifest.name if manifest else path.stem
            pod = found[name] = self.pods.get(name) or Pod(name, path)
            pod.manifest, pod.manifest_problems = manifest or pod.manifest, problems
        self.pods = found

    def is_trusted(self) -> bool:
        return self.trust.is_trusted(self.location.root)

    def trust_changed(self, *, trusted: bool) -> None:
        self.trust_changes += 1

    async def interrupt(self, name: str, why: str) -> None:
        assert name in self.pods, why

    def refresh(self, name: str) -> None:
        assert name in self.pods

    async def serve_version(self, name: str, version: int) -> None:
        await self.database.write(
            lambda connection: policies.set_alias(connection, name, "latest", version)
        )
        self.get(name).policy_version = version
        self.served.append((name, version))


@dataclass
class Folder:
    """An app folder with its store."""

    location: Location
    database: Database
    objects: ObjectStore
    trust: Trust
    pods: FolderPods

    @property
    def root(self) -> Path:
        return self.location.root

    def files(self) -> dict[str, bytes]:
        """All of the user's files."""
        return {
            path.relative_to(self.root).as_posix(): path.read_bytes()
            for path in self.root.rglob("*")
            if path.is_file() and ".spice" not in path.parts
        }

    async def close(self) -> None:
        await self.database.close()
        self.objects.close()


async def open_folder(root: Path) -> Folder:
    """A new app folder."""
    root.mkdir()
    location = Location(root, root / ".spice")
    prepare(location)
    database = await Database.open(location.state / "engine.db", migrations="engine")
    objects = ObjectStore(location.state / "objects")
    trust = Trust(root.parent / "config")
    return Folder(location, database, objects, trust, FolderPods(location, database, trust))
