"""Async predictors: many calls at once on one lane."""

from __future__ import annotations

import time

import pytest

from spice_runtime import wire
from tests.conftest import wait_for
from tests.integration.replica_client import Frame, call_frame
from tests.integration.replica_fixture import Starter, kept, running, start

__all__ = ["kept", "running", "start"]

ASYNC = """
import asyncio, time
from spice_runtime import BasePredictor
class Async(BasePredictor):
    cancelled = 0
    def __init__(self):
        self.loops = set()
    async def predict(self, payload):
        self.loops.add(id(asyncio.get_running_loop()))
        if payload == "cancelled":
            return Async.cancelled
        if payload == "stream":
            return self.stream()
        if payload == "generator":
            return (str(number) for number in range(3))
        try:
            await asyncio.sleep(payload)
        except asyncio.CancelledError:
            Async.cancelled += 1
            raise
        return payload
    async def stream(self):
        for number in range(100000):
            yield str(number)
    async def health(self):
        self.loops.add(id(asyncio.get_running_loop()))
        await asyncio.sleep(0)
        return {"loops": len(self.loops)}
"""


def test_calls_run_at_once_and_answers_come_as_they_end(start: Starter) -> None:
    replica = start(ASYNC, max_concurrency=50)
    told = replica.ready()
    assert (told["async"], told["lanes"]) == (True, 1)
    lane = replica.lane()
    assert lane.hello.json["concurrency"] == 50
    began = time.monotonic()
    slow = lane.begin(0.4)
    others = [lane.begin(0.2) for _ in range(40)]
    answers = [lane.read() for _ in range(41)]
    assert time.monotonic() - began < 5
    assert answers[-1].ident == slow
    assert {each.ident for each in answers[:-1]} == set(others)


def test_health_runs_on_the_predictors_own_loop(start: Starter) -> None:
    replica = start(ASYNC)
    replica.ready()
    lane = replica.lane()
    lane.call(0)
    lane.begin(30)
    assert replica.ask(wire.HEALTH).json == {"loops": 1}


def test_a_cancelled_call_is_stopped(start: Starter) -> None:
    replica = start(ASYNC)
    replica.ready()
    lane = replica.lane()
    ident = lane.begin(60)
    wait_for(lambda: replica.started()[0] == ident, "the call to begin")
    replica.connect().send(wire.frame(wire.CANCEL, ident))
    answer = lane.read()
    assert (answer.ident, answer.status) == (ident, 499)
    assert lane.call("cancelled").text == "1"
    wait_for(lambda: replica.started()[0] == 0, "the page to be clear")


def test_what_is_under_way_is_stopped_when_the_engine_goes(start: Starter) -> None:
    replica = start(ASYNC)
    replica.ready()
    lane = replica.lane()
    ident = lane.begin(60)
    wait_for(lambda: replica.started()[0] == ident, "the call to begin")
    lane.close()
    assert replica.lane().call("cancelled").text == "1"


def test_streams_share_the_lane_and_wait_for_credit(kept: Starter) -> None:
    replica = kept(ASYNC)
    lane = replica.lane()
    stream = lane.begin("stream")
    other = lane.begin(0.05)
    seen: dict[int, list[Frame]] = {stream: [], other: []}
    got = 0
    while got < wire.CREDIT_BYTES or not seen[other]:
        frame = lane.read()
        seen[frame.ident].append(frame)
        got += len(frame.body) if frame.kind == wire.CHUNK else 0
    assert seen[other][0].text == "0.05"
    text = "".join(frame.text for frame in seen[stream][1:])
    assert text.startswith("0123456789101112")
    replica.connect().send(wire.frame(wire.CANCEL, stream))
    frame = lane.read()
    while frame.kind == wire.CHUNK:
        frame = lane.read()
    assert (frame.kind, frame.status) == (wire.END, 500)
    assert lane.call(0).text == "0"


def test_a_sync_generator_of_an_async_predictor_is_a_stream(kept: Starter) -> None:
    replica = kept(ASYNC)
    lane = replica.lane()
    lane.begin("generator")
    frames = [lane.read() for _ in range(5)]
    assert "".join(each.text for each in frames) == "012"


def test_large_bodies_come_whole(start: Starter) -> None:
    source = """
from spice_runtime import BasePredictor
class P(BasePredictor):
    async def predict(self, payload):
        return len(payload)
"""
    replica = start(source)
    replica.ready()
    lane = replica.lane()
    lane.send(
        call_frame(1, "a"), call_frame(2, "b" * 5_000_000), call_frame(3, "cc"), call_frame(4, "")
    )
    assert {(each.ident, each.text) for each in (lane.read() for _ in range(4))} == {
        (1, "1"),
        (2, "5000000"),
        (3, "2"),
        (4, "0"),
    }
    for byte in call_frame(5, "abc"):
        lane.send(bytes([byte]))
    assert lane.read().text == "3"


@pytest.mark.parametrize("processes", [1, 2])
def test_the_drain_waits_for_calls_under_way(start: Starter, processes: int) -> None:
    replica = start(ASYNC, num_processes=processes)
    assert replica.ready()["lanes"] == processes
    lane = replica.lane()
    ident = lane.begin(0.5)
    wait_for(lambda: ident in replica.started(), "the call to begin")
    assert replica.drain() == 0
    assert lane.read().text == "0.5"


def test_an_async_generator_function_is_a_predictor(start: Starter) -> None:
    source = """
from spice_runtime import BasePredictor
class P(BasePredictor):
    async def predict(self, payload):
        for each in payload:
            yield {"n": each}
"""
    replica = start(source)
    assert replica.ready()["async"] is True
    lane = replica.lane()
    lane.begin([1, 2])
    frames = [lane.read() for _ in range(4)]
    assert "".join(each.text for each in frames) == '{"n":1}\n{"n":2}\n'


CANCELS_ITSELF = """
import asyncio
from spice_runtime import BasePredictor
class Async(BasePredictor):
    async def predict(self, payload):
        if payload == "batch" or payload == ["batch"]:
            raise asyncio.CancelledError
        inner = asyncio.ensure_future(asyncio.sleep(60))
        asyncio.get_running_loop().call_soon(inner.cancel)
        await inner
"""


@pytest.mark.parametrize("batching", [False, True])
@pytest.mark.parametrize("payload", ["one", "batch"])
def test_a_cancellation_of_the_predictors_own_is_its_error(
    kept: Starter, payload: str, batching: bool
) -> None:
    replica = kept(CANCELS_ITSELF, batching=batching)
    lane = replica.lane()
    for _ in range(2):
        answer = lane.call(payload)
        assert (answer.status, answer.text) == (500, "Internal Server Error")
    assert "CancelledError" in replica.output()


def test_a_sync_predictor_may_raise_a_cancellation(start: Starter) -> None:
    source = """
import asyncio
from spice_runtime import BasePredictor
class Sync(BasePredictor):
    def predict(self, payload):
        if payload == "gone":
            raise asyncio.CancelledError
        return payload
"""
    replica = start(source)
    replica.ready()
    lane = replica.lane()
    assert lane.call("gone").status == 500
    assert lane.call("here").text == "here"
