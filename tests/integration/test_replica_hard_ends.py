"""Answers that HTTP does not have, and ends in the middle of one: that call fails alone."""

from __future__ import annotations

import pytest

from spice_runtime import wire
from tests.integration.replica_fixture import Starter, kept, running, start

__all__ = ["kept", "running", "start"]

HARD = """
import sys
from spice_runtime import BasePredictor, send_metric
from starlette.exceptions import HTTPException
from starlette.responses import Response, StreamingResponse

def pieces():
    yield "one"
    sys.exit(3)

class P(BasePredictor):
    def predict(self, payload):
        if payload == "status":
            return Response("x", status_code=70000)
        if payload == "text as status":
            return Response("x", status_code="200")
        if payload == "detail":
            raise HTTPException(400, detail={"a": {1, 2}})
        if payload == "code":
            raise HTTPException("abc", detail="x")
        if payload == "generator":
            return pieces()
        if payload == "status of a stream":
            return StreamingResponse(iter("ab"), status_code=70000)
        if payload == "response":
            return StreamingResponse(pieces())
        if isinstance(payload, list):
            send_metric(*payload)
        return "fine"
"""


@pytest.mark.parametrize(
    "what", ["status", "text as status", "detail", "code", "status of a stream"]
)
def test_what_cannot_be_sent_is_a_500_of_that_call_alone(kept: Starter, what: str) -> None:
    lane = kept(HARD).lane()
    answer = lane.call(what)
    assert (answer.kind, answer.status) == (wire.ANSWER, 500)
    assert lane.call("next").text == "fine"


@pytest.mark.parametrize("what", ["generator", "response"])
def test_a_stream_that_exits_is_cut_and_never_answered_a_second_time(
    kept: Starter, what: str
) -> None:
    lane = kept(HARD).lane()
    lane.begin(what)
    frames = [lane.read() for _ in range(3)]
    assert [frame.kind for frame in frames] == [wire.STREAM, wire.CHUNK, wire.END]
    assert frames[-1].status == 500
    assert lane.call("next").text == "fine"


def test_names_of_metrics_that_no_file_can_hold_do_not_end_the_control_thread(
    kept: Starter,
) -> None:
    replica = kept(HARD)
    lane = replica.lane()
    assert lane.call(["a\ud800", 1, "tag\ud800"]).text == "fine"
    assert lane.call(["accuracy", 1, "a\u2028b\rc"]).text == "fine"
    told = replica.ask(wire.METRICS).json
    told["prometheus"].encode()
    assert ["a?", "tag?", 1.0] in told["values"]
    whole = [line for line in told["prometheus"].split("\n") if "a\u2028b\rc" in line]
    assert len(whole) == 1
    assert whole[0].endswith("} 1.0")
    assert replica.ask(wire.HEALTH).status == 200


def test_a_value_that_raises_while_it_is_written_fails_alone_in_its_batch(start: Starter) -> None:
    source = """
from spice_runtime import BasePredictor

class Bad(int):
    def __str__(self):
        raise KeyError("no text")

class P(BasePredictor):
    def predict(self, payloads):
        return [Bad(1) if payload == "bad" else payload for payload in payloads]
"""
    replica = start(source, batching=True)
    replica.ready()
    lane = replica.lane()
    answers = lane.batch("one", "bad", "two")
    assert [answer.status for answer in answers] == [200, 500, 200]


def test_a_health_that_is_cancelled_is_told_and_asked_again(start: Starter) -> None:
    source = """
import asyncio
from spice_runtime import BasePredictor

class P(BasePredictor):
    async def predict(self, payload):
        return payload
    async def health(self):
        raise asyncio.CancelledError
"""
    replica = start(source)
    replica.ready()
    assert replica.ask(wire.HEALTH).status == 500
    assert replica.ask(wire.HEALTH, 8).status == 500
