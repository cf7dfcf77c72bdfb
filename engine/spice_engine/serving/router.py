"""One server's router: which call goes when to which lane, and what becomes of it.

A call waits here, not in a replica, until a lane has room: so the queue is fair, bounded, can be
cancelled, and is lost with no replica. `docs/serving.md` says the rules.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from spice_engine.protocol.servers import Batching, Door
from spice_engine.serving import losses, refusals, signals
from spice_engine.serving.batches import Batches
from spice_engine.serving.calls import GONE, Call
from spice_engine.serving.deadlines import Deadlines
from spice_engine.serving.drain_rate import DrainRate
from spice_engine.serving.figures import Figures
from spice_engine.serving.lanes import Lane
from spice_engine.serving.link import ReplicaLink
from spice_engine.serving.quiet import Quiet
from spice_engine.serving.signals import Signals
from spice_engine.serving.suspects import Suspects
from spice_engine.serving.waiting import Waiting
from spice_engine.serving.workers import Worker

GRACE = 5.0
"""Seconds that calls wait for a replica after the last one was lost, before they get 503."""
_MAX_HEAD = 0xFFFF
_LOOKS = 16
"""Lanes looked at for the one with the least to do."""
_SURELY = 16
"""From so many waiting calls on, the time until the next one's turn can be foreseen."""


class Router:
    """An `Endpoint` in front of a server's replicas; all on one loop.

    `hold`: calls wait for a replica although there is none (a server that starts at its first
    call). `on_hung` is called with a replica one of whose workers is lost in a call for ten
    seconds after its deadline. `on_wait` is called when a call waits and no replica is there.
    """

    def __init__(
        self,
        door: Door,
        batching: Batching,
        figures: Figures,
        loop: asyncio.AbstractEventLoop,
        *,
        hold: bool = False,
        on_hung: Callable[[ReplicaLink], None] | None = None,
        on_wait: Callable[[], None] | None = None,
    ) -> None:
        self.hold = hold
        self.figures = figures
        self.on_wait = on_wait
        self.patience = door.deadline
        self.arrived = 0
        """Calls that came so far."""
        self._door = door
        self._ident = time.time_ns() // 1000
        self._links: list[ReplicaLink] = []
        self._lanes: list[Lane] = []
        self._open: list[Lane] = []
        self._closed = False
        self._lost_at = float("-inf")
        self._waiting = Waiting()
        self._batches = Batches(
            batching,
            self._waiting,
            loop,
            usable=self._usable,
            late=self._late,
            next_ident=self._next_ident,
        )
        self._suspects = Suspects(
            workers=self._workers,
            send=self._batches.send_alone,
            reserve=self._reserve,
            release=self._release,
            late=self._late,
        )
        self._deadlines = Deadlines(
            loop,
            self._waiting,
            self._suspects,
            self._lanes,
            figures,
            tick=self._tick,
            on_hung=on_hung,
        )
        self._quiet = Quiet()
        self._drain = DrainRate()
        figures.level = self.level

    # What the doors call.

    def submit(self, call: Call) -> None:
        """Take a call; see `Endpoint`."""
        self._ident = call.ident = self._ident + 1
        self.arrived += 1
        deadlines = self._deadlines
        if call.deadline < deadlines.due:  # noqa: PLR1730 - half the time of min()
            deadlines.due = call.deadline
        if deadlines.timer is None:
            deadlines.start()
        if call.head and len(call.head) > _MAX_HEAD:
            self.figures.refused(431, call.arrived)
            refusals.head_too_large(call)
            return
        lanes = self._open
        if lanes and not self._waiting.number:
            lane = lanes[0] if len(lanes) == 1 else _least(lanes)
            lane.send(call, call.arrived)
            if len(lane.calls) >= lane.window:
                self._unlist(lane)
            return
        self._wait(call)

    def cancel(self, call: Call) -> None:
        """Nobody waits for it any more; nothing happens where it is answered."""
        if call.done:
            return
        call.done = True
        self.figures.refused(GONE, time.monotonic())
        lane = call.lane
        if isinstance(lane, Lane):
            self._deadlines.left(call)
            lane.link.cancel(call.ident)
        else:
            (self._suspects.waiting if call.suspicion else self._waiting).give_up(call)

    def credit(self, call: Call, number: int) -> None:
        """So many bytes of a stream's chunks are on their way to the client."""
        lane = call.lane
        if isinstance(lane, Lane) and not call.done:
            lane.link.credit(call.ident, number)

    def is_ready(self) -> bool:
        """Whether a replica could take a call now."""
        for lane in self._lanes:  # noqa: SIM110 - three times as fast, asked by calls that wait
            if lane.link.stays():
                return True
        return False

    # What the server's deployment calls.

    async def attach(self, link: ReplicaLink, within: float = 10.0) -> None:
        """Open the lanes of a replica that is ready, and send it calls.

        Raises:
            ChildFailed: none of its workers answers.
        """
        self._links.append(link)
        self.figures.add(link.figures)
        link.figures.level = lambda: (sum(len(lane.calls) for lane in link.lanes), 0)
        try:
            await link.open_lanes(self, within)
        except BaseException:
            self.detach(link)
            raise

    async def drain(self, link: ReplicaLink, within: float) -> bool:
        """Send it no more calls; True when those under way ended, False when the time is over."""
        link.draining = True
        for lane in link.lanes:
            self._unlist(lane)
        self._dispatch(time.monotonic())
        return await self._quiet.until(lambda: not any(lane.calls for lane in link.lanes), within)

    def detach(self, link: ReplicaLink) -> None:
        """Forget a replica; calls it still holds are treated as if it had died."""
        if link not in self._links:
            return
        surprising, link.draining = not link.draining, True
        for lane in list(link.lanes):
            self.on_lane_lost(lane)
        self._links.remove(link)
        if surprising and not self._lanes:
            self._lost_at = time.monotonic()  # its successor may be on its way
        self.figures.absorb(link.figures)

    def reconfigure(self, door: Door, batching: Batching) -> None:
        """Other settings from now on; calls that wait stay."""
        self._door = door
        self.patience = door.deadline
        self._batches.settings = batching
        self._dispatch(time.monotonic())

    def close(self) -> None:
        """The server is gone: calls that wait, or come, get 503, replicas are forgotten."""
        self._closed = True
        for link in list(self._links):
            self.detach(link)
        self._turn_away(time.monotonic())
        self._batches.close()
        self._deadlines.stop()

    def level(self) -> tuple[int, int]:
        """Calls in replicas, and calls that wait."""
        held = sum(len(lane.calls) for lane in self._lanes)
        return held, self._waiting.number + self._suspects.waiting.number

    def signals(self, now: float, seconds: int = 3) -> Signals:
        """What the autoscaler goes by, at this moment of `time.monotonic()`."""
        held, queued = self.level()
        return signals.of(
            self._lanes, self._waiting, held, queued, self.figures.rate(now, seconds), now
        )

    # What the lanes call.

    def on_room(self, lane: Lane, now: float) -> None:
        """Answers came: send what waits, as far as it may hold it."""
        if self._quiet.watched and not lane.calls:
            self._quiet.changed()
        if self._suspects and not self._closed:
            self._suspects.step(now)
        if not self._usable(lane):
            return
        if lane.batching:
            if self._waiting.number:
                self._batches.form(now)
            return
        waiting, calls = self._waiting, lane.calls
        while waiting.number and len(calls) < lane.window:
            call = waiting.pop()
            if call is None:
                break
            if call.deadline <= now:
                self._late(call, now)
            else:
                lane.send(call, now)
        if (len(calls) < lane.window) != lane.listed:
            if lane.listed:
                self._unlist(lane)
            else:
                lane.listed = True
                self._open.append(lane)

    def on_lane(self, lane: Lane) -> None:
        """A lane is there."""
        self._lanes.append(lane)
        if lane.batching:
            self._batches.lanes.append(lane)
        else:
            others = [other for other in self._lanes if other.estimate and not other.batching]
            if others and lane.concurrency == 1:
                # What others measured: a new lane need not find out by itself.
                lane.estimate, lane.window = others[0].estimate, others[0].window
        self.on_room(lane, time.monotonic())

    def on_choked(self, lane: Lane) -> None:
        """Its socket is full."""
        self._unlist(lane)

    def on_lane_lost(self, lane: Lane) -> None:
        """Its worker died: begun calls are tried once more, the others wait again, first."""
        if lane not in self._lanes:
            return
        self._lanes.remove(lane)
        if lane.batching and lane in self._batches.lanes:
            self._batches.lanes.remove(lane)
        self._unlist(lane)
        now = time.monotonic()
        if not (self._lanes or lane.link.draining):
            self._lost_at = now
        cut, begun, back = losses.sort_out(lane)
        for call in cut:
            self.figures.refused(502, now)
            call.done = True
            call.end("the replica died")
        for call in begun:
            self._blame(call, now)
        self._suspects.waiting.put_back([call for call in back if call.suspicion])
        self._waiting.put_back([call for call in back if not call.suspicion])
        self._quiet.changed()
        self._dispatch(now)

    def on_link_lost(self, link: ReplicaLink) -> None:
        """Its process is gone; its lanes will be, in a moment."""
        for lane in link.lanes:
            self._unlist(lane)

    def _next_ident(self) -> int:
        self._ident += 1
        return self._ident

    def _usable(self, lane: Lane) -> bool:
        return not self._closed and lane.usable()

    def _unlist(self, lane: Lane) -> None:
        if lane.listed:
            lane.listed = False
            self._open.remove(lane)

    def _wait(self, call: Call) -> None:
        now = call.arrived
        waiting = self._waiting
        if not waiting.has_room(len(call.body), self._door.max_queue) or (
            # Its turn would not come in time: better to hear it now.
            waiting.number >= _SURELY
            and now + self._drain.seconds(waiting.number, self.figures, now) > call.deadline
        ):
            self.figures.refused(429, now)
            refusals.full(call, self._drain.line(waiting.number, self.figures, now))
            return
        if not self.is_ready():
            if not self._may_wait(now):
                self.figures.refused(503, now)
                refusals.not_ready(call)
                return
            if self.on_wait is not None:
                self.on_wait()
        waiting.append(call)
        if self._batches.lanes:
            self._batches.soon()

    def _may_wait(self, now: float) -> bool:
        """Whether calls may wait although no replica could take them now."""
        return not self._closed and (
            self.hold or now < self._lost_at + GRACE or any(link.stays() for link in self._links)
        )

    def _dispatch(self, now: float) -> None:
        """Send what waits to lanes with room."""
        if self._suspects and not self._closed:
            self._suspects.step(now)
        for lane in list(self._open):
            if not self._waiting.number:
                return
            self.on_room(lane, now)
        if self._batches.lanes:
            self._batches.form(now)

    def _late(self, call: Call, now: float) -> None:
        self.figures.refused(504, now)
        refusals.late(call)

    def _blame(self, call: Call, now: float) -> None:
        """It was begun by a worker that died."""
        call.tries += 1
        if self._door.retry != "never" and self._suspects.add(call):
            self.figures.retries += 1
        else:
            self.figures.refused(502, now)
            refusals.died(call)

    def _workers(self) -> list[Worker]:
        workers = {id(lane.worker): lane.worker for lane in self._lanes if self._usable(lane)}
        return [worker for worker in workers.values() if worker is not None]

    def _reserve(self, worker: Worker) -> None:
        for lane in worker.lanes:
            self._unlist(lane)

    def _release(self, worker: Worker) -> None:
        now = time.monotonic()
        for lane in list(worker.lanes):
            self.on_room(lane, now)

    def _tick(self, now: float) -> None:
        """Some 25 times a second while there are calls."""
        if self._suspects and not self._closed:
            self._suspects.step(now)
        if not self.is_ready() and not self._may_wait(now):
            self._turn_away(now)

    def _turn_away(self, now: float) -> None:
        calls = self._suspects.waiting.take_all() + self._waiting.take_all()
        for call in calls:
            call.done = True  # an answer runs code of a door, which may cancel another of them
        for call in calls:
            self.figures.refused(503, now)
            refusals.not_ready(call)


def _least(lanes: list[Lane]) -> Lane:
    """A lane with few calls: the least of some of them, of two or more. The one taken goes last,
    so that equals take turns."""
    best = 0
    fewest = len(lanes[0].calls)
    for place in range(1, min(len(lanes), _LOOKS)):
        if not fewest:
            break
        held = len(lanes[place].calls)
        if held < fewest:
            best, fewest = place, held
    lane = lanes.pop(best)
    lanes.append(lane)
    return lane
