"""Calls whose worker died while it did them: tried once more, each in a process of its own.

A request that kills what it touches must not take others with it, and the others that were under
way in the same process must not be blamed. So one worker is kept for these calls, emptied first,
and given one of them at a time; then it takes part again.

A call that goes on for a while without killing its worker gets company: otherwise one slow call
would keep all others waiting. If that worker dies after all, nobody knows whose fault it is: only
the call begun last is given up, the others get one more turn, in which they stay alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from spice_engine.serving.lanes import Lane
from spice_engine.serving.waiting import Waiting
from spice_engine.serving.workers import Worker

if TYPE_CHECKING:
    from spice_engine.serving.calls import Call

TRUSTED_AFTER = 1.0
"""Seconds after which a call that did not kill its worker gets company."""
TRUSTED_AFTER_ASYNC = 0.02
"""The same where a worker does many calls at once: hundreds can be under suspicion together."""

_NONE, _SUSPECT, _IN_COMPANY, _ALONE = range(4)
"""What `Call.suspicion` says: nothing; to be tried alone; it is, and others came to it; it must
stay alone to its end."""


class Suspects:
    """The suspicious calls that wait, and the workers kept for them.

    `workers` gives those that take part; `send` sends a call to a lane; `release` tells that a
    worker's lanes may be used by all again.
    """

    __slots__ = ("_late", "_release", "_reserve", "_send", "_workers", "reserved", "waiting")

    def __init__(
        self,
        *,
        workers: Callable[[], Iterable[Worker]],
        send: Callable[[Lane, Call, float], None],
        reserve: Callable[[Worker], None],
        release: Callable[[Worker], None],
        late: Callable[[Call, float], None],
    ) -> None:
        self.waiting = Waiting()
        self.reserved: list[Worker] = []
        self._workers = workers
        self._send = send
        self._reserve = reserve
        self._release = release
        self._late = late

    def __bool__(self) -> bool:
        return bool(self.waiting.number or self.reserved)

    def add(self, call: Call) -> bool:
        """It was begun by a worker that died. False: it has had its turn, and is to be given up."""
        if call.suspicion == _NONE:
            call.suspicion = _SUSPECT
        elif call.suspicion == _IN_COMPANY:
            call.suspicion = _ALONE
        else:
            return False
        self.waiting.append(call)
        return True

    def step(self, now: float) -> None:
        """Give the kept workers their next call, keep more or give them back."""
        for worker in list(self.reserved):
            if not worker.lanes or worker.link.draining or worker.link.lost:
                self._give_back(worker)
            else:
                self._feed(worker, now)
        if not self.waiting.number:
            return
        free = [worker for worker in self._workers() if not worker.reserved]
        # Half of the workers go on with the others' calls, where there are two or more.
        most = max(1, (len(free) + len(self.reserved)) // 2)
        free.sort(key=Worker.outstanding)
        for worker in free[: max(0, min(most - len(self.reserved), self.waiting.number))]:
            worker.reserved = True
            self.reserved.append(worker)
            self._reserve(worker)
            self._feed(worker, now)

    def _feed(self, worker: Worker, now: float) -> None:
        while True:
            held = worker.wanted()
            if held:
                concurrent = worker.lanes[0].concurrency > 1
                patience = TRUSTED_AFTER_ASYNC if concurrent else TRUSTED_AFTER
                if now - worker.began < patience or not all(map(_may_have_company, held)):
                    return
            call = self.waiting.pop()
            if call is None:
                _give_company(held)
                self._give_back(worker)
                return
            if call.deadline <= now:
                self._late(call, now)
                continue
            lane = min(worker.lanes, key=lambda lane: len(lane.calls))
            if len(lane.calls) >= lane.concurrency or (held and call.suspicion == _ALONE):
                self.waiting.put_back([call])
                return
            _give_company(held)
            worker.began = now
            self._send(lane, call, now)
            return

    def _give_back(self, worker: Worker) -> None:
        worker.reserved = False
        self.reserved.remove(worker)
        self._release(worker)


def _may_have_company(call: Call) -> bool:
    return call.suspicion in {_SUSPECT, _IN_COMPANY}


def _give_company(held: list[Call]) -> None:
    for call in held:
        call.suspicion = _IN_COMPANY
