"""Removes what servers left on disk: ended replicas, old versions, old copies of the runtime."""

from __future__ import annotations

import asyncio
import logging
import shutil
import sqlite3
import time
from collections.abc import Collection
from pathlib import Path

from spice_engine.serving.servers import Servers
from spice_engine.store import replicas as replica_table
from spice_engine.store import servers as table
from spice_engine.workers.runtime_copy import runtime_copy
from spice_runtime import process

log = logging.getLogger(__name__)

YOUNG_SECONDS = 60.0
RUNTIME_SECONDS = 7 * 86_400
"""A copy of the runtime that is another engine's, and that no replica runs from, goes after it."""


async def tidy(servers: Servers) -> None:
    """Do it for all servers.

    Raises:
        StorageError: the store is full or broken.
    """
    workshop, database = servers.parts.workshop, servers.parts.database
    names = servers.names()
    for name in names:

        def change(connection: sqlite3.Connection, name: str = name) -> tuple[set[str], set[str]]:
            replica_table.prune(connection, name)
            kept = replica_table.newest(connection, name, 2**31)
            versions = table.list_versions(connection, name)
            return {str(row.number) for row in kept}, {str(row.number) for row in versions}

        replicas, versions = await database.write(change)
        folder = workshop.folder(name)
        await asyncio.to_thread(_remove_others, folder / "replicas", replicas)
        await asyncio.to_thread(_remove_others, folder / "versions", versions)
    # A server's folder goes with it; one is left where the engine died in between.
    stored = {row.name for row in await database.read(table.list_all)}
    await asyncio.to_thread(_remove_others, workshop.state / "servers", stored)
    # What was prepared once names this copy; a server may have been asleep for weeks, and a run
    # may run for as long.
    await asyncio.to_thread(runtime_copy, workshop.state)
    living = [one.folder for name in servers.names() for one in servers.get(name).replica_list]
    await asyncio.to_thread(_remove_runtimes, workshop.state / "runtime", living)


def _remove_others(folder: Path, kept: Collection[str]) -> None:
    # What was made a moment ago may not be in the store yet.
    before = time.time() - YOUNG_SECONDS
    for entry in _entries(folder):
        if entry.name not in kept and _modified(entry) < before:
            shutil.rmtree(entry, ignore_errors=True)
            log.info("%s was removed: nothing needs it", entry)


def _remove_runtimes(folder: Path, living: Collection[Path]) -> None:
    before = time.time() - RUNTIME_SECONDS
    used: set[str] = set()
    for replica in living:
        job = process.read_json(str(replica), process.JOB) or {}
        used.update(part for word in job.get("argv", []) for part in Path(str(word)).parts)
    for entry in _entries(folder):
        if entry.name not in used and _modified(entry) < before:
            shutil.rmtree(entry, ignore_errors=True)


def _entries(folder: Path) -> list[Path]:
    return list(folder.iterdir()) if folder.is_dir() else []


def _modified(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return time.time()  # it is gone already
