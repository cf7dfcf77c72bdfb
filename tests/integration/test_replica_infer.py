"""The Open Inference Protocol through a replica, with errors in the protocol's form."""

from __future__ import annotations

import json

import pytest

from spice_runtime import wire
from tests.integration.replica_fixture import Starter, start

__all__ = ["start"]

SOURCE = """
from spice_runtime import BasePredictor
from starlette.exceptions import HTTPException
class P(BasePredictor):
    def predict(self, payload):
        if isinstance(payload, dict):
            return {name: value.sum() for name, value in payload.items()}
        if payload[0] == 401:
            raise HTTPException(401)
        return payload * 2
class Batched(BasePredictor):
    def predict(self, payload):
        if any(each[0] == 401 for each in payload):
            raise HTTPException(401)
        return [each * 2 for each in payload]
"""
HEAD = b"POST /v2/models/demo/infer HTTP/1.1\r\nHost: x\r\n\r\n"


def body(*values: float, name: str = "x") -> bytes:
    tensor = {"name": name, "datatype": "FP32", "shape": [len(values)], "data": values}
    return json.dumps({"id": "7", "inputs": [tensor]}).encode()


@pytest.mark.parametrize(("classname", "batching"), [("P", False), ("Batched", True)])
def test_tensors_and_errors(start: Starter, classname: str, batching: bool) -> None:
    replica = start(SOURCE, classname=classname, batching=batching)
    replica.ready()
    lane = replica.lane()
    good = lane.call(raw=body(1, 2), head=HEAD, codec=wire.INFER)
    assert good.json == {
        "model_name": "demo",
        "id": "7",
        "outputs": [{"name": "output0", "datatype": "FP32", "shape": [2], "data": [2.0, 4.0]}],
    }
    denied = lane.call(raw=body(401), head=HEAD, codec=wire.INFER)
    assert (denied.status, denied.json) == (401, {"error": "Unauthorized"})
    bad = lane.call(raw=b"{", head=HEAD, codec=wire.INFER)
    assert (bad.status, bad.json) == (400, {"error": "Request must contain a JSON object"})
    late = lane.call(raw=body(1), head=HEAD, codec=wire.INFER, milliseconds=0)
    assert late.status == 504


def test_a_bad_item_of_a_batch_fails_alone_here_too(start: Starter) -> None:
    replica = start(SOURCE, classname="Batched", batching=True)
    replica.ready()
    lane = replica.lane()
    frames = [
        wire.frame(wire.CALL, ident, body(value), head=HEAD, codec=wire.INFER, number=9000)
        for ident, value in ((1, 5), (2, 401), (3, 6))
    ]
    lane.send(wire.frame(wire.BATCH, 9, b"".join(frames), number=3))
    answers = {each.ident: each for each in (lane.read(), lane.read(), lane.read())}
    assert [answers[ident].status for ident in (1, 2, 3)] == [200, 401, 200]
    assert answers[3].json["outputs"][0]["data"] == [12.0]
