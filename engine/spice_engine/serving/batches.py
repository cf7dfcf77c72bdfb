"""When a batch leaves, and with what: full, or a lane has nothing to do, or waited long enough."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from spice_engine.serving.lanes import Lane
from spice_engine.serving.waiting import MAX_BYTES
from spice_engine.serving.workers import Batch

if TYPE_CHECKING:
    import asyncio

    from spice_engine.protocol.servers import Batching
    from spice_engine.serving.calls import Call
    from spice_engine.serving.waiting import Waiting

IN_FLIGHT = 2
"""Batches that a lane holds at most, where it does one after another."""


class Batches:
    """Forms batches of what waits, for the lanes of predictors that take lists.

    `late` answers a call whose deadline passed; `usable` says whether a lane may be given calls;
    `next_ident` gives ids.
    """

    __slots__ = (
        "_late",
        "_loop",
        "_next_ident",
        "_scheduled",
        "_timer",
        "_usable",
        "_waiting",
        "lanes",
        "settings",
    )

    def __init__(
        self,
        settings: Batching,
        waiting: Waiting,
        loop: asyncio.AbstractEventLoop,
        *,
        usable: Callable[[Lane], bool],
        late: Callable[[Call, float], None],
        next_ident: Callable[[], int],
    ) -> None:
        self.settings = settings
        self.lanes: list[Lane] = []
        self._waiting = waiting
        self._loop = loop
        self._usable = usable
        self._late = late
        self._next_ident = next_ident
        self._scheduled = False
        self._timer: asyncio.TimerHandle | None = None

    def soon(self) -> None:
        """Form batches at the end of this turn of the loop: all calls of a turn go together."""
        if not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._turn)

    def close(self) -> None:
        """Form no more."""
        self.lanes.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _turn(self) -> None:
        self._scheduled = False
        self.form(time.monotonic())

    def _rang(self) -> None:
        self._timer = None
        self.form(time.monotonic())

    def form(self, now: float) -> None:
        """Send every batch that may leave now."""
        waiting, settings = self._waiting, self.settings
        most = max(1, settings.max_size)
        while waiting.number:
            lanes = [lane for lane in self.lanes if self._usable(lane)]
            idle = [lane for lane in lanes if not lane.calls]
            if idle:
                lane = idle[0]
                # Those that are idle share what waits.
                size = min(most, -(-waiting.number // len(idle)))
            else:
                first = waiting.first()
                if first is None:
                    return
                due = first.arrived + settings.wait_ms / 1000.0
                if waiting.number < most and now < due:
                    self._wait_until(due, now)
                    return
                lanes = [lane for lane in lanes if len(lane.batches) < max_batches(lane)]
                if not lanes:
                    return
                lane = min(lanes, key=_load)
                size = most
            calls = self._take(size, now)
            if calls:
                self.send(lane, calls, now)

    def send(self, lane: Lane, calls: list[Call], now: float) -> None:
        """Send these calls as one batch."""
        lane.link.figures.batch(len(calls), now)
        lane.send_batch(Batch(self._next_ident(), len(calls)), calls, now)
        # The longest idle lane comes first.
        if len(self.lanes) > 1 and lane in self.lanes:
            self.lanes.remove(lane)
            self.lanes.append(lane)

    def send_alone(self, lane: Lane, call: Call, now: float) -> None:
        """Send one call, as a batch of one where the lane takes lists."""
        if lane.batching:
            self.send(lane, [call], now)
        else:
            lane.send(call, now)

    def _take(self, number: int, now: float) -> list[Call]:
        calls: list[Call] = []
        waiting, size = self._waiting, 0
        while len(calls) < number:
            call = waiting.pop()
            if call is None:
                break
            if call.deadline <= now:
                self._late(call, now)
                continue
            size += len(call.body)
            if size > MAX_BYTES and calls:
                waiting.put_back([call])
                break
            calls.append(call)
        return calls

    def _wait_until(self, due: float, now: float) -> None:
        if self._timer is None:
            self._timer = self._loop.call_later(due - now, self._rang)


def max_batches(lane: Lane) -> int:
    """How many batches a lane may hold."""
    return max(IN_FLIGHT, lane.concurrency)


def _load(lane: Lane) -> tuple[int, int]:
    return len(lane.batches), len(lane.calls)
