"""Tells when files in some folders change: manifests, reward files, data files.

Folders are watched, not files, because editors save by renaming; what a change was is never
trusted, the caller looks again. Bursts within a few milliseconds come as one call.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path

import watchfiles

log = logging.getLogger(__name__)

STEP_MS = 20
DEBOUNCE_MS = 300
"""A burst is waited for until it pauses for a step, at most this long."""

RETRY_SECONDS = 2.0

OnChange = Callable[[frozenset[Path]], Awaitable[None]]


class Watcher:
    """Watches a set of folders, not what is below them; the set may change at any time."""

    def __init__(self, on_change: OnChange) -> None:
        self._on_change = on_change
        self._folders: frozenset[Path] = frozenset()
        self._changed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def watch(self, folders: Iterable[Path]) -> None:
        """Watch these folders from now on, in place of those before."""
        wanted = frozenset(folders)
        if wanted != self._folders:
            self._folders = wanted
            self._changed.set()
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="watcher")

    async def close(self) -> None:
        """Watch no longer."""
        self._folders = frozenset()
        task, self._task = self._task, None
        self._changed.set()
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            self._changed.clear()
            folders = [folder for folder in self._folders if folder.is_dir()]
            if not folders:
                await self._changed.wait()
                continue
            try:
                async for changes in watchfiles.awatch(  # pyright: ignore[reportUnknownMemberType]
                    *folders,
                    step=STEP_MS,
                    debounce=DEBOUNCE_MS,
                    recursive=False,
                    watch_filter=None,
                    stop_event=self._changed,
                    ignore_permission_denied=True,
                ):
                    await self._on_change(frozenset(Path(path) for _, path in changes))
            except (OSError, RuntimeError) as error:
                # A folder went away while it was being taken up, or inotify has no watches left.
                log.warning("watching %s: %s", ", ".join(map(str, folders)), error)
                await asyncio.sleep(RETRY_SECONDS)
