"""Snapshots of the app folder, of which runs that are asked for at the same time share one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path, PurePosixPath

from spice_engine.errors import InvalidRequest
from spice_engine.runs.folder_ignore import FolderIgnore
from spice_engine.store.objects import ObjectStore


class Snapshots:
    """Takes one after the other. Belongs to the engine's loop.

    Whoever asks while one is under way gets the next: it begins after the asking, so that what
    was changed before is in it. However many ask, each waits for two at most.
    """

    def __init__(
        self, root: Path, objects: ObjectStore, ignore: Callable[[], FolderIgnore]
    ) -> None:
        self._root = root
        self._objects = objects
        self._ignore = ignore
        self._now: asyncio.Task[str] | None = None
        self._next: asyncio.Task[str] | None = None

    async def take(self) -> str:
        """The object of the folder as it is now, or a moment later.

        Raises:
            StorageError: the folder cannot be read or is too large, or the disk is full.
        """
        if self._next is not None:
            task = self._next
        elif self._now is None or self._now.done():
            task = self._now = asyncio.create_task(self._begin(None))
        else:
            task = self._next = asyncio.create_task(self._begin(self._now))
        # Others may want it when this one does not any more.
        return await asyncio.shield(task)

    async def close(self) -> None:
        """Wait for those under way."""
        under_way = [task for task in (self._now, self._next) if task is not None]
        await asyncio.gather(*under_way, return_exceptions=True)

    async def _begin(self, before: asyncio.Task[str] | None) -> str:
        if before is not None:
            await asyncio.wait([before])
            self._now, self._next = self._next, None
        return await asyncio.to_thread(self._put)

    def _put(self) -> str:
        return self._objects.put_tree(self._root, self._ignore()).hash

    async def check(self, cwd: Path) -> None:
        """Refuse a folder within the app folder that is left out of its snapshots.

        Raises:
            InvalidRequest: with what to do.
        """
        inner = PurePosixPath(cwd.relative_to(self._root))
        if inner == PurePosixPath():
            return
        if await asyncio.to_thread(self._is_left_out, inner):
            raise InvalidRequest(
                f"{str(cwd)[:200]} is left out of what a run gets: a .gitignore or "
                ".spiceignore names it.",
                hint="Begin elsewhere (--cwd), take the folder back in .spiceignore, or run "
                "with --in-place.",
            )

    def _is_left_out(self, inner: PurePosixPath) -> bool:
        ignore = self._ignore()
        return any(
            folder != PurePosixPath() and ignore(folder, True) for folder in (inner, *inner.parents)
        )
