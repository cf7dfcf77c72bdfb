"""The resource tree: outputs of runs, uploads, models, and links to them.

runs/3/weights.bin   uploads/images/   models/cifar/v2/   data → uploads/images
"""

from __future__ import annotations

import asyncio
import dataclasses
import sqlite3
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from spice_engine.errors import Conflict, InvalidRequest, NotFound
from spice_engine.events import Bus
from spice_engine.protocol.location import Location
from spice_engine.protocol.resources import LinkInfo, ResourceInfo, ResourceList
from spice_engine.runs import resource_files as files
from spice_engine.runs import resource_paths as paths
from spice_engine.runs.public_folders import PublicFolders
from spice_engine.runs.resource_copy import Copied, Existing, copy_out, existing_of
from spice_engine.runs.resource_files import Child, Resource
from spice_engine.runs.resource_progress import Counter
from spice_engine.runs.run_outputs import RunOutputs
from spice_engine.store import links, uploads
from spice_engine.store.database import Database
from spice_engine.store.links import LinkRow
from spice_engine.store.metrics import MetricStore
from spice_engine.store.objects import ObjectStore
from spice_engine.store.uploads import UploadRow

LISTED = 10_000
"""Entries of a folder that are listed at most."""

MOST_ALIASES = 8


class ModelTree(Protocol):
    """What the tree needs of the service that keeps models."""

    async def listed(self) -> list[tuple[str, float, str]]:
        """Name, time of the newest version, and a word about each model."""
        ...

    async def listed_versions(self, name: str) -> list[tuple[str, float, str]]:
        """`v3`, its time and its names, newest first; NotFound where there is no such model."""
        ...

    async def version_root(self, name: str, version: str) -> Resource:
        """The files of a version; NotFound where there is none."""
        ...


class ResourceTree:
    """The service behind the operations on resources."""

    def __init__(
        self,
        location: Location,
        database: Database,
        metrics: MetricStore,
        objects: ObjectStore,
        bus: Bus,
        public: Sequence[str] = (),
    ) -> None:
        """`public` are the folders below `public/`, as `PublicFolders` takes them.

        Raises:
            InvalidSettings: one of them cannot be shown.
        """
        self.location = location
        self._public = PublicFolders(public, location.root, location.state)
        self.objects = objects
        self.models: ModelTree | None = None
        self._database = database
        self.outputs = RunOutputs(location, database, metrics)
        self._closing = False
        self._known: dict[str, ResourceInfo] = {}
        self._topic = bus.topic("resources", "state", self._snapshot)

    async def open(self) -> None:
        """Learn which uploads and links there are."""

        def read(
            connection: sqlite3.Connection,
        ) -> tuple[tuple[UploadRow, ...], tuple[LinkRow, ...]]:
            return uploads.list_all(connection), links.list_all(connection)

        there, known = await self._database.read(read)
        for row in there:
            self.note(upload_info(row))
        for link in known:
            self.note(_link_info(link))

    def close(self) -> None:
        """End what is being copied or taken in, at its next file."""
        self._closing = True

    def go_on(self, size: int) -> None:
        """Called by long work for each file; from any thread.

        Raises:
            Conflict: the engine is stopping.
        """
        if self._closing:
            raise Conflict("the engine is stopping.", hint="Try again when it runs.")

    def names(self) -> list[str]:
        """Paths of uploads and links, for completion."""
        return sorted(self._known)

    # -- looking

    async def list(self, path: str) -> ResourceList:
        """What lies at a path: the entries of a folder, or the file itself.

        Raises:
            NotFound: nothing does.
            InvalidRequest: it is no path, or leads out of its resource.
        """
        names, link = await self._follow(paths.parse(path))
        match names:
            case ():
                return ResourceList(await self._roots())
            case ("runs",):
                return ResourceList(await self.outputs.listed(), link)
            case ("uploads",):
                entries = [i for i in self._known.values() if i.path.startswith("uploads/")]
                return ResourceList(sorted(entries, key=lambda info: info.path), link)
            case ("models", *rest) if len(rest) < 2:
                return ResourceList(await self._models(rest), link)
            case ("public",):
                return ResourceList(await asyncio.to_thread(self._public.listed), link)
            case _:
                found = await self._find(names)
        children = await asyncio.to_thread(files.children, self.objects, found)
        parent = found.path if found.kind == "folder" else found.path.rpartition("/")[0]
        entries = [_info(parent, child) for child in children[:LISTED]]
        return ResourceList(entries, link, max(0, len(children) - LISTED))

    async def resolve(self, path: str) -> Resource:
        """The file or folder at a path; references and links are followed.

        Raises:
            NotFound: there is none.
            InvalidRequest: it is no path, names a list of resources, or leads out of one.
        """
        names, link = await self._follow(paths.parse(path))
        return dataclasses.replace(await self._find(names), link=link)

    async def place_of(self, path: str) -> str:
        """Where in the tree the file or folder at a path lies, with references and links followed.

        Raises:
            NotFound, InvalidRequest: as `resolve`.
        """
        return (await self.resolve(path)).path

    async def stored_object(self, path: str) -> str:
        """The hash of a file or folder; what lies on disk is taken into the object store.

        Raises:
            NotFound, InvalidRequest: as `resolve`.
            StorageError: it cannot be read, or the disk is full.
        """
        found = await self.resolve(path)
        entry = await asyncio.to_thread(files.entry_of, self.objects, found)
        return entry.content

    async def _follow(self, names: tuple[str, ...]) -> tuple[tuple[str, ...], str]:
        """The names with a link at their beginning replaced, and what was said of it."""
        said: list[str] = []
        while names and names[0] not in paths.RESERVED:
            alias = names[0]
            row = await self._database.read(lambda connection, a=alias: links.find(connection, a))
            if row is None:
                led = f" ({', '.join(said)})" if said else ""
                raise NotFound(
                    f"there is no resource {'/'.join(names)[:200]!r}{led}.",
                    hint="Resources are runs/…, uploads/…, models/… and links; "
                    "`spice-tui ls` lists them.",
                )
            said.append(f"{alias} → {row.path}")
            if len(said) > MOST_ALIASES:
                raise InvalidRequest(
                    f"the link {said[0].partition(' ')[0]!r} leads in a circle.",
                    hint=f"Remove it: spice-tui unlink {said[0].partition(' ')[0]}.",
                )
            names = (*paths.parse(row.path), *names[1:])
        return names, ", ".join(said)

    async def _find(self, names: tuple[str, ...]) -> Resource:
        match names:
            case ("runs", which, *rest):
                which, rest = await self.outputs.whole(which, rest)
                root = await self.outputs.root(which)
            case ("uploads", name, *rest):
                row = await self._database.read(lambda connection: uploads.get(connection, name))
                root = Resource(
                    f"uploads/{name}", "folder", object=row.object, modified=row.created
                )
            case ("models", name, version, *rest) if self.models is not None:
                root = await self.models.version_root(name, version)
            case ("public", name, *rest):
                root = await asyncio.to_thread(self._public.find, name)
            case ("models", name):
                raise InvalidRequest(
                    f"'models/{name[:100]}' names a model, not one of its versions.",
                    hint=f"Such as: models/{name[:100]}/v1, models/{name[:100]}/@latest.",
                )
            case _:
                raise InvalidRequest(
                    f"{'/'.join(names) or '/'!r} is a list of resources, not one of them.",
                    hint="`spice-tui ls` shows what is below it.",
                )
        return await asyncio.to_thread(files.descend, self.objects, root, tuple(rest))

    async def _roots(self) -> list[ResourceInfo]:
        roots = [ResourceInfo(name, "folder", None, None) for name in paths.ROOTS]
        aliases = [info for info in self._known.values() if info.kind == "link"]
        return roots + sorted(aliases, key=lambda info: info.path)

    async def _models(self, rest: list[str]) -> list[ResourceInfo]:
        if self.models is None:
            return []
        if rest:
            found = await self.models.listed_versions(rest[0])
        else:
            found = await self.models.listed()
        parent = "/".join(("models", *rest))
        return [
            ResourceInfo(f"{parent}/{name}", "folder", None, at, info=info)
            for name, at, info in found
        ]

    # -- changing

    async def copy(self, path: str, destination: str, existing: str) -> Copied:
        """Copy a resource out, into a folder of this machine.

        Raises:
            NotFound, InvalidRequest: as `resolve`; the destination is no absolute path.
            Conflict: a file is there already, and is not to be written over.
            StorageError: an object is damaged, or the folder cannot be written.
        """
        how = existing_of(existing)
        target = await asyncio.to_thread(self.destination, destination)
        return await self.write_out(await self.resolve(path), target, how)

    async def write_out(self, found: Resource, target: Path, existing: Existing) -> Copied:
        """Write a resource that was found into a folder; a copy that nobody waits for any more
        ends within its file, which is left out.

        Raises:
            Conflict, StorageError: as `copy`.
        """
        counter = Counter(self.go_on)
        try:
            return await asyncio.to_thread(
                copy_out, self.objects, found, target, existing, counter.add
            )
        except asyncio.CancelledError:
            counter.stop()
            raise

    def destination(self, text: str) -> Path:
        """A folder of this machine to write to, every link and `..` followed. Blocks.

        Raises:
            InvalidRequest: it is no absolute path, or lies in the engine's state.
        """
        if not text.startswith("/") or "\0" in text:
            raise InvalidRequest(
                f"{text[:200]!r} is no absolute path.", hint="Name the folder from / on."
            )
        try:
            target = Path(text).resolve()
        except (OSError, RuntimeError) as error:  # links in a circle
            raise InvalidRequest(f"{text[:200]!r} leads nowhere: {error}.") from error
        if target.is_relative_to(self.location.state.resolve()):
            raise InvalidRequest("the engine's own state is no place for files.")
        return target

    async def link(self, alias: str, path: str) -> LinkInfo:
        """Give a resource a short name.

        Raises:
            InvalidRequest: the name cannot be used.
            NotFound: there is no such resource.
            Conflict: there is a link of that name.
        """
        paths.check_alias(alias)
        names = paths.parse(path)
        if names and names[0] == alias:
            raise InvalidRequest(f"the link {alias!r} would lead to itself.")
        if names not in {(root,) for root in paths.ROOTS}:
            await self.resolve(path)
        row = LinkRow(alias, "/".join(names), time.time())
        await self._database.write(lambda connection: links.add(connection, row))
        self.note(_link_info(row))
        return LinkInfo(row.alias, row.path, row.created)

    async def unlink(self, alias: str) -> LinkInfo:
        """Take a short name away; what it names stays.

        Raises:
            NotFound: there is none.
        """
        if paths.parse(alias) != (alias,):
            raise InvalidRequest(f"{alias[:100]!r} names no link.")
        row = await self._database.write(lambda connection: links.remove(connection, alias))
        self.forget(alias)
        return LinkInfo(row.alias, row.path, row.created)

    async def links(self) -> list[LinkInfo]:
        """All links, by name."""
        rows = await self._database.read(links.list_all)
        return [LinkInfo(row.alias, row.path, row.created) for row in rows]

    # -- what followers see

    def _snapshot(self) -> dict[str, Any]:
        return {path: dataclasses.asdict(info) for path, info in self._known.items()}

    def note(self, info: ResourceInfo) -> ResourceInfo:
        """Remember and publish an upload or a link, which the store has already."""
        self._known[info.path] = info
        self._topic.set(info.path, info)
        return info

    def forget(self, path: str) -> None:
        """An upload or a link is gone."""
        self._known.pop(path, None)
        self._topic.remove(path)


def _info(parent: str, child: Child) -> ResourceInfo:
    return ResourceInfo(
        f"{parent}/{files.shown(child.name)}",
        child.kind,
        child.size,
        child.modified,
        files.shown(child.target),
    )


def upload_info(row: UploadRow) -> ResourceInfo:
    """An upload as it crosses the doors."""
    plural = "" if row.files == 1 else "s"
    return ResourceInfo(
        f"uploads/{row.name}",
        "folder",
        row.size,
        row.created,
        info=f"{row.files} file{plural}",
    )


def _link_info(row: LinkRow) -> ResourceInfo:
    return ResourceInfo(row.alias, "link", None, row.created, row.path)
