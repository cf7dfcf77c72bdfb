"""Which runs have a machine of each type, and which wait for one: by priority, then by number."""

from __future__ import annotations

import asyncio
import math
import time
from bisect import insort
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from spice_engine.store.machine_types import MachineTypeRow
from spice_engine.workers.devices import Devices

Turn = asyncio.Future["Machine | None"]


@dataclass(frozen=True, slots=True)
class Machine:
    """What a run has while it runs: `count` machines of a type, a rank on each; `devices` are the
    numbers of its GPUs."""

    run: int
    type: str
    devices: tuple[int, ...] = ()
    count: int = 1


class MachineQueue:
    """Hands machines out. Belongs to the engine's loop; never waits itself.

    `find` gives a type as it is now, None if there is none any more. Runs of one type never wait
    for runs of another.
    """

    def __init__(self, devices: Devices, find: Callable[[str], MachineTypeRow | None]) -> None:
        self._devices = devices
        self._find = find
        self._held: dict[int, Machine] = {}
        self._in_use = Counter[str]()
        self._used: dict[str, float] = {}
        self._lines: dict[str, list[tuple[int, int]]] = {}
        self._asked: dict[int, tuple[str, Turn]] = {}
        self._wanted: dict[int, int] = {}
        self._places: dict[int, tuple[int, int]] = {}

    def in_use(self, name: str) -> int:
        """How many machines of the type runs have."""
        return self._in_use[name]

    def idle_for(self, name: str, now: float) -> float:
        """For how many seconds no run has had a machine of the type; 0 while one has."""
        return 0.0 if self._in_use[name] else now - self._used.get(name, -math.inf)

    def waiting(self, name: str) -> Sequence[int]:
        """The runs that wait for a machine of the type, the next one first."""
        return tuple(run for _, run in self._lines.get(name, ()))

    def ask(self, run: int, name: str, count: int = 1, priority: int = 0) -> Turn:
        """Line up for `count` machines, all at once or none; asked again, the answer is the same.
        One with a higher priority goes before all with a lower one.

        The answer is done at once where they are free, later else; it is None for a run that left
        the line. Nobody passes a run that waits for many, or its turn would never come.
        """
        if run in self._asked:
            return self._asked[run][1]
        turn: Turn = asyncio.get_running_loop().create_future()
        if run in self._held:
            turn.set_result(self._held[run])
            return turn
        self._asked[run] = (name, turn)
        self._wanted[run] = count
        place = self._places[run] = (-priority, run)
        insort(self._lines.setdefault(name, []), place)
        self.serve(name)
        return turn

    def hold(self, run: int, name: str, devices: tuple[int, ...], count: int = 1) -> Machine:
        """Note what a run has that runs already, whether or not there are so many machines."""
        machine = self._held[run] = Machine(run, name, devices, count)
        self._in_use[name] += count
        self._devices.take(devices)
        return machine

    def leave(self, run: int) -> None:
        """Take a run out of the line; a machine that it has stays its own."""
        name, turn = self._asked.pop(run, ("", None))
        if turn is None:
            return
        del self._wanted[run]
        self._lines[name].remove(self._places.pop(run))
        if not turn.done():
            turn.set_result(None)

    def give_back(self, run: int) -> None:
        """Note that a run is over: its machine, or its place in the line, is free."""
        self.leave(run)
        machine = self._held.pop(run, None)
        if machine is None:
            return
        self._in_use[machine.type] -= machine.count
        self._used[machine.type] = time.monotonic()
        self._devices.give_back(machine.devices)
        self.serve(machine.type)

    def serve(self, name: str) -> None:
        """Give free machines of the type to those who wait."""
        kind, line = self._find(name), self._lines.get(name, [])
        while kind is not None and line:
            count = self._wanted[line[0][1]]
            if kind.max_machines is not None and self._in_use[name] + count > kind.max_machines:
                return
            _, run = line.pop(0)
            del self._wanted[run], self._places[run]
            devices = self._devices.least_used(kind.gpus * count)
            machine = self.hold(run, name, devices, count)
            _, turn = self._asked.pop(run)
            # Whoever asked may be cancelled just now; it gives the machine back then.
            if not turn.done():
                turn.set_result(machine)
