"""The autoscaler against a simulated server: replicas that take a while to start, and a queue."""

from __future__ import annotations

import random
from collections import deque
from dataclasses import dataclass, field
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spice_engine.protocol.servers import Scaling
from spice_engine.serving.autoscaler import Decision, History, Inputs, decide

STEP = 0.005
START = 0.4
"""Seconds from the wish for a replica to its first call."""


@dataclass
class Simulated:
    """One call at a time in each replica, `service` seconds each; one queue.

    Calls come at random times at a `rate`, or `closed` clients ask again as soon as they are
    answered. The autoscaler is asked once a second.
    """

    scaling: Scaling
    service: float = 0.05
    rate: float = 0.0
    closed: int = 0
    pods: int = 1
    seed: int = 1
    now: float = 0.0
    queue: deque[float] = field(default_factory=deque[float])
    replicas: list[float] = field(default_factory=list[float])
    starting: list[float] = field(default_factory=list[float])
    answered: deque[float] = field(default_factory=deque[float])
    history: History = field(default_factory=History)
    changes: list[tuple[float, int, int, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)
        self.replicas = [0.0] * self.pods
        self.waits: list[tuple[float, float]] = []
        self.next = self.random.expovariate(self.rate) if self.rate else float("inf")
        self.queue.extend([0.0] * self.closed)

    def run(self, seconds: float) -> None:
        end = self.now + seconds
        while self.now < end:
            before = int(self.now)
            self.now += STEP
            self._serve()
            if int(self.now) != before:
                self._scale()

    def load(self, rate: float) -> None:
        self.rate = rate
        self.next = self.now + self.random.expovariate(rate) if rate else float("inf")

    def _serve(self) -> None:
        while self.next <= self.now:
            self.queue.append(self.next)
            self.next += self.random.expovariate(self.rate)
        self.starting = [at - STEP for at in self.starting]
        self.replicas += [0.0 for at in self.starting if at <= 0]
        self.starting = [at for at in self.starting if at > 0]
        for place, at in enumerate(list(self.replicas)):
            free_at = at
            if 0 < free_at <= self.now:
                self.replicas[place] = free_at = 0.0
                self.answered.append(self.now)
                if self.closed:
                    self.queue.append(self.now)
            if not free_at and self.queue:
                arrived = self.queue.popleft()
                self.waits.append((self.now, self.now - arrived))
                self.replicas[place] = self.now + self.service * self.random.uniform(0.9, 1.1)

    def _scale(self) -> None:
        while self.answered and self.answered[0] < self.now - 2:
            self.answered.popleft()
        busy = sum(1 for free_at in self.replicas if free_at)
        inputs = Inputs(
            time=self.now,
            wanted=self.pods,
            ready=len(self.replicas),
            in_flight=busy,
            queued=len(self.queue),
            oldest=self.now - self.queue[0] if self.queue else 0.0,
            rate=len(self.answered) / 2,
            cpu=0.0,
            service=self.service if self.answered else None,
        )
        decision = decide(inputs, self.scaling, self.history)
        if decision.after != self.pods:
            self.changes.append((self.now, self.pods, decision.after, decision.reason))
        while decision.after > len(self.replicas) + len(self.starting):
            self.starting.append(START)
        if decision.after < len(self.replicas):
            idle_first = sorted(self.replicas)
            self.replicas = idle_first[len(idle_first) - decision.after :] or []
        self.pods = decision.after

    def turns(self) -> int:
        """Changes of direction."""
        signs = [after > before for _, before, after, _ in self.changes]
        return sum(1 for one, other in pairwise(signs) if one != other)


BAR = Scaling(min_pods=1, max_pods=6)


@pytest.mark.parametrize("seed", range(20))
def test_a_step_of_load_is_met_within_five_seconds(seed: int) -> None:
    world = Simulated(BAR, seed=seed)
    world.run(5)
    begun = world.now
    world.load(4 / 0.05)
    world.run(60)
    late = [wait for at, wait in world.waits if at > begun + 5 and wait > 0.25]
    assert not late
    assert world.turns() <= 2
    assert 4 <= world.pods <= 6
    last = max(at for at, *_ in world.changes)
    assert last <= begun + 5 or world.turns() == 0


@pytest.mark.parametrize("clients", [2, 4, 6, 8])
def test_closed_clients_get_replicas_and_no_swing(clients: int) -> None:
    world = Simulated(BAR, closed=clients)
    world.run(60)
    assert world.turns() == 0
    waits = [wait for at, wait in world.waits if at > 10]
    assert sum(waits) / len(waits) <= 0.15


@settings(max_examples=25, deadline=None)
@given(st.floats(1, 110), st.floats(0.01, 0.08), st.integers(0, 1000))
def test_a_steady_load_is_not_followed_up_and_down(rate: float, service: float, seed: int) -> None:
    world = Simulated(BAR, rate=min(rate, 5.0 / service), service=service, seed=seed)
    world.run(180)
    assert world.turns() <= 3


def test_replicas_go_when_the_load_has_gone_and_not_before() -> None:
    world = Simulated(BAR)
    world.load(80)
    world.run(20)
    highest = world.pods
    world.load(10)
    world.run(15)
    assert world.pods == highest
    world.run(60)
    assert world.pods == 1
    downs = [(before, after) for _, before, after, _ in world.changes if after < before]
    assert all(after >= before // 2 for before, after in downs)


def test_without_calls_a_server_that_may_goes_to_zero() -> None:
    world = Simulated(Scaling(min_pods=0, max_pods=3, down_after=5.0))
    world.run(4)
    assert world.pods == 1
    world.run(10)
    assert world.pods == 0
    assert world.changes[-1][3] == "no call for 5 s"


def one(scaling: Scaling, history: History | None = None, **inputs: float) -> Decision:
    values = {"time": 100.0, "wanted": 1, "ready": 1, **inputs}
    return decide(Inputs(**values), scaling, history or History())  # type: ignore[arg-type]


def test_targets_of_requests_and_cpu_ask_for_replicas_and_say_why() -> None:
    busy = one(Scaling(requests_per_second=10), rate=35.0, in_flight=1)
    assert busy.after == 4
    assert "35 requests/s, target 10" in busy.reason
    hot = one(Scaling(cpu_utilization=0.5), rate=5.0, cpu=1.8, cpu_request=1.0, in_flight=1)
    assert hot.after == 4
    assert "CPU 180%" in hot.reason


def test_a_target_on_the_line_changes_nothing() -> None:
    assert one(Scaling(requests_per_second=10), rate=10.4, in_flight=1).after == 1
    assert one(Scaling(cpu_utilization=0.5), rate=5.0, cpu=0.52, in_flight=1).after == 1


def test_bounds_are_kept_also_when_they_change() -> None:
    assert one(Scaling(requests_per_second=1, max_pods=3), rate=50.0, in_flight=9).after == 3
    assert one(Scaling(min_pods=2, max_pods=4), wanted=1).after == 2
    assert one(Scaling(max_pods=2), wanted=5, ready=5).after == 2


def test_a_queue_that_waits_for_starting_replicas_does_not_ask_for_more() -> None:
    history = History()
    scaling = Scaling(max_pods=10)
    first = one(scaling, history, in_flight=1, queued=3, oldest=0.4, service=0.05)
    assert first.after > 1
    again = one(
        scaling,
        history,
        time=101.0,
        wanted=first.after,
        in_flight=1,
        queued=3,
        oldest=0.4,
        service=0.05,
        rate=20.0,
    )
    assert again.after == first.after


def test_the_inputs_are_told_as_numbers() -> None:
    numbers = Inputs(time=1, wanted=1, ready=2, oldest=0.25, service=0.05).as_numbers()
    assert numbers["oldest_ms"] == 250
    assert numbers["service_ms"] == 50
    assert numbers["ready"] == 2
