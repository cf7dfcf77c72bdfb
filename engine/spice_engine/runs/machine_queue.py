"""Which runs have a machine of each type, and which wait for one: by priority, then by number."""

from __future__ import annotations

import asyncio
import math
import time
from bisect import insort
from collections import Counter
from collections.abc import Callable, Sequence

from spice_engine.records import record
from spice_engine.store.machine_types import MachineTypeRow
from spice_engine.workers.devices import Devices

Turn = asyncio.Future["Machine | None"]


@record
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

    While the first in line waits for many machines, those behind it may have free ones that it
    will not need (back-fill): it gets its own when those have ended that it found at work.
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
        self._since: dict[int, int] = {}
        self._events = 0

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
        the line. Nobody who would hold it back passes a run, or its turn would never come.
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
        self._since[run] = self._next_event()
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
        del self._wanted[run], self._since[run]
        self._lines[name].remove(self._places.pop(run))
        if not turn.done():
            turn.set_result(None)

    def give_back(self, run: int) -> None:
        """Note that a run is over: its machine, or its place in the line, is free."""
        self.leave(run)
        machine = self._held.pop(run, None)
        if machine is None:
            return
        self._places.pop(run, None)
        self._since.pop(run, None)
        self._in_use[machine.type] -= machine.count
        self._used[machine.type] = time.monotonic()
        self._devices.give_back(machine.devices)
        self.serve(machine.type)

    def serve(self, name: str) -> None:
        """Give free machines of the type to those who wait."""
        kind, line = self._find(name), self._lines.get(name, [])
        while kind is not None and line:
            place = self._first_to_serve(name, kind.max_machines, line)
            if place is None:
                return
            line.remove(place)
            _, run = place
            count = self._wanted.pop(run)
            self._since[run] = self._next_event()
            devices = self._devices.least_used(kind.gpus * count)
            machine = self.hold(run, name, devices, count)
            _, turn = self._asked.pop(run)
            # Whoever asked may be cancelled just now; it gives the machine back then.
            if not turn.done():
                turn.set_result(machine)

    def _first_to_serve(
        self, name: str, most: int | None, line: Sequence[tuple[int, int]]
    ) -> tuple[int, int] | None:
        """The first in line whose machines are free, and who keeps none from those before it."""
        first = self._wanted[line[0][1]]
        if most is None or self._in_use[name] + first <= most:
            return line[0]
        spare = most - self._in_use[name]
        if spare > 0 and first <= most:  # otherwise it waits until there are more
            spare = min(spare, most - first - self._passed(name, line[0]))
        if spare <= 0:
            return None
        return next((place for place in line[1:] if self._wanted[place[1]] <= spare), None)

    def _passed(self, name: str, waiting: tuple[int, int]) -> int:
        """How many machines those have who stood behind a run and got theirs before it."""
        since = self._since[waiting[1]]
        return sum(
            machine.count
            for run, machine in self._held.items()
            if machine.type == name
            and run in self._places
            and self._places[run] > waiting
            and self._since[run] > since
        )

    def _next_event(self) -> int:
        self._events += 1
        return self._events
