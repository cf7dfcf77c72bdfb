"""Tells when files in some folders change: manifests, reward files, data files.

Folders are watched, not files, because editors save by renaming; what a change was is never
trusted, the caller looks again. Bursts within a few milliseconds come as one call. A folder that
is not there yet, or is replaced by another, is taken up when it appears, provided that the one
above it is among the watched.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, cast

import watchfiles

log = logging.getLogger(__name__)

STEP_MS = 20
DEBOUNCE_MS = 300
"""A burst is waited for until it pauses for a step, at most this long."""

RETRY_SECONDS = 2.0

OnChange = Callable[[frozenset[Path]], Awaitable[None]]
_Stream = AsyncGenerator[set[tuple[Any, str]], None]


class Watcher:
    """Watches a set of folders, not what is below them; the set may change at any time.

    `on_change` gets the files that changed. Each time the watching begins anew it gets the
    folders themselves: of what happened in them before that, nobody was told.
    """

    def __init__(self, on_change: OnChange) -> None:
        self._on_change = on_change
        self._folders: frozenset[Path] = frozenset()
        self._renew = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def watch(self, folders: Iterable[Path]) -> None:
        """Watch these folders from now on, in place of those before."""
        wanted = frozenset(folders)
        if wanted != self._folders:
            self._folders = wanted
            self._renew.set()
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="watcher")

    async def close(self) -> None:
        """Watch no longer."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            self._renew.clear()
            folders = self._present()
            if not folders:
                await self._renew.wait()
                continue
            changes = watchfiles.awatch(  # pyright: ignore[reportUnknownMemberType]
                *folders,
                step=STEP_MS,
                debounce=DEBOUNCE_MS,
                recursive=False,
                watch_filter=None,
                stop_event=self._renew,
                ignore_permission_denied=True,
            )
            try:
                await self._follow(cast("_Stream", changes), folders)
            except (OSError, RuntimeError) as error:
                # A folder went away while it was being taken up, or inotify has no watches left.
                log.warning("watching %s: %s", ", ".join(map(str, folders)), error)
                await asyncio.sleep(RETRY_SECONDS)

    async def _follow(self, stream: _Stream, folders: frozenset[Path]) -> None:
        """Tell of changes until the set of folders is another, or one of them is."""
        coming = asyncio.create_task(_next(stream))
        try:
            await asyncio.sleep(0)  # to its first wait: the folders are watched from here on
            if self._present() != folders:
                return  # one came or went just before
            await self._tell(folders)
            while (changes := await coming) is not None:
                paths = frozenset(Path(path) for _, path in changes)
                if not paths.isdisjoint(self._folders):
                    return
                coming = asyncio.create_task(_next(stream))
                await self._tell(paths)
        finally:
            coming.cancel()
            with contextlib.suppress(asyncio.CancelledError, OSError, RuntimeError):
                await coming
            await stream.aclose()

    def _present(self) -> frozenset[Path]:
        return frozenset(folder for folder in self._folders if folder.is_dir())

    async def _tell(self, paths: frozenset[Path]) -> None:
        try:
            await self._on_change(paths)
        except Exception:
            # A defect of ours that one change brings out must not hide all later ones.
            log.exception("a change could not be taken in")


async def _next(stream: _Stream) -> set[tuple[Any, str]] | None:
    return await anext(stream, None)


def way_to(file: Path, root: Path) -> Iterator[Path]:
    """The folders from the file's own up to the app folder, or to the one above its own."""
    inside = file.is_relative_to(root)
    for depth, folder in enumerate(file.parents):
        yield folder
        if folder == root or (depth and not inside):
            return
