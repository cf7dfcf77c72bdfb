"""Batches in a replica: prepare, predict on the list, and one bad item that fails alone."""

from __future__ import annotations

import time
from itertools import pairwise
from typing import Any

import pytest

from spice_runtime import wire
from tests.integration.replica_client import Frame, call_frame
from tests.integration.replica_fixture import Starter, kept, running, start

__all__ = ["kept", "running", "start"]

ITEMS = """
from spice_runtime import BasePredictor
from starlette.exceptions import HTTPException
from starlette.responses import PlainTextResponse
import numpy as np
calls = []
class Items(BasePredictor):
    def predict(self, payload):
        calls.append(list(payload))
        if "calls" in payload:
            return [len(calls) if one == "calls" else one for one in payload]
        if "die" in payload:
            raise ValueError("poison")
        if "forbid" in payload:
            raise HTTPException(403, "not this one")
        if "short" in payload:
            return payload[1:]
        return [self.one(each) for each in payload]
    def one(self, each):
        if each == "set":
            return {1}
        if each == "nan":
            return {"a": float("nan")}
        if each == "response":
            return PlainTextResponse("mine", 202)
        return {"got": each}
"""


def told(answers: list[Frame]) -> list[tuple[int, str]]:
    return [(each.status, each.text) for each in answers]


def test_a_batch_is_one_call_of_predict(start: Starter) -> None:
    replica = start(ITEMS, batching=True)
    assert replica.ready()["batch"] is True
    lane = replica.lane()
    answers = lane.batch(1, "x", None)
    assert told(answers) == [(200, '{"got":1}'), (200, '{"got":"x"}'), (200, '{"got":null}')]
    assert lane.call("calls").text == "2"
    assert len({each.number for each in answers}) <= 3


def test_a_single_call_is_a_batch_of_one(kept: Starter) -> None:
    replica = kept(ITEMS, batching=True)
    assert replica.lane().call(5).json == {"got": 5}


def test_bad_items_fail_alone(kept: Starter) -> None:
    replica = kept(ITEMS, batching=True)
    lane = replica.lane()
    good = (200, '{"got":1}')
    assert told(lane.batch(1, "die", 1)) == [good, (500, "Internal Server Error"), good]
    assert told(lane.batch(1, "forbid")) == [good, (403, "not this one")]
    mismatch = (500, "Response length mismatch! Expected 1, but got 0")
    assert told(lane.batch("short", 1)) == [mismatch, good]
    assert [each.status for each in lane.batch("set", 1, "nan", "response")] == [500, 200, 500, 202]
    assert "ValueError: poison" in replica.output()


def test_a_body_that_is_no_json_does_not_reach_the_batch(kept: Starter) -> None:
    replica = kept(ITEMS, batching=True)
    lane = replica.lane()
    frames = [
        wire.frame(wire.CALL, 101, b"{", number=9000),
        wire.frame(wire.CALL, 102, b"7", number=9000),
    ]
    lane.send(wire.frame(wire.BATCH, 100, b"".join(frames), number=2))
    answers = {each.ident: each for each in (lane.read(), lane.read())}
    assert (answers[101].status, answers[102].json) == (400, {"got": 7})


def test_late_and_cancelled_items_are_left_out(start: Starter) -> None:
    replica = start(ITEMS, batching=True)
    replica.ready()
    lane = replica.lane()
    answers = lane.batch("a", "b", milliseconds=0)
    assert [each.status for each in answers] == [504, 504]
    assert lane.call("calls").text == "1"


RETURNS = """
from spice_runtime import BasePredictor
import numpy as np
class Returns(BasePredictor):
    def predict(self, payload):
        what = payload[0]
        if what == "generator":
            return (str(one) for one in payload)
        if what == "tuple":
            return tuple(payload)
        if what == "array":
            return np.ones((len(payload), 2))
        if what == "text":
            return "x" * len(payload)
        if what == "dict":
            return {str(at): one for at, one in enumerate(payload)}
        if what == "number":
            return 5
"""


@pytest.mark.parametrize(
    ("what", "bodies"),
    [
        ("generator", ["generator", "1"]),
        ("tuple", ["tuple", "1"]),
        ("array", ["[1.0,1.0]", "[1.0,1.0]"]),
    ],
)
def test_any_sequence_may_be_returned(kept: Starter, what: str, bodies: list[str]) -> None:
    replica = kept(RETURNS, batching=True)
    assert told(replica.lane().batch(what, 1)) == [(200, body) for body in bodies]


@pytest.mark.parametrize("what", ["text", "dict", "number", "none"])
def test_what_is_no_sequence_is_refused(kept: Starter, what: str) -> None:
    replica = kept(RETURNS, batching=True)
    (answer,) = replica.lane().batch(what)
    message = "Batch predict responses must be iterable and support len()"
    assert (answer.status, answer.text) == (500, message)


PREPARE = """
from spice_runtime import BasePredictor
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.exceptions import HTTPException
class Prepared(BasePredictor):
    {async}def prepare(self, payload, request: Request):
        if payload == "refuse":
            return PlainTextResponse("no", 418)
        if payload == "raise":
            raise HTTPException(409)
        if payload == "fail":
            raise ValueError
        return [payload, request.headers["x-mine"], request.query_params["a"]]
    {async}def predict(self, payload):
        return payload
"""
HEAD = b"POST /predict?a=1 HTTP/1.1\r\nX-Mine: yes\r\n\r\n"


@pytest.mark.parametrize("kind", ["", "async "])
def test_prepare_is_done_for_each_item(start: Starter, kind: str) -> None:
    replica = start(PREPARE.replace("{async}", kind), batching=True)
    assert replica.ready()["wants_request"] is True
    answers = replica.lane().batch("a", "refuse", "raise", "fail", "b", head=HEAD)
    assert told(answers) == [
        (200, '["a","yes","1"]'),
        (418, "no"),
        (409, "Conflict"),
        (500, "Internal Server Error"),
        (200, '["b","yes","1"]'),
    ]


def test_without_batching_prepare_is_not_used(start: Starter) -> None:
    replica = start(PREPARE.replace("{async}", ""))
    assert replica.ready()["prepare"] is False
    assert replica.lane().call("refuse").text == "refuse"


def test_a_batched_predict_cannot_take_a_request(start: Starter) -> None:
    source = """
from spice_runtime import BasePredictor
from starlette.requests import Request
class P(BasePredictor):
    def predict(self, payload, request: Request):
        return payload
"""
    state = start(source, batching=True).state()
    assert state["state"] == "failed"
    assert "Batching-enabled predict methods cannot accept Request objects" in state["message"]


MIXED: dict[str, Any] = {
    "sync predict, async prepare": ("", "async "),
    "async predict, sync prepare": ("async ", ""),
}


@pytest.mark.parametrize("name", MIXED)
def test_sync_and_async_may_be_mixed(start: Starter, name: str) -> None:
    predict, prepare = MIXED[name]
    source = f"""
import asyncio
from spice_runtime import BasePredictor
class P(BasePredictor):
    {prepare}def prepare(self, payload):
        {"await asyncio.sleep(0.01)" if prepare else "pass"}
        return payload * 2
    {predict}def predict(self, payload):
        {"await asyncio.sleep(0.01)" if predict else "pass"}
        return payload
"""
    replica = start(source, batching=True)
    assert replica.ready()["async"] is bool(predict)
    assert [each.json for each in replica.lane().batch([1], [2])] == [[1, 1], [2, 2]]


@pytest.mark.parametrize("kind", ["", "async "])
@pytest.mark.parametrize("first", ["import numpy", ""])
def test_big_integers_in_a_long_batch_are_kept(start: Starter, first: str, kind: str) -> None:
    source = f"""
{first}
from spice_runtime import BasePredictor
class P(BasePredictor):
    {kind}def predict(self, payload):
        return [str(max(one)) for one in payload]
"""
    replica = start(source, batching=True)
    replica.ready()
    rows: list[list[Any]] = [[0.1234] * 1000 + [place] for place in range(1, 61)]
    lane = replica.lane()
    assert [each.text for each in lane.batch(*rows)] == [str(place) for place in range(1, 61)]
    rows[0][500] = 10**30
    rows[59][0] = 10**19 + 1
    rows[7][1] = 0.12345678901234567890123
    expected = [str(10**30), *map(str, range(2, 60)), str(10**19 + 1)]
    assert [each.text for each in lane.batch(*rows)] == expected


def test_a_batch_that_comes_in_pieces_is_read_whole(kept: Starter) -> None:
    lane = kept(ITEMS, batching=True).lane()
    texts = [f"{place} " + "x" * 9000 for place in range(50)]
    calls = [call_frame(1000 + place, text) for place, text in enumerate(texts)]
    batch = wire.frame(wire.BATCH, 999, b"".join(calls), number=len(calls))
    data = batch + call_frame(2000, "last")
    for begin, end in pairwise([0, 10, 5000, 40_000, 300_000, len(batch) - 5, len(data)]):
        lane.send(data[begin:end])
        time.sleep(0.02)  # so that it is read before the next piece comes
    answers = [lane.read() for _ in range(51)]
    assert [each.ident for each in answers] == [*range(1000, 1050), 2000]
    assert [each.json["got"] for each in answers] == [*texts, "last"]
