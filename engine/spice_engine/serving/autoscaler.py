"""How many replicas a server should have: a pure decision once a second, from what was measured.

Up at once, to what the load asks for; down after `down_after` seconds in which less was enough
all the time, by at most half. Targets: CPU per replica, requests/s per replica, time in the queue.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field

from spice_engine.protocol.servers import Scaling
from spice_engine.records import record

BUSY_SHARE = 0.8
"""The share of its time that a replica may compute before there should be more."""
SPARE_SHARE = 0.7
"""Fewer replicas are enough only if they would be busy for less than this share."""
LONG = 3.0
"""A wait so many times the target counts at once; a shorter one when it is seen twice."""
REGRET_SECONDS = 60.0
FLOOR_SECONDS = 300.0
"""Where more were needed again within `REGRET_SECONDS` after there were fewer, that number stays
for so long."""
WARM_SECONDS = 1.0
"""After a change of the number, what was measured before it says nothing for so long."""


@record
class Inputs:
    """What was measured: replicas wanted and ready, calls under way and waiting, the wait of the
    oldest in seconds, calls answered per second, cores used and calls being computed on average,
    each of all replicas together. `slots` is how many calls one replica computes at once."""

    time: float
    wanted: int
    ready: int
    in_flight: float = 0.0
    queued: float = 0.0
    oldest: float = 0.0
    rate: float = 0.0
    cpu: float = 0.0
    service: float | None = None
    slots: int = 1
    cpu_request: float = 1.0

    def as_numbers(self) -> dict[str, float]:
        """For the record of a decision."""
        numbers = {
            "ready": float(self.ready),
            "in_flight": round(self.in_flight, 2),
            "queued": round(self.queued, 2),
            "oldest_ms": round(1000 * self.oldest, 1),
            "rate": round(self.rate, 2),
            "cpu": round(self.cpu, 3),
        }
        if self.service is not None:
            numbers["service_ms"] = round(1000 * self.service, 3)
        return numbers


@record
class Decision:
    """The number of replicas wanted from now on, and why."""

    after: int
    reason: str


@dataclass(slots=True)
class History:
    """What the last seconds asked for (pairs of time and number of replicas), and what followed.

    `floor` is the number that turned out to be needed just after there were fewer: until
    `floor_until` it does not go below that again. `wait` is the wait measured last, in ms.
    """

    asked: deque[tuple[float, int]] = field(default_factory=deque[tuple[float, int]])
    changed: float = -math.inf
    went_down: float = -math.inf
    last_call: float = -math.inf
    load: float = 0.0
    wait: float = 0.0
    floor: int = 0
    floor_until: float = -math.inf


def decide(inputs: Inputs, settings: Scaling, history: History) -> Decision:
    """The number of replicas for what is measured now; `history` is brought up to date."""
    now, wanted = inputs.time, inputs.wanted
    least, most = settings.min_pods, settings.max_pods
    if history.changed == -math.inf:
        history.changed = now  # what was before is not known
    if inputs.in_flight or inputs.queued or inputs.rate:
        history.last_call = now
    asked, reason = _asked(inputs, settings, history)
    asked = min(most, max(least, asked))
    history.asked.append((now, asked))
    while history.asked and history.asked[0][0] < now - max(1.0, settings.down_after):
        history.asked.popleft()
    if not least <= wanted <= most:
        return _change(history, now, min(most, max(least, wanted)), "the bounds changed")
    if asked > wanted:
        if inputs.ready < wanted and now - history.changed < WARM_SECONDS + 10.0:
            # Those asked for before are still starting: the queue they are to empty says
            # nothing about how many more are needed, but the load does.
            by_load = min(most, _by_load(inputs, history, settings)[0])
            if by_load <= wanted:
                return Decision(wanted, "")
            asked = by_load
        if now - history.went_down < REGRET_SECONDS:
            history.floor, history.floor_until = asked, now + FLOOR_SECONDS
        return _change(history, now, asked, reason)
    calm = now - history.changed >= settings.down_after
    highest = max(number for _, number in history.asked)
    covered = now - history.asked[0][0] >= min(settings.down_after, 1.0) * 0.9
    if asked < wanted and highest < wanted and calm and covered:
        idle = highest <= 1 and now - history.last_call >= settings.down_after
        floor = history.floor if now < history.floor_until and not idle else 0
        target = max(highest, wanted // 2, least, min(floor, most))
        if target >= wanted:
            return Decision(wanted, "")
        if target == 0 and wanted > 1:
            target = 1
        why = f"{highest} were enough for {settings.down_after:g} s"
        if highest == 0:
            why = f"no call for {settings.down_after:g} s"
        history.went_down = now
        return _change(history, now, target, why)
    return Decision(wanted, "")


def _change(history: History, now: float, after: int, reason: str) -> Decision:
    history.changed = now
    return Decision(after, reason)


def _asked(inputs: Inputs, settings: Scaling, history: History) -> tuple[int, str]:
    """The largest number that a target asks for, with its reason."""
    idle = not (inputs.in_flight or inputs.queued)
    if idle and inputs.time - history.last_call >= 1.0 and inputs.rate == 0:
        history.load = 0.0
        return (0 if settings.min_pods == 0 else 1), "idle"
    answers = [(1, "calls come in")]
    ready = max(1, inputs.ready)
    answers.append(_by_load(inputs, history, settings))
    if settings.cpu_utilization is not None and inputs.cpu > 0:
        share = inputs.cpu / (inputs.cpu_request or 1.0)
        number = math.ceil(share / settings.cpu_utilization - 0.1)
        answers.append(
            (number, f"CPU {share / ready:.0%} a replica, target {settings.cpu_utilization:.0%}")
        )
    if settings.requests_per_second is not None and inputs.rate > 0:
        number = math.ceil(inputs.rate / settings.requests_per_second - 0.1)
        answers.append(
            (
                number,
                f"{inputs.rate:.0f} requests/s, target {settings.requests_per_second:g} a replica",
            )
        )
    return max(answers, key=lambda answer: answer[0])


def _by_load(inputs: Inputs, history: History, settings: Scaling) -> tuple[int, str]:
    """What the time in the queue asks for.

    While calls wait longer than `queue_ms`, or would soon, the replicas must be more than are
    busy now. How many more is read off the concurrency that is offered: what is under way, and
    what waits beyond the time it may. It falls slowly, so that it does not follow every dip.
    """
    slots = max(1, inputs.slots)
    ready = max(1, inputs.ready)
    offered = inputs.in_flight + inputs.queued
    history.load = offered if offered > history.load else 0.7 * history.load + 0.3 * offered
    if inputs.ready == 0:
        return max(1, inputs.wanted), "calls wait for a replica"
    wait = 1000 * inputs.oldest
    if inputs.service is not None and inputs.queued:
        wait = max(wait, 1000 * inputs.queued * inputs.service / (ready * slots))
    # One long wait may be chance; two in a row, or a very long one, are not.
    wait, history.wait = wait if wait >= LONG * settings.queue_ms else min(wait, history.wait), wait
    if wait > settings.queue_ms:
        # Closed-loop clients offer as many calls as they are; each waiting one may take
        # queue_ms, in which a slot does queue_ms / service of them.
        service_ms = 1000 * (inputs.service or 0.0)
        each = slots * (1 + settings.queue_ms / service_ms) if service_ms > 0 else slots
        number = max(math.ceil(history.load / each - 0.05), ready + 1)
        return number, f"calls wait {wait:.0f} ms, target {settings.queue_ms:g} ms"
    # Enough is what would not be busy too long, nor let calls wait.
    busy = _busy(inputs, history, slots)
    number = math.ceil(busy / (BUSY_SHARE * slots) - 0.05)
    if number < inputs.wanted and busy > SPARE_SHARE * slots * number:
        number += 1
    return max(1, min(number, inputs.wanted)), f"{busy:.1f} calls are computed at once"


def _busy(inputs: Inputs, history: History, slots: int) -> float:
    """How many calls are being computed on average (Little's law: rate times service time)."""
    if inputs.service is not None and inputs.rate:
        return inputs.rate * inputs.service
    return min(history.load, float(max(1, inputs.ready) * slots))
