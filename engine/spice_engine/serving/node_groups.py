"""Node groups: named pools of this machine's cores, memory and devices that replicas take from.

The group `default` is the whole machine. It is not counted until its size is set, so that a
small machine serves what it is told to.
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Callable, Coroutine
from typing import Any

from spice_engine.errors import Conflict, InvalidRequest, NotFound, Overloaded
from spice_engine.protocol.servers import Limits, NodeGroupInfo, SetNodeGroup
from spice_engine.records import record
from spice_engine.store import node_groups as table
from spice_engine.store.database import Database
from spice_engine.store.node_groups import NodeGroupRow
from spice_engine.workers.devices import Devices
from spice_engine.workers.placement import Resources
from spice_engine.workers.pool_names import check_pool_name

DEFAULT = "default"
MOST_GROUPS = 100


@record
class Need:
    """What one replica takes of its group: cores, bytes, devices."""

    cpu: float = 0.0
    memory: int = 0
    gpus: int = 0


@record
class Room:
    """What one replica has taken; `devices` are the numbers of its GPUs."""

    id: int
    group: str
    need: Need
    devices: tuple[int, ...] = ()


def need_of(limits: Limits) -> Need:
    """What a replica with these limits reserves; never more than it may use."""
    cpu = limits.cpu_request
    if limits.cpu_limit is not None:
        cpu = min(cpu, limits.cpu_limit)
    memory = limits.memory_request
    if memory is None:
        memory = limits.memory_limit or 0
    return Need(cpu, memory, limits.gpus)


class NodeGroups:
    """All groups and what is taken of them. Belongs to the engine's loop; never waits."""

    def __init__(self, database: Database, machine: Resources, devices: Devices) -> None:
        self._database = database
        self._machine = machine
        self._devices = devices
        self._groups: dict[str, NodeGroupRow] = {}
        self._taken: dict[int, Room] = {}
        self._next = 0
        self._freed = asyncio.Event()
        self.users: Callable[[str], list[str]] = lambda _: []
        """Names of the servers that use a group."""

    async def open(self) -> None:
        """Read the groups that were made."""
        for row in await self._database.read(table.list_all):
            self._groups[row.name] = row

    # -- taking room

    def check(self, group: str, need: Need) -> None:
        """Refuse what would never fit.

        Raises:
            NotFound: there is no such group.
            InvalidRequest: a replica asks for more than the group has.
        """
        row = self._row(group)
        if need.gpus > row.gpus:
            raise InvalidRequest(
                f"a replica asks for {need.gpus} GPUs, node group {group!r} has {row.gpus}.",
                hint="Ask for less, or enlarge the group.",
            )
        if not self._is_counted(group):
            return
        if need.cpu > row.cpu + 1e-3 or need.memory > row.memory:
            raise InvalidRequest(
                f"a replica asks for {_words(need)}, node group {group!r} has "
                f"{_words(Need(row.cpu, row.memory, row.gpus))} in all.",
                hint="Ask for less (--cpu-request, --ram-request), or enlarge the group "
                "(spice-tui node-group scale).",
            )

    def take(self, group: str, need: Need) -> Room:
        """Take room for one replica.

        Raises:
            NotFound: there is no such group.
            InvalidRequest: it would never fit.
            Overloaded: it does not fit now.
        """
        self.check(group, need)
        row, used = self._row(group), self._used(group)
        left = Need(row.cpu - used.cpu, row.memory - used.memory, row.gpus - used.gpus)
        short = need.cpu > left.cpu + 1e-3 or need.memory > left.memory or need.gpus > left.gpus
        if short and self._is_counted(group):
            raise Overloaded(
                f"waits for room in node group {group!r}: {_words(need)} asked for, "
                f"{_words(left)} free."
            )
        return self.retake(group, need, self._devices.least_used(need.gpus))

    def retake(self, group: str, need: Need, devices: tuple[int, ...]) -> Room:
        """Note what a replica has that runs already, whether it fits or not."""
        self._next += 1
        room = Room(self._next, group, need, devices)
        self._taken[room.id] = room
        self._devices.take(devices)
        return room

    def give_back(self, room: Room) -> None:
        """Give room back; once more is no error."""
        if self._taken.pop(room.id, None) is not None:
            self._devices.give_back(room.devices)
            self._tell()

    def freed(self) -> Coroutine[Any, Any, object]:
        """Comes when room is given back, or a group changes, from this call on: not only from
        when it is awaited."""
        return self._freed.wait()

    def _tell(self) -> None:
        freed, self._freed = self._freed, asyncio.Event()
        freed.set()

    # -- the groups

    def list(self) -> list[NodeGroupInfo]:
        """All groups with what is taken of them, by name."""
        return [self.info(name) for name in sorted({DEFAULT, *self._groups})]

    def info(self, name: str) -> NodeGroupInfo:
        """One group.

        Raises:
            NotFound: there is none of that name.
        """
        row, used = self._row(name), self._used(name)
        replicas = sum(1 for room in self._taken.values() if room.group == name)
        return NodeGroupInfo(
            name, row.cpu, row.memory, row.gpus, used.cpu, used.memory, used.gpus, replicas
        )

    async def set(self, request: SetNodeGroup) -> NodeGroupInfo:
        """Make a group, or change its size. What runs stays, also where it no longer fits.

        Raises:
            InvalidRequest: a size is negative or more than the machine has, or the name is none.
        """
        name = request.name
        check_pool_name(name)
        if name not in self._groups and len(self._groups) >= MOST_GROUPS:
            raise Conflict(f"there are {MOST_GROUPS} node groups already.")
        old = self._groups.get(name) or self._whole(name)
        row = NodeGroupRow(
            name,
            old.cpu if request.cpu is None else request.cpu,
            old.memory if request.memory is None else request.memory,
            old.gpus if request.gpus is None else request.gpus,
            old.created,
        )
        whole = self._whole(name)
        if not (0 < row.cpu <= whole.cpu and 0 < row.memory <= whole.memory):
            raise InvalidRequest(
                f"a node group has more than 0 and at most {whole.cpu:g} cores and "
                f"{whole.memory / 2**30:.1f} GiB of memory, which is this machine."
            )
        if not 0 <= row.gpus <= whole.gpus:
            raise InvalidRequest(f"this machine has {whole.gpus} GPUs.")

        def write(connection: sqlite3.Connection) -> None:
            table.put(connection, row)

        await self._database.write(write)
        self._groups[name] = row
        self._tell()
        return self.info(name)

    async def remove(self, name: str) -> None:
        """Remove a group; `default` goes back to the whole machine, not counted.

        Raises:
            NotFound: there is none of that name.
            Conflict: servers use it.
        """
        self._row(name)
        users = self.users(name)
        if users and name != DEFAULT:
            raise Conflict(
                f"node group {name!r} is used by {', '.join(users)}.",
                hint="Update or remove these servers first.",
            )
        await self._database.write(lambda connection: table.remove(connection, name))
        self._groups.pop(name, None)
        self._tell()

    def _is_counted(self, group: str) -> bool:
        return group != DEFAULT or DEFAULT in self._groups

    def _whole(self, name: str) -> NodeGroupRow:
        machine = self._machine
        return NodeGroupRow(
            name, machine.cpu, machine.memory_bytes, self._devices.count, time.time()
        )

    def _row(self, name: str) -> NodeGroupRow:
        row = self._groups.get(name)
        if row is not None:
            return row
        if name == DEFAULT:
            return self._whole(name)
        known = ", ".join(sorted({DEFAULT, *self._groups}))
        raise NotFound(f"there is no node group {name[:80]!r}.", hint=f"There are: {known}.")

    def _used(self, group: str) -> Need:
        rooms = [room.need for room in self._taken.values() if room.group == group]
        return Need(
            sum(need.cpu for need in rooms),
            sum(need.memory for need in rooms),
            sum(need.gpus for need in rooms),
        )


def _words(need: Need) -> str:
    gpus = f", {need.gpus} GPUs" if need.gpus else ""
    return f"{need.cpu:g} cores and {need.memory / 2**20:.0f} MiB{gpus}"
