"""Deadlines of one server's calls, by one coarse timer that runs only while there are calls."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from spice_engine.serving import refusals
from spice_engine.serving.lanes import Lane
from spice_engine.serving.workers import Batch

if TYPE_CHECKING:
    import asyncio

    from spice_engine.serving.calls import Call
    from spice_engine.serving.figures import Figures
    from spice_engine.serving.link import ReplicaLink
    from spice_engine.serving.suspects import Suspects
    from spice_engine.serving.waiting import Waiting

PERIOD = 0.04
HUNG_AFTER = 10.0
"""Seconds after the deadline of a call that is still under way, when its worker counts as hung."""


class Deadlines:
    """Answers calls whose deadline passed with 504, and finds workers that hang. A stream's
    deadline begins anew with each of its chunks.

    `due` is the earliest deadline there may be: nothing is looked through before it.
    """

    __slots__ = (
        "_figures",
        "_hung",
        "_lanes",
        "_left",
        "_loop",
        "_on_hung",
        "_suspects",
        "_tick",
        "_waiting",
        "due",
        "timer",
    )

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        waiting: Waiting,
        suspects: Suspects,
        lanes: list[Lane],
        figures: Figures,
        *,
        tick: Callable[[float], None],
        on_hung: Callable[[ReplicaLink], None] | None,
    ) -> None:
        self.due = float("inf")
        self.timer: asyncio.TimerHandle | None = None
        self._loop = loop
        self._waiting = waiting
        self._suspects = suspects
        self._lanes = lanes
        self._figures = figures
        self._tick = tick
        self._on_hung = on_hung
        self._left: list[Call] = []
        self._hung: set[Lane] = set()

    def start(self) -> None:
        """Look at the calls from now on, until there are none."""
        if self.timer is None:
            self.timer = self._loop.call_later(PERIOD, self._rang)

    def stop(self) -> None:
        """Look no more."""
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None
        self._left.clear()

    def left(self, call: Call) -> None:
        """A lane still holds this call, but nobody waits for it."""
        self._left.append(call)

    def _rang(self) -> None:
        self.timer = None
        now = time.monotonic()
        if now >= self.due:
            self._expire(now)
        if self._left:
            self._look_for_hung(now)
        self._tick(now)
        if (
            self._waiting.number
            or self._suspects
            or self._left
            or any(lane.calls for lane in self._lanes)
        ):
            self.start()

    def _expire(self, now: float) -> None:
        # Answers run code of the doors, which may submit: so first look, then answer.
        late: list[Call] = []
        due = float("inf")
        queues = (self._waiting.calls, self._suspects.waiting.calls)
        held = (lane.calls.values() for lane in self._lanes)
        for calls in (*queues, *held):
            for call in calls:
                if call.done:
                    continue
                if call.deadline <= now:
                    late.append(call)
                elif call.deadline < due:
                    due = call.deadline
        self.due = due
        for call in late:
            if call.done:
                continue
            call.done = True
            lane = call.lane
            if isinstance(lane, Lane):
                self._left.append(call)
                lane.link.cancel(call.ident)
            elif call.suspicion:
                self._suspects.waiting.give_up(call)
            else:
                self._waiting.give_up(call)
            self._figures.refused(504, now)
            if call.streaming:
                call.end("the stream rested until its deadline")
            else:
                refusals.late(call)

    def _look_for_hung(self, now: float) -> None:
        left: list[Call] = []
        for call in self._left:
            lane = call.lane
            if not isinstance(lane, Lane) or lane.calls.get(call.ident) is not call:
                continue
            left.append(call)
            if now > call.deadline + HUNG_AFTER and lane not in self._hung and _begun(call, lane):
                self._hung.add(lane)
                if self._on_hung is not None:
                    self._on_hung(lane.link)
        self._left = left
        if not left:
            self._hung.clear()


def _begun(call: Call, lane: Lane) -> bool:
    if lane.concurrency > 1:
        return True
    batch = call.batch
    names = {call.ident, batch.ident} if isinstance(batch, Batch) else {call.ident}
    return lane.link.started(lane) in names
