"""The Open Inference Protocol: its paths, and Triton's own client against a real server."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest
from server_world import ServerWorld

from spice_engine import __version__
from tests.conftest import EngineFixture

SUMS = """
import numpy as np
from spice_runtime import BasePredictor

class Sums(BasePredictor):
    def predict(self, payload):
        if isinstance(payload, dict):
            a, b = np.asarray(payload["a"]), np.asarray(payload["b"])
            return {"sum": a + b, "difference": a - b}
        return np.asarray(payload) * 2
"""


@pytest.fixture(scope="module")
def url(shared_engine: EngineFixture) -> Iterator[str]:
    """The door's address; the server `sums` runs behind it."""
    world = ServerWorld(shared_engine)
    info = world.serve("sums", SUMS)
    assert info["state"] == "running", info
    yield str(shared_engine.call("engine.status")["http"])
    world.remove("sums")


def ask(url: str, payload: Any = None) -> tuple[int, Any]:
    data = None if payload is None else json.dumps(payload).encode()
    try:
        with urllib.request.urlopen(urllib.request.Request(url, data), timeout=20) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


def tensor(name: str, values: list[float]) -> dict[str, Any]:
    return {"name": name, "datatype": "FP32", "shape": [len(values)], "data": values}


def test_metadata_and_health(url: str) -> None:
    assert ask(f"{url}/v2") == (
        200,
        {"name": "spice-tui", "version": __version__, "extensions": ["binary_tensor_data"]},
    )
    assert ask(f"{url}/v2/health/live") == (200, {"live": True})
    assert ask(f"{url}/v2/health/ready") == (200, {"ready": True})
    for path in ("sums", "sums/versions/1"):
        status, metadata = ask(f"{url}/v2/models/{path}")
        assert (status, metadata["name"], metadata["versions"]) == (200, "sums", ["1"])
        assert metadata["platform"] == "spice-tui_Sums"
        assert ask(f"{url}/v2/models/{path}/ready") == (200, {"name": "sums", "ready": True})


@pytest.mark.parametrize(
    "path", ["nix", "nix/ready", "sums/versions/7", "sums/versions/7/ready", "sums/versions/x"]
)
def test_what_is_not_there_is_told_in_the_protocols_form(url: str, path: str) -> None:
    status, answer = ask(f"{url}/v2/models/{path}")
    assert status == 404
    assert isinstance(answer["error"], str)


@pytest.mark.parametrize("path", ["sums", "sums/versions/1"])
def test_tensors_as_json(url: str, path: str) -> None:
    status, answer = ask(
        f"{url}/v2/models/{path}/infer", {"id": "7", "inputs": [tensor("x", [1.0, 2.5])]}
    )
    assert status == 200
    assert (answer["id"], answer["model_name"]) == ("7", "sums")
    (output,) = answer["outputs"]
    assert (output["name"], output["datatype"], output["shape"]) == ("output0", "FP32", [2])
    assert output["data"] == [2.0, 5.0]
    for wrong in ({}, {"inputs": []}, {"inputs": [{"name": "x"}]}, [1]):
        status, answer = ask(f"{url}/v2/models/{path}/infer", wrong)
        assert status == 400
        assert isinstance(answer["error"], str)


def test_tritons_client_is_at_home_here(url: str) -> None:
    triton = pytest.importorskip("tritonclient.http")
    parts = urlsplit(url)
    client = triton.InferenceServerClient(f"{parts.hostname}:{parts.port}")
    try:
        assert client.is_server_live()
        assert client.is_server_ready()
        assert client.is_model_ready("sums")
        assert client.is_model_ready("sums", "1")
        assert not client.is_model_ready("sums", "7")
        assert not client.is_model_ready("nix")
        assert client.get_server_metadata()["name"] == "spice-tui"
        assert client.get_model_metadata("sums")["versions"] == ["1"]
        a = np.arange(6, dtype=np.float32).reshape(2, 3)
        b = np.ones((2, 3), np.float32)
        for binary in (False, True):
            inputs = []
            for name, values in (("a", a), ("b", b)):
                given = triton.InferInput(name, list(values.shape), "FP32")
                given.set_data_from_numpy(values, binary_data=binary)
                inputs.append(given)
            outputs = [triton.InferRequestedOutput("difference", binary_data=binary)]
            result = client.infer("sums", inputs, outputs=outputs, request_id="mine")
            assert result.get_response()["id"] == "mine"
            np.testing.assert_array_equal(result.as_numpy("difference"), a - b)
            result = client.infer("sums", inputs, model_version="1")
            np.testing.assert_array_equal(result.as_numpy("sum"), a + b)
        given = triton.InferInput("x", [300_000], "FP32")  # too large for the fast lane
        given.set_data_from_numpy(np.ones(300_000, np.float32))
        result = client.infer("sums", [given], request_compression_algorithm="gzip")
        assert result.as_numpy("output0").sum() == 600_000
        with pytest.raises(triton.InferenceServerException, match="no model server 'nix'"):
            client.infer("nix", [given])
    finally:
        client.close()


def test_refusals_of_the_router_have_the_protocols_form(
    shared_engine: EngineFixture,
) -> None:
    world = ServerWorld(shared_engine)
    text = SUMS.replace(
        "        if isinstance", "        import time; time.sleep(1)\n        if isinstance"
    )
    world.serve("slow", text)
    try:
        address = urlsplit(str(shared_engine.call("engine.status")["http"]))
        body = json.dumps({"inputs": [tensor("x", [1.0])]}).encode()
        heads = {"X-Request-Deadline": "0.2"}
        # What comes in chunks goes another way than what has a length.
        for sent in (body, iter([body])):
            connection = HTTPConnection(str(address.hostname), address.port, timeout=20)
            connection.request("POST", "/v2/models/slow/infer", sent, heads)
            answer = connection.getresponse()
            assert answer.status == 504
            assert json.loads(answer.read())["error"].startswith("the deadline passed")
            connection.close()
        world.call("servers.stop", server="slow", wait=True)
        status, answer = ask(f"{address.geturl()}/v2/models/slow/infer", {"inputs": []})
        assert status == 503
        assert "no replica" in answer["error"]
    finally:
        world.remove("slow")
