"""Uploads: folders and files of this machine, taken into the object store under a name."""

from __future__ import annotations

import asyncio
import dataclasses
import time
from collections.abc import Callable
from typing import Any

from spice_engine.errors import Conflict, InvalidRequest
from spice_engine.events import Bus
from spice_engine.protocol.resources import ResourceInfo
from spice_engine.records import record
from spice_engine.runs import resource_files as files
from spice_engine.runs import resource_paths as paths
from spice_engine.runs.resource_files import Stored
from spice_engine.runs.resource_progress import Counter
from spice_engine.runs.resources import ResourceTree, upload_info
from spice_engine.store import uploads
from spice_engine.store.database import Database
from spice_engine.store.uploads import UploadRow


@record
class UploadProgress:
    """An upload under way; `size` is bytes that were taken in so far."""

    name: str
    files: int
    size: int


class Uploads:
    """The service behind uploading and removing."""

    def __init__(self, tree: ResourceTree, database: Database, bus: Bus) -> None:
        self._tree = tree
        self._database = database
        self._progress: dict[str, UploadProgress] = {}
        self._topic = bus.topic("uploads", "state", self._snapshot)

    async def upload(self, source: str, name: str, *, replace: bool = False) -> ResourceInfo:
        """Take a folder or file of this machine into the store as `uploads/NAME`.

        Raises:
            NotFound: there is no such folder or file.
            InvalidRequest: the name cannot be used, or there is no file in the folder.
            Conflict: there is an upload of that name, or it is just being made.
            StorageError: something cannot be read, or the disk is full.
        """
        paths.check_upload_name(name)
        if name in self._progress:
            raise Conflict(f"uploads/{name} is just being uploaded.", hint="Wait for its end.")
        if not replace and f"uploads/{name}" in self._tree.names():
            raise Conflict(
                f"uploads/{name} is there already.",
                hint="Replace it with --replace, or give another name.",
            )
        self._note_progress(name, 0, 0)
        try:
            taken = await self.take(source, lambda f, s: self._note_progress(name, f, s))
            if not taken.files:
                raise InvalidRequest(f"{source[:200]} holds no file.", hint="Name another folder.")
            row = UploadRow(name, taken.object, taken.files, taken.size, time.time())
            await self._database.write(
                lambda connection: uploads.put(connection, row, replace=replace)
            )
        finally:
            self._progress.pop(name, None)
            self._topic.remove(name)
        return self._tree.note(upload_info(row))

    async def take(self, source: str, told: Callable[[int, int], None] | None = None) -> Stored:
        """Take a folder or file of this machine into the object store; nobody needs it yet.

        `told` is called on the loop, now and then, with the files and bytes that are in.

        Raises:
            NotFound, InvalidRequest, StorageError: as `upload`.
        """
        counter = Counter(self._tree.go_on, asyncio.get_running_loop(), told)

        def work() -> Stored:
            found = files.machine_resource(source, self._tree.location.state)
            return files.stored(self._tree.objects, found, counter.add)

        try:
            return await asyncio.to_thread(work)
        except asyncio.CancelledError:
            counter.stop()  # a thread cannot be cancelled: it ends at what it reads next
            raise

    async def remove(self, path: str) -> None:
        """Remove an upload; models and servers made of it keep what they need.

        Raises:
            NotFound: there is no such upload.
            InvalidRequest: it is something else.
        """
        match paths.parse(path):
            case ("uploads", name):
                await self._database.write(lambda connection: uploads.remove(connection, name))
                self._tree.forget(f"uploads/{name}")
            case _:
                raise InvalidRequest(
                    f"{path[:200]!r} is no upload: you must specify an uploaded resource.",
                    hint="Such as: uploads/images.",
                )

    def _snapshot(self) -> dict[str, Any]:
        return {name: dataclasses.asdict(one) for name, one in self._progress.items()}

    def _note_progress(self, name: str, count: int, size: int) -> None:
        self._progress[name] = UploadProgress(name, count, size)
        self._topic.set(name, self._progress[name])
