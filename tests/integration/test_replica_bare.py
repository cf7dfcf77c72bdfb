"""Replicas on interpreters where nothing is installed, of every version that is at hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from spice_runtime import wire
from tests.integration.replica_client import ReplicaProcess
from tests.integration.test_shim_bare import interpreters

SOURCE = """
from __future__ import annotations
import asyncio, dataclasses, os, sys, typing
from spice_runtime import BasePredictor, send_metric, request_id
from spell.serving import BasePredictor as Same
assert Same is BasePredictor
assert "site-packages" not in "".join(sys.path) or sys.flags.no_user_site

@dataclasses.dataclass
class Row:
    numbers: typing.List[float]
    name: str = "row"

class Sync(BasePredictor):
    def predict(self, payload: Row) -> typing.Dict[str, typing.Any]:
        send_metric("sum", sum(payload.numbers))
        return {"sum": sum(payload.numbers), "name": payload.name, "é": None, "pid": os.getpid()}

class Async(BasePredictor):
    async def predict(self, payload):
        await asyncio.sleep(0)
        for each in payload:
            yield str(each)

class Batched(BasePredictor):
    async def prepare(self, payload):
        return payload + 1
    def predict(self, payload):
        return [1 // each for each in payload]

class Tensors(BasePredictor):
    def predict(self, payload):
        return [[2 * each for each in row] for row in payload]
"""


@pytest.mark.parametrize("python", interpreters())
def test_a_predictor_of_each_kind(python: str, tmp_path: Path) -> None:
    kinds = {
        "Sync": {"num_processes": 2},
        "Async": {},
        "Batched": {"batching": True},
        "Tensors": {},
    }
    replicas: dict[str, ReplicaProcess] = {}
    for name, job in kinds.items():
        (tmp_path / name).mkdir()
        replicas[name] = ReplicaProcess(
            tmp_path / name, SOURCE, python=python, classname=name, **job
        )
    try:
        lanes = {}
        for name, replica in replicas.items():
            replica.ready()
            lanes[name] = replica.lane()
        answer = lanes["Sync"].call({"numbers": [1, 2.5]}).json
        assert answer["pid"] == lanes["Sync"].hello.json["pid"] != replicas["Sync"].process.pid
        assert (answer["sum"], answer["name"], answer["é"]) == (3.5, "row", None)
        assert lanes["Sync"].call({}).status == 422
        assert replicas["Sync"].ask(wire.METRICS).json["values"] == [["sum", "", 3.5]]
        assert replicas["Sync"].ask(wire.HEALTH).json == {"status": "ok"}
        lanes["Async"].begin(["a", "b"])
        frames = [lanes["Async"].read() for _ in range(4)]
        assert "".join(each.text for each in frames) == "ab"
        assert [each.status for each in lanes["Batched"].batch(0, -1, 0)] == [200, 500, 200]
        body = b'{"inputs":[{"name":"x","datatype":"INT8","shape":[1,2],"data":[1,2]}]}'
        told = lanes["Tensors"].call(raw=body, codec=wire.INFER).json
        assert told["outputs"][0]["data"] == [2, 4]
        assert lanes["Tensors"].call(raw=b"x", codec=wire.NPY).status in (400, 415)
        assert [replica.drain() for replica in replicas.values()] == [0, 0, 0, 0]
    finally:
        for replica in replicas.values():
            replica.close()
