"""Looks after environments that are kept: what there is, who uses it, what can go, what differs."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Awaitable, Callable, Collection
from pathlib import Path
from typing import Any

from spice_engine.errors import Conflict, NotFound
from spice_engine.protocol.environments import (
    EnvironmentDetails,
    EnvironmentDiff,
    EnvironmentInfo,
    EnvironmentList,
    PackageChange,
    PackageVersion,
    RemovedEnvironments,
)
from spice_engine.runs import environment_folder as folders
from spice_engine.runs import environment_lock
from spice_engine.runs.environment_folder import Ready
from spice_engine.runs.environment_record import LOCK, NOTE
from spice_engine.runs.environments import Environments
from spice_engine.runs.service import Runs
from spice_engine.runs.system_layers import added_by
from spice_engine.store import runs as table
from spice_engine.store.runs import FINAL_STATES
from spice_runtime import process

Used = Callable[[], Awaitable[Collection[str]]]

_KEY = re.compile(r"[0-9a-f]{16}")
_SYSTEM = frozenset({"apt", "image"})


class EnvironmentCare:
    """The service behind the operations on environments. Belongs to the engine's loop."""

    def __init__(self, environments: Environments, runs: Runs, *users: Used) -> None:
        """`users` give the keys of environments that others than runs stand on."""
        self._environments = environments
        self._runs = runs
        self._users = (self._of_runs, *users)

    async def list(self) -> EnvironmentList:
        """All that are kept."""
        found = await asyncio.to_thread(folders.all_ready, self._environments.folder)
        used = folders.needed(found, await self.in_use())
        # What another stands on goes with that one only.
        used |= {key for one in found for key in one.below}
        infos = [_info(one, in_use=one.key in used) for one in found]
        return EnvironmentList(
            sorted(infos, key=lambda info: info.used), list(self._environments.building)
        )

    async def in_use(self) -> set[str]:
        """The keys of those that somebody runs on now."""
        return {key for used in self._users for key in await used()} - {""}

    async def show(self, name: str) -> EnvironmentDetails:
        """What is in the environment of a run, or in one that is kept.

        Raises:
            NotFound: there is no such run or environment, or the run had none of its own.
            Conflict: several runs have that name.
        """
        if _KEY.fullmatch(name):
            place = self._environments.folder / name
            ready = await asyncio.to_thread(folders.read_ready, place)
            if ready is not None:
                text = await asyncio.to_thread(_lock_in, ready)
                return _details(name, None, text, cached=True, waited=0.0, seconds=ready.seconds)
            raise NotFound(
                f"there is no environment {name}.",
                hint="`spice-tui env list` lists those there are.",
            )
        number = await self._number(name)
        folder = self._runs.folder(number)
        note = await asyncio.to_thread(process.read_json, str(folder), NOTE)
        if note is None:
            raise NotFound(
                f"run {number} had no environment of its own.",
                hint="Give it one with --pip, --conda, --apt, --from or --setup.",
            )
        return _details(
            str(note["key"]),
            number,
            json.dumps(note["lock"]),
            cached=bool(note["cached"]),
            waited=float(note["waited_s"]),
            seconds=float(note["made_s"]),
        )

    async def diff(self, one: str, other: str) -> EnvironmentDiff:
        """What differs between two.

        Raises:
            NotFound, Conflict: as `show`.
        """
        before, after = [
            environment_lock.read((await self.show(name)).lock) for name in (one, other)
        ]
        found = environment_lock.differences(before, after)
        return EnvironmentDiff([PackageChange(*change) for change in found])

    async def remove(self, keys: Collection[str], unused: float) -> RemovedEnvironments:
        """Remove those of the keys, or, without any, those unused for so many seconds.

        Raises:
            NotFound: there is none of that key.
            Conflict: somebody uses it; nothing is removed then.
        """
        found = await asyncio.to_thread(folders.all_ready, self._environments.folder)
        own = {one.key: one.own for one in found}
        in_use = await self.in_use()
        if not keys:
            gone = await self._environments.prune(in_use, unused_seconds=unused)
            return RemovedEnvironments(gone, sum(own.get(key, 0) for key in gone))
        kept = {*in_use, *self._environments.busy}
        others = [one for one in found if one.key not in keys]
        needed = folders.needed(found, kept) | {key for one in others for key in one.below}
        for key in keys:
            if key not in own:
                raise NotFound(
                    f"there is no environment {key[:40]}.", hint="See: spice-tui env list."
                )
            if key in needed:
                raise Conflict(
                    f"environment {key} is in use.",
                    hint="A run, a server or another environment stands on it: end that first.",
                )
        for key in keys:
            await asyncio.to_thread(folders.remove, self._environments.folder / key)
        return RemovedEnvironments(list(keys), sum(own[key] for key in keys))

    async def _of_runs(self) -> set[str]:
        """The environments of runs that are not over; of one that is being prepared it may not be
        known yet, but then it was used just now."""

        def look(connection: Any) -> set[str]:
            rows = table.active(connection)
            return {row.environment for row in rows if row.state not in FINAL_STATES}

        return await self._runs.database.read(look)

    async def _number(self, name: str) -> int:
        plain = name.removeprefix("runs/")
        if not plain.isdecimal():
            return await self._runs.find(name)
        number = int(plain)
        if number >= 2**63:
            raise NotFound(f"there is no run {plain[:40]}.")
        await self._runs.database.read(lambda connection: table.get(connection, number))
        return number


def _lock_in(ready: Ready) -> str:
    """The text of a lock; that of a layer of a system is made of what it was asked for."""
    file: Path = ready.attempt / LOCK
    if file.is_file():
        return file.read_text(encoding="utf-8")
    apt = added_by(ready.attempt) if ready.asked.get("apt") else ()
    return environment_lock.Lock(image=str(ready.asked.get("image", "")), apt=apt).text()


def _details(
    key: str, run: int | None, text: str, *, cached: bool, waited: float, seconds: float
) -> EnvironmentDetails:
    lock = environment_lock.read(text)
    packages = [
        PackageVersion(kind, name, version)
        for (kind, name), version in sorted(lock.packages().items())
    ]
    return EnvironmentDetails(key, run, cached, waited, seconds, packages, lock.text())


def _info(one: Ready, *, in_use: bool) -> EnvironmentInfo:
    asked = dict(one.asked)
    if asked.keys() <= _SYSTEM:
        kind = "system" if asked else "python"
    else:
        kind = "conda" if {"conda", "conda_file"} & asked.keys() else "python"
    return EnvironmentInfo(
        one.key, kind, asked, one.created, one.used, one.seconds, one.size, one.own, in_use
    )
